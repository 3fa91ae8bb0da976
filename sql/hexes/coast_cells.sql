-- coast_cells: from areas (LSOAs), area_edges, centres_in_areas and centre_rows. One row is one
-- cell that intersects the study area although its centre lies in no LSOA: at the coast, at the
-- border, at a hole. An edge of an LSOA then runs through it or touches it. Without an order.
with inner_cell as (
    select centres_in_areas.hex_id
    from centres_in_areas
    inner join areas
        on centres_in_areas.area_id = areas.area_id
    where areas.kind = 'lsoa'
),

edge_near_row as (
    select
        area_edges.*,
        unnest(
            range(
                greatest(
                    0,
                    ceil((south_northing - 5000) / (100 * sqrt(3.0)) - 1 - 1e-6)
                )::bigint,
                least(
                    3771,
                    floor((north_northing - 5000) / (100 * sqrt(3.0)) + 1 + 1e-6)
                )::bigint + 1
            )
        ) as centre_row
    from area_edges
    inner join areas
        on area_edges.area_id = areas.area_id
    where areas.kind = 'lsoa'
),

edge_near_cell as (
    select
        edge.* exclude (area_id, centre_row),
        centre_rows.northing,
        centre_rows.first_easting,
        centre_rows.first_id,
        unnest(
            range(
                greatest(
                    0,
                    ceil((least(south_easting, north_easting) - 200 - first_easting) / 600 - 1e-6)
                )::bigint,
                least(
                    956,
                    floor(
                        (greatest(south_easting, north_easting) + 200 - first_easting) / 600 + 1e-6
                    )
                )::bigint + 1
            )
        ) as centre_column
    from edge_near_row as edge
    inner join centre_rows
        on edge.centre_row = centre_rows.centre_row
),

edge_near_coast_cell as (
    select
        edge.*,
        (edge.first_id + 1886 * edge.centre_column)::integer as hex_id,
        edge.first_easting + 600 * edge.centre_column as easting
    from edge_near_cell as edge
    anti join inner_cell
        on edge.first_id + 1886 * edge.centre_column = inner_cell.hex_id
)

select distinct hex_id
from edge_near_coast_cell
where
    st_intersects(
        st_makeline(
            st_point(south_easting, south_northing),
            st_point(north_easting, north_northing)
        ),
        -- The cell: a regular hexagon with sides of 200 m, from its eastern corner round.
        st_makepolygon(
            st_makeline(
                [
                    st_point(easting + 200, northing),
                    st_point(easting + 100, northing + 100 * sqrt(3.0)),
                    st_point(easting - 100, northing + 100 * sqrt(3.0)),
                    st_point(easting - 200, northing),
                    st_point(easting - 100, northing - 100 * sqrt(3.0)),
                    st_point(easting + 100, northing - 100 * sqrt(3.0)),
                    st_point(easting + 200, northing)
                ]
            )
        )
    )
