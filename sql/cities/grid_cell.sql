-- Macro grid_cell(longitude, latitude, west, south, east, north, p): the cell of a grid of p x p
-- cells over a box in which a point lies, row x p + column from its south-west corner, else null.
-- Between two cells it is the one further north or east; the north and the east edge of the box
-- belong to its last cells. crime_assets/cities/grid.py says the same in NumPy.
create or replace macro grid_cell(longitude, latitude, west, south, east, north, p) as (
    case
        when longitude between west and east and latitude between south and north
            then (
                least(floor((latitude - south) / (north - south) * p), p - 1) * p
                + least(floor((longitude - west) / (east - west) * p), p - 1)
            )::integer
    end
)
