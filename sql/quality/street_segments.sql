-- street_segments: the profile of street_segments of $forces. One row is a force.
with asked as (
    select unnest($forces::varchar[]) as force
)

select
    asked.force,
    count(segment.force) as segments,
    count(segment.segment_id) - count(distinct segment.segment_id) as repeated_segments,
    count(segment.force) filter (
        where not coalesce(segment.length_m > 0, false)
        or not coalesce(st_npoints(segment.geometry) > 1, false)
    ) as segments_without_line,
    max(abs(st_length(segment.geometry) - segment.length_m)) as largest_difference_of_length,
    median(segment.length_m) as median_length_m,
    max(segment.length_m) as longest_m,
    count(segment.name) / nullif(count(segment.force), 0) as named_share
from asked
left join street_segments as segment
    on asked.force = segment.force
group by asked.force
order by asked.force
