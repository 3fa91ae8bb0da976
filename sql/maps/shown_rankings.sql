-- shown_rankings: from hotspot_frequency, inside_windows and hotspots. One row is one ranking of
-- the map: the months whose windows count, and those in which cells tie at the limit, as bits, the
-- first month the lowest.
with tied_window as (
    select distinct
        scope,
        crime_type,
        window_months,
        month
    from hotspots
    where tied
)

select
    inside.scope,
    inside.crime_type,
    inside.window_months,
    any_value(inside.k) as k,
    count(*)::integer as windows,
    sum(1::bigint << inside.nth)::bigint as complete,
    coalesce(sum(1::bigint << inside.nth) filter (where tied.month is not null), 0)::bigint as tied
from inside_windows as inside
semi join hotspot_frequency as shown
    on
        inside.scope = shown.scope
        and inside.crime_type = shown.crime_type
        and inside.window_months = shown.window_months
left join tied_window as tied
    on
        inside.scope = tied.scope
        and inside.crime_type = tied.crime_type
        and inside.window_months = tied.window_months
        and inside.month = tied.month
group by
    inside.scope,
    inside.crime_type,
    inside.window_months
order by
    inside.scope,
    inside.crime_type,
    inside.window_months
