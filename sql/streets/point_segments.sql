-- point_segments: from street_crimes and street_segments. One row is a distinct point of crimes
-- within $limit_m of a segment, and the nearest one: by distance to its line in whole millimetres;
-- of those as near, the first by force and id. Segments are numbered in that order, so that the
-- least of millimetres * 2^32 + number is the one: a number is compared faster than words.
-- Most points are near a street: they are first looked for within a fifth of the limit, where there
-- are few segments to measure, and only the rest within the limit. Where the nearest is within that
-- fifth by more than a millimetre, all as near were met.
with point as (
    select distinct
        easting,
        northing
    from street_crimes
    where easting is not null
),

segment as (
    select
        force,
        segment_id,
        geometry,
        row_number() over (order by force, segment_id) as number
    from street_segments
),

near as (
    select
        point.easting,
        point.northing,
        min(
            round(1000 * st_distance(segment.geometry, st_point(point.easting, point.northing)))
            ::bigint * 4294967296 + segment.number
        ) as nearest
    from point
    inner join segment
        on st_dwithin(segment.geometry, st_point(point.easting, point.northing), $limit_m / 5)
    group by
        point.easting,
        point.northing
    having nearest // 4294967296 < 200 * $limit_m - 1
),

further as (
    select
        far.easting,
        far.northing,
        min(
            round(1000 * st_distance(segment.geometry, st_point(far.easting, far.northing)))
            ::bigint * 4294967296 + segment.number
        ) as nearest
    from (
        select *
        from point
        anti join near
            on point.easting = near.easting and point.northing = near.northing
    ) as far
    inner join segment
        on st_dwithin(segment.geometry, st_point(far.easting, far.northing), $limit_m)
    group by
        far.easting,
        far.northing
)

select
    found.easting,
    found.northing,
    segment.force,
    segment.segment_id,
    found.nearest // 4294967296 as distance_mm
from (
    from near
    union all
    from further
) as found
inner join segment
    on found.nearest % 4294967296 = segment.number
