-- segment_counts: the profile of segment_counts of $month. From segment_counts and coverage of that
-- month. One row is the month. What lies beyond the limit is judged on the forces whose streets are
-- there: of others nearly all does.
with counted as (
    select
        force,
        segment_id,
        crime_type,
        sum(crimes) as crimes,
        sum(crimes * distance_m) as metres,
        count(*) as rows_of_it,
        count(*) filter (
            where not coalesce(crimes > 0 and distance_m >= 0, false)
        ) as impossible_counts
    from segment_counts
    where month = $month
    group by
        force,
        segment_id,
        crime_type
),

located as (
    select sum(located) as crimes
    from coverage
    where month = $month and force in (select force from counted)
)

select
    $month::varchar as month,
    coalesce(sum(crimes), 0) as crimes,
    count(distinct force) as networks,
    count(distinct force || ' ' || segment_id) as segments,
    coalesce(sum(rows_of_it - 1), 0) as repeated_counts,
    coalesce(sum(impossible_counts), 0) as impossible_counts,
    1 - sum(crimes) / (select crimes from located) as beyond_limit_share,
    sum(metres) / sum(crimes) as mean_distance_m
from counted
