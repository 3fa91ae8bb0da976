-- hotspots: from score_histogram, cell_windows, scope_cells and snap_counts (of the 12 months
-- that end in $month). One row is one of the k cells of a ranking with the highest scores, in
-- order of score, then hex_id. A fixed k, never a threshold: for rare crimes thousands of cells
-- tie, and `tied` says where one that was left out has the same score.
with ranking as (
    select
        scope,
        crime_type,
        window_months,
        any_value(k) as k,
        any_value(forces_present) as forces_present,
        min(score) as limit_score,
        max(reached) as reached
    from score_histogram
    where reached - cells < k
    group by
        scope,
        crime_type,
        window_months
),

candidate as (
    select
        ranking.scope,
        cell.crime_type,
        cell.window_months,
        ranking.k,
        ranking.forces_present,
        cell.hex_id,
        cell.crimes,
        cell.score,
        ranking.reached > ranking.k and cell.score = ranking.limit_score as tied
    from cell_windows as cell
    inner join scope_cells as member
        on cell.hex_id = member.hex_id
    inner join ranking
        on
            member.scope = ranking.scope
            and cell.crime_type = ranking.crime_type
            and cell.window_months = ranking.window_months
            and cell.score >= ranking.limit_score
),

hotspot as (
    select
        *,
        row_number() over (
            partition by scope, crime_type, window_months
            order by
                score desc,
                hex_id asc
        ) as rank
    from candidate
    qualify rank <= k
),

hot_point as (
    select
        point.crime_type,
        point.hex_id,
        point.longitude,
        point.latitude,
        sum(point.crimes) filter (where point.month = $month) as crimes_1,
        sum(point.crimes) filter (where point.month >= $third_month) as crimes_3,
        sum(point.crimes) as crimes_12
    from snap_counts as point
    semi join hotspot
        on point.hex_id = hotspot.hex_id
    group by
        point.crime_type,
        point.hex_id,
        point.longitude,
        point.latitude
),

hot_point_series as (
    select
        crime_type,
        hex_id,
        crimes_1,
        crimes_3,
        crimes_12
    from hot_point
    union all
    select
        unnest(['All crime', 'Crime harm']) as crime_type,
        hex_id,
        sum(crimes_1) as crimes_1,
        sum(crimes_3) as crimes_3,
        sum(crimes_12) as crimes_12
    from hot_point
    group by
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
    from hot_point_series
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
from hotspot
left join cell_points
    on
        hotspot.crime_type = cell_points.crime_type
        and hotspot.hex_id = cell_points.hex_id
order by
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.rank
