-- scope_cells: from hex_cells, areas (the forces that are scopes, the polygons of CRIME_SCOPES) and
-- centres_in_areas. One row is one cell that belongs to one scope: to the nation ($nation) every
-- cell, to a force or a polygon those whose centre lies in it. A cell at the coast, with its centre
-- in no force, or in one that lies mostly elsewhere, belongs to the nation only. Polygons may
-- overlap; what they have outside the study area is left out.
select
    $nation as scope,
    hex_id
from hex_cells
union all
select
    force as scope,
    hex_id
from hex_cells
where
    force in (
        select area
        from areas
        where kind = 'force'
    )
union all
select
    polygon.area as scope,
    hex_cells.hex_id
from centres_in_areas
inner join areas as polygon
    on centres_in_areas.area_id = polygon.area_id
inner join hex_cells
    on centres_in_areas.hex_id = hex_cells.hex_id
where polygon.kind = 'polygon'
order by
    scope,
    hex_id
