-- cell_names: from shown_cells. One row is a name of a force, an LSOA or an anonymous place that
-- stands on the map, numbered by kind from nought.
select
    kind,
    name,
    (row_number() over (partition by kind order by name asc) - 1)::integer as nth
from (
    select distinct
        unnest(['force', 'lsoa', 'place']) as kind,
        unnest([force, lsoa, place]) as name
    from shown_cells
)
where name is not null
order by
    kind,
    nth
