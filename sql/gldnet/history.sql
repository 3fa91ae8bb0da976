-- history: from segment_steps of $months and street_segments, of one force. One row is the crimes
-- of one type in $features on one segment in one month, where there are any: the positions of the
-- month, of the segment (by its id) and of the type, and the crimes.
with segment as (
    select
        segment_id,
        row_number() over (order by segment_id) - 1 as segment_at
    from street_segments
)

select
    list_position($months::varchar[], segment_steps.month) - 1 as step_at,
    segment.segment_at,
    list_position($features::varchar[], segment_steps.crime_type) - 1 as feature_at,
    segment_steps.crimes
from segment_steps
inner join segment
    on segment_steps.segment_id = segment.segment_id
where
    segment_steps.crimes > 0
    and list_contains($features::varchar[], segment_steps.crime_type)
order by
    step_at,
    segment_at,
    feature_at
