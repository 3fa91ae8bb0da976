-- hotspot_frequency: from hotspots and complete_windows of the 36 months from $first_month on.
-- One row is one cell that was a hotspot in at least one window that lies inside them. Below half
-- of the 37 - w windows of w months that 36 months hold, a ranking has no row.
with inside_window as (
    select
        scope,
        crime_type,
        window_months,
        month,
        row_number() over ranking_by_month as nth,
        count(*) over ranking as windows
    from complete_windows
    where complete and first_month >= $first_month
    window
        ranking as (partition by scope, crime_type, window_months),
        ranking_by_month as (partition by scope, crime_type, window_months order by month)
),

cell_hits as (
    select
        hotspot.scope,
        hotspot.crime_type,
        hotspot.window_months,
        hotspot.hex_id,
        any_value(inside.windows)::integer as windows,
        count(*)::integer as hits,
        -- late: in the last third of the windows, rounded up
        count(*) filter (where inside.nth > inside.windows - ceil(inside.windows / 3))
            as late_hits,
        bool_or(inside.nth = inside.windows) as is_last
    from hotspots as hotspot
    inner join inside_window as inside
        on
            hotspot.scope = inside.scope
            and hotspot.crime_type = inside.crime_type
            and hotspot.window_months = inside.window_months
            and hotspot.month = inside.month
    where inside.windows * 2 >= 37 - inside.window_months
    group by
        hotspot.scope,
        hotspot.crime_type,
        hotspot.window_months,
        hotspot.hex_id
)

select
    scope,
    crime_type,
    window_months,
    row_number() over (
        partition by scope, crime_type, window_months
        order by
            hits desc,
            hex_id asc
    ) as rank,
    hex_id,
    hits,
    windows,
    hits / windows as frequency,
    case
        when 10 * hits >= 8 * windows then 'persistent'
        when late_hits = hits and is_last then 'emerging'
        when late_hits = 0 then 'former'
        else 'intermittent'
    end as persistence
from cell_hits
order by
    scope,
    crime_type,
    window_months,
    rank
