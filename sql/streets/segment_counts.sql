-- segment_counts: from street_crimes of one month and point_segments. One row is the crimes of one
-- type on one segment; none is no row. Distances are added up in whole millimetres: in any order
-- their sum is the same.
select
    point_segments.force,
    point_segments.segment_id,
    street_crimes.crime_type,
    count(*)::integer as crimes,
    sum(point_segments.distance_mm) / (1000 * count(*)) as distance_m
from street_crimes
inner join point_segments
    on
        street_crimes.easting = point_segments.easting
        and street_crimes.northing = point_segments.northing
group by
    point_segments.force,
    point_segments.segment_id,
    street_crimes.crime_type
order by
    point_segments.force,
    point_segments.segment_id,
    street_crimes.crime_type
