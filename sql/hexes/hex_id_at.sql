-- Macro hex_id_at(easting, northing): the id of the 200 m cell in which a point lies.
-- Flat-top hexagons of side 200 m in two interleaved lattices of 957 x 1886 centres, EPSG:27700:
--   even  id = 1886 i + j              centre (82400 + 600 i, 5000 + 200 sqrt(3) j)
--   odd   id = 1804902 + 1886 i + j    centre (82700 + 600 i, 5000 + 100 sqrt(3) + 200 sqrt(3) j)
-- A point belongs to the nearer of its nearest even and its nearest odd centre, on a tie to the
-- even one; half-way between two centres of one lattice, to the one further north or east; null
-- outside the ranges. Distances squared that differ by less than a millionth of a square metre
-- (edges within nanometres) are a tie, else rounding errors would decide on an edge.
-- crime_assets/hexes/grid.py says the same in NumPy.
create or replace macro hex_id_at(easting, northing) as (
    select
        case
            when cell.i between 0 and 956 and cell.j between 0 and 1885
                then (cell.first_id + cell.i * 1886 + cell.j)::integer
        end
    from (
        select
            if(
                power(easting - 82400 - 600 * even_i, 2)
                + power(northing - 5000 - 200 * sqrt(3.0) * even_j, 2)
                <= power(easting - 82700 - 600 * odd_i, 2)
                + power(northing - 5000 - 100 * sqrt(3.0) - 200 * sqrt(3.0) * odd_j, 2)
                + 1e-6,
                struct_pack(first_id := 0, i := even_i, j := even_j),
                struct_pack(first_id := 1804902, i := odd_i, j := odd_j)
            ) as cell
        from (
            select
                floor((easting - 82400) / 600 + 0.5 + 1e-9) as even_i,
                floor((northing - 5000) / (200 * sqrt(3.0)) + 0.5 + 1e-9) as even_j,
                floor((easting - 82700) / 600 + 0.5 + 1e-9) as odd_i,
                floor((northing - 5000 - 100 * sqrt(3.0)) / (200 * sqrt(3.0)) + 0.5 + 1e-9) as odd_j
        )
    )
)
