-- segment_crimes: from segment_counts and street_segments of one force. One row is the crimes of
-- one type on one segment in one month; `unit_id` is the place of the segment among those of the
-- force, in the order of ids.
with segment as (
    select
        force,
        segment_id,
        row_number() over (order by segment_id) - 1 as unit_id
    from street_segments
)

select
    segment.unit_id,
    segment_counts.month,
    segment_counts.crime_type,
    segment_counts.crimes
from segment_counts
inner join segment
    on segment_counts.force = segment.force and segment_counts.segment_id = segment.segment_id
