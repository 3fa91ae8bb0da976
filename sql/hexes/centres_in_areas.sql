-- centres_in_areas: from area_edges and centre_rows. One row is one area that a cell's centre lies
-- in, or on the outline of; a centre that two areas share has two rows. Without an order.
-- Along a row of centres one is inside an area from its first crossing with the outline to the
-- second, from the third to the fourth, and so on. That is one pass over the outlines; a test of
-- each centre against each polygon costs, in a police force area, thousands of corners a centre.
-- A corner that lies on the row itself could count once, twice or never. So each row is walked
-- twice, a hair north of itself and a hair south: what either walk is inside of is in the area or
-- on its outline.
with met_row as (
    select
        *,
        unnest(
            range(
                greatest(0, ceil((south_northing - 5000) / (100 * sqrt(3.0)) - 1e-6))::bigint,
                least(3771, floor((north_northing - 5000) / (100 * sqrt(3.0)) + 1e-6))::bigint + 1
            )
        ) as centre_row
    from area_edges
),

crossing as (
    select
        edge.area_id,
        edge.centre_row,
        edge.south_easting
        + (centre_rows.northing - edge.south_northing)
        * (edge.north_easting - edge.south_easting)
        / (edge.north_northing - edge.south_northing) as easting,
        edge.south_northing <= centre_rows.northing
        and centre_rows.northing < edge.north_northing as to_the_north,
        edge.south_northing < centre_rows.northing
        and centre_rows.northing <= edge.north_northing as to_the_south
    from met_row as edge
    inner join centre_rows
        on edge.centre_row = centre_rows.centre_row
),

crossing_of_walk as (
    select
        area_id,
        centre_row,
        easting,
        'north' as walk
    from crossing
    where to_the_north
    union all
    select
        area_id,
        centre_row,
        easting,
        'south' as walk
    from crossing
    where to_the_south
),

stretch as (
    select
        area_id,
        centre_row,
        easting as west,
        lead(easting) over walk_eastwards as east
    from crossing_of_walk
    window
        walk_eastwards as (
            partition by area_id, centre_row, walk
            order by easting
        )
    qualify row_number() over walk_eastwards % 2 = 1
),

centre as (
    select
        stretch.area_id,
        centre_rows.first_id,
        unnest(
            range(
                greatest(0, ceil((stretch.west - centre_rows.first_easting) / 600))::bigint,
                least(956, floor((stretch.east - centre_rows.first_easting) / 600))::bigint + 1
            )
        ) as centre_column
    from stretch
    inner join centre_rows
        on stretch.centre_row = centre_rows.centre_row
)

select distinct
    area_id,
    (first_id + 1886 * centre_column)::integer as hex_id
from centre
