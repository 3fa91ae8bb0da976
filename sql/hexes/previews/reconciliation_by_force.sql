-- Where the crimes of each force went, all types together. From reconciliation of one month.
select
    coalesce(force, 'all forces') as force,
    sum(crimes) as crimes,
    sum(unlocated) as unlocated,
    sum(outside_grid) as outside_grid,
    sum(outside_cells) as outside_cells,
    sum(in_cells) as in_cells
from reconciliation
group by grouping sets ((force), ())
order by
    reconciliation.force is null desc,
    force asc
