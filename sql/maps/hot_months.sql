-- hot_months: from hotspots and inside_windows. One row is one cell of one ranking: `hot` has a bit
-- for each month, the first the lowest, in which it was a hotspot. Of the last one, $month: on how
-- many places its crimes lie.
select
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.hex_id,
    sum(1::bigint << inside.nth)::bigint as hot,
    any_value(hotspot.snap_points) filter (where hotspot.month = $month) as points,
    any_value(hotspot.largest_share) filter (where hotspot.month = $month) as largest
from hotspots as hotspot
inner join inside_windows as inside
    on
        hotspot.scope = inside.scope
        and hotspot.crime_type = inside.crime_type
        and hotspot.window_months = inside.window_months
        and hotspot.month = inside.month
group by
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.hex_id
