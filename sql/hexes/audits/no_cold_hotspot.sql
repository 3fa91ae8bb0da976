-- Hotspots without a crime, and those of windows of one month whose crimes are not those of their
-- cell. From hotspots of one month and hex_counts, $month.
with cell_crimes as (
    select
        hex_id,
        crime_type,
        sum(crimes) as crimes
    from hex_counts
    where month = $month
    group by
        hex_id,
        crime_type
    union all
    select
        hex_id,
        'All crime' as crime_type,
        sum(crimes) as crimes
    from hex_counts
    where month = $month
    group by hex_id
)

select
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.hex_id,
    hotspot.crimes,
    cell.crimes as counted
from hotspots as hotspot
left join cell_crimes as cell
    on
        hotspot.hex_id = cell.hex_id
        and hotspot.crime_type = cell.crime_type
where
    hotspot.crimes < 1
    or hotspot.score <= 0
    or (
        hotspot.window_months = 1
        and hotspot.crime_type <> 'Crime harm'
        and hotspot.crimes is distinct from cell.crimes
    )
order by
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.hex_id
