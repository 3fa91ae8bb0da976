-- hotspots: from hottest_cells and snap_counts (of the 12 months that end in $month). One row is
-- one of the k hottest cells of a ranking, with the anonymous places on which its crimes lie.
-- A hotspot of one type needs the points of that type; one of all types, all points of the cell.
with hot_point as (
    select
        crime_type,
        hex_id,
        longitude,
        latitude,
        month,
        crimes
    from snap_counts as point
    semi join hottest_cells as hotspot
        on
            point.hex_id = hotspot.hex_id
            and point.crime_type = hotspot.crime_type
    union all
    select
        'All crime' as crime_type,
        hex_id,
        longitude,
        latitude,
        month,
        crimes
    from snap_counts as point
    semi join (
        select hex_id
        from hottest_cells
        where crime_type in ('All crime', 'Crime harm')
    ) as mixed
        on point.hex_id = mixed.hex_id
),

hot_point_window as (
    select
        crime_type,
        hex_id,
        sum(crimes) filter (where month = $month) as crimes_1,
        sum(crimes) filter (where month >= $third_month) as crimes_3,
        sum(crimes) as crimes_12
    from hot_point
    group by
        crime_type,
        hex_id,
        longitude,
        latitude
),

cell_points as (
    select
        crime_type,
        hex_id,
        [count(crimes_1), count(crimes_3), count(crimes_12)] as snap_points,
        [max(crimes_1), max(crimes_3), max(crimes_12)] as largest
    from hot_point_window
    group by
        crime_type,
        hex_id
)

select
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.forces_present,
    hotspot.k,
    hotspot.rank,
    hotspot.hex_id,
    hotspot.crimes,
    (hotspot.score / 1000)::decimal(18, 3) as score,
    hotspot.tied,
    cell_points.snap_points[list_position([1, 3, 12], hotspot.window_months)] as snap_points,
    cell_points.largest[list_position([1, 3, 12], hotspot.window_months)]::double
    / hotspot.crimes as largest_share
from hottest_cells as hotspot
left join cell_points
    on
        if(hotspot.crime_type = 'Crime harm', 'All crime', hotspot.crime_type)
        = cell_points.crime_type
        and hotspot.hex_id = cell_points.hex_id
order by
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.rank
