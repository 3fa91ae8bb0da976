-- incidents_on_segments: from street_crimes (incidents with their day), point_segments
-- and street_segments of one network.
-- One row is the incidents of one type on one segment on one day; `unit_id` is the place of the
-- segment in the order of ids.
with segment as (
    select
        segment_id,
        row_number() over (order by segment_id) - 1 as unit_id
    from street_segments
)

select
    segment.unit_id,
    street_crimes.day,
    street_crimes.crime_type,
    count(*) as crimes
from street_crimes
inner join point_segments
    on
        street_crimes.easting = point_segments.easting
        and street_crimes.northing = point_segments.northing
inner join segment
    on point_segments.segment_id = segment.segment_id
where street_crimes.day is not null
group by all
order by all
