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

month_points as (
    select
        count(*) as snap_points,
        -- of a handful of crimes a third may well lie at one place
        if(sum(crimes) >= 100, max(crimes) / sum(crimes), null) as busiest_point_share,
        arg_max(latitude || ', ' || longitude, (crimes, latitude, longitude))
            as busiest_point_share_of,
        if(sum(crimes) >= 100, sum(crimes) / count(*), null) as crimes_per_point
    from point_crimes
)

select
    $month as month,
    count(*) as rows,
    coalesce(sum(snap_counts.crimes), 0)::bigint as crimes,
    any_value(month_points.snap_points) as snap_points,
    any_value(month_points.busiest_point_share) as busiest_point_share,
    any_value(month_points.busiest_point_share_of) as busiest_point_share_of,
    any_value(month_points.crimes_per_point) as crimes_per_point,
    (select count(*) from repeated_count) as repeated_counts,
    count(*) filter (where not coalesce(snap_counts.crimes >= 1, false)) as counts_below_one,
    count(*) filter (
        where not coalesce(
            snap_counts.longitude between -8.7 and 1.8 and snap_counts.latitude between 49.8 and 60.9
            and snap_counts.hex_id between 0 and 3609803,
            false
        )
    ) as misplaced_points
from month_points
left join snap_counts
    on true
