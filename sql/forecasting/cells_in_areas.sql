-- cells_in_areas: from lattice_cells (hex_id, easting, northing: every cell around the areas) and
-- areas. One row is a cell whose centre lies in one of them, or on its outline.
select distinct lattice_cells.hex_id
from lattice_cells
inner join areas
    on st_intersects(areas.geometry, st_point(lattice_cells.easting, lattice_cells.northing))
order by lattice_cells.hex_id
