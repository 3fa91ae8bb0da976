-- Scopes with more hotspots than cells, or with none. From scopes.
select
    scope,
    k,
    cells
from scopes
where k not between 1 and cells
order by scope
