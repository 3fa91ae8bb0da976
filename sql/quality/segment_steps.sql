-- segment_steps: the profile of segment_steps of $month and $forces. From segment_steps of that
-- month, and street_segments. One row is a force. What went before is compared where it is of 50
-- crimes or more; it is a weighted mean of the months before, but half of it after the first month.
with asked as (
    select unnest($forces::varchar[]) as force
),

segment as (
    select
        force,
        segment_id,
        count(*) as crime_types,
        count(*) - count(distinct crime_type) as repeated_types,
        sum(crimes) filter (where crime_type = 'All crime') as crimes,
        sum(crimes) filter (where crime_type != 'All crime') as crimes_of_types,
        sum(smoothed) filter (where crime_type = 'All crime') as smoothed,
        count(*) filter (
            where not coalesce(
                crimes >= 0 and smoothed >= 0 and isfinite(smoothed) and step = $month, false
            )
        ) as impossible_steps
    from segment_steps
    where month = $month and list_contains($forces::varchar[], force)
    group by
        force,
        segment_id
),

widest as (
    select
        force,
        max(crime_types) as crime_types
    from segment
    group by force
),

laid_out as (
    select
        force,
        count(*) as segments
    from street_segments
    group by force
)

select
    $month::varchar as month,
    asked.force,
    count(segment.segment_id) as segments,
    coalesce(abs(any_value(laid_out.segments) - count(segment.segment_id)), 0)
        as segments_added_or_missing,
    count(segment.segment_id) filter (
        where segment.repeated_types > 0 or segment.crime_types != widest.crime_types
    ) as incomplete_segments,
    coalesce(sum(segment.impossible_steps), 0)::bigint as impossible_steps,
    count(segment.segment_id) filter (
        where not coalesce(segment.crimes >= segment.crimes_of_types, false)
    ) as all_crime_too_low,
    coalesce(sum(segment.crimes), 0)::bigint as crimes,
    sum(segment.crimes) / if(sum(segment.smoothed) >= 50, sum(segment.smoothed), null)
        as crimes_against_smoothed
from asked
left join segment
    on asked.force = segment.force
left join laid_out
    on asked.force = laid_out.force
left join widest
    on asked.force = widest.force
group by asked.force
order by asked.force
