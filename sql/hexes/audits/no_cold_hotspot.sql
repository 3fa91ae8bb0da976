-- Hotspots without a crime, and those whose crimes are not those of their cell in the window. From
-- hotspots of one month and hex_counts of the 12 months that end in $month.
with cell_month as (
    select
        hex_id,
        crime_type,
        month,
        crimes
    from hex_counts
    where hex_id in (select hex_id from hotspots)
    union all
    select
        hex_id,
        unnest(['All crime', 'Crime harm']) as crime_type,
        month,
        crimes
    from hex_counts
    where hex_id in (select hex_id from hotspots)
),

cell_crimes as (
    select
        hex_id,
        crime_type,
        sum(crimes) filter (where month = $month) as crimes_1,
        sum(crimes) filter (where month >= $third_month) as crimes_3,
        sum(crimes) as crimes_12
    from cell_month
    group by
        hex_id,
        crime_type
)

select
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.hex_id,
    hotspot.crimes,
    case hotspot.window_months
        when 1 then cell.crimes_1
        when 3 then cell.crimes_3
        else cell.crimes_12
    end as counted
from hotspots as hotspot
left join cell_crimes as cell
    on
        hotspot.hex_id = cell.hex_id
        and hotspot.crime_type = cell.crime_type
where
    hotspot.crimes < 1
    or hotspot.score <= 0
    or hotspot.crimes is distinct from counted
order by
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.hex_id
