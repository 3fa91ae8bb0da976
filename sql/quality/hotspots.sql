-- hotspots: the profile of hotspots of $month. From hotspots of that month and of the month before
-- it, and scopes. One row is the month. Scopes are named in the order of the alphabet.
with hotspot as (
    select *
    from hotspots
    where month = $month
),

ranking as (
    select
        hotspot.scope,
        hotspot.crime_type,
        hotspot.window_months,
        count(*) as hotspots,
        any_value(hotspot.k) as k,
        any_value(scopes.k) as scope_k,
        any_value(scopes.kind) as kind,
        min(len(hotspot.forces_present)) as forces_present,
        count(distinct hotspot.k) <> 1
        or count(*) > max(hotspot.k)
        or min(hotspot.rank) <> 1
        or max(hotspot.rank) <> count(*)
        or count(distinct hotspot.rank) <> count(*)
        or count(distinct hotspot.hex_id) <> count(*) as is_broken
    from hotspot
    left join scopes
        on hotspot.scope = scopes.scope
    group by
        hotspot.scope,
        hotspot.crime_type,
        hotspot.window_months
),

out_of_order as (
    select hex_id
    from hotspot
    qualify
        score > lag(score) over (
            partition by scope, crime_type, window_months
            order by rank
        )
),

window_before as (
    select distinct
        scope,
        window_months
    from hotspots
    where month < $month
),

window_gone as (
    select window_before.*
    from window_before
    anti join ranking
        on
            window_before.scope = ranking.scope
            and window_before.window_months = ranking.window_months
)

select
    $month::varchar as month,
    (select count(*) from hotspot) as hotspots,
    count(*) as rankings,
    count(distinct scope) as scopes,
    count(*) filter (where is_broken) as broken_rankings,
    (select count(*) from out_of_order) as hotspots_out_of_order,
    (
        select count(*)
        from hotspot
        where not coalesce(crimes >= 1 and score > 0 and k >= 1, false)
    ) as cold_hotspots,
    (
        select count(*)
        from hotspot
        where
            not coalesce(largest_share > 0 and largest_share <= 1, false)
            or not coalesce(snap_points between 1 and crimes, false)
    ) as impossible_shares,
    (
        select count(*)
        from hotspot
        where crime_type <> 'Crime harm' and score is distinct from crimes
    ) as other_scores,
    string_agg(distinct scope, ', ' order by scope) filter (
        where coalesce(forces_present, 0) = 0
    ) as scopes_of_changing_forces,
    string_agg(distinct scope, ', ' order by scope) filter (where scope_k is distinct from k)
        as scopes_of_another_k,
    string_agg(distinct scope, ', ' order by scope) filter (
        where crime_type = 'All crime' and kind <> 'nation' and hotspots < k
    ) as scopes_not_filled,
    (select string_agg(distinct scope, ', ' order by scope) from window_gone) as scopes_gone
from ranking
