-- snap_counts: the profile of snap_counts of $month. One row is the month.
with point_crimes as (
    select
        longitude,
        latitude,
        sum(crimes) as crimes
    from snap_counts
    group by
        longitude,
        latitude
),

repeated_count as (
    select hex_id
    from snap_counts
    group by
        crime_type,
        hex_id,
        longitude,
        latitude
    having count(*) > 1
),

point_extremes as (
    select
        count(*) as snap_points,
        -- of a handful of crimes a third may well lie at one place
        if(sum(crimes) >= 100, max(crimes) / sum(crimes), null) as busiest_point_share,
        arg_max(latitude || ', ' || longitude, (crimes, latitude, longitude))
            as busiest_point_share_of,
        if(sum(crimes) >= 100, sum(crimes) / count(*), null) as crimes_per_point
    from point_crimes
),

count_now as (
    select
        count(*) as rows,
        coalesce(sum(crimes), 0)::bigint as crimes,
        count(*) filter (where not coalesce(crimes >= 1, false)) as counts_below_one,
        count(*) filter (
            where not coalesce(
                longitude between -8.7 and 1.8
                and latitude between 49.8 and 60.9
                and hex_id between 0 and 3609803,
                false
            )
        ) as misplaced_points
    from snap_counts
)

select
    $month::varchar as month,
    count_now.*,
    (select count(*) from repeated_count) as repeated_counts,
    point_extremes.*
from count_now
cross join point_extremes
