-- hotspot_frequency: the profile of hotspot_frequency of $month. From hotspot_frequency of that
-- month and of the month before it, and scopes. One row is the month.
with cell as (
    select *
    from hotspot_frequency
    where month = $month
),

ranking as (
    select
        scope,
        crime_type,
        window_months,
        min(rank) <> 1
        or max(rank) <> count(*)
        or count(distinct rank) <> count(*)
        or count(distinct hex_id) <> count(*)
        or count(distinct windows) <> 1 as is_broken
    from cell
    group by
        scope,
        crime_type,
        window_months
),

scope_gone as (
    select distinct scope
    from hotspot_frequency
    where month < $month
    except
    select scope
    from ranking
),

lasting_ranking as (
    select count(*) filter (where cell.persistence = 'persistent') as persistent_cells
    from cell
    inner join scopes
        on cell.scope = scopes.scope
    where scopes.kind = 'nation' and cell.crime_type = 'All crime' and cell.window_months = 12
    having count(*) > 0
)

select
    $month::varchar as month,
    count(*) as cells,
    (select count(*) from ranking) as rankings,
    (select count(*) filter (where is_broken) from ranking) as broken_rankings,
    count(*) filter (
        where not coalesce(
            hits between 1 and windows
            and windows <= 37 - window_months
            and 2 * windows >= 37 - window_months
            and abs(frequency - hits / windows) < 1e-9,
            false
        )
    ) as impossible_frequencies,
    count(*) filter (
        where not coalesce(
            persistence in ('persistent', 'emerging', 'former', 'intermittent')
            and (persistence = 'persistent') = (10 * hits >= 8 * windows),
            false
        )
    ) as misnamed_cells,
    count(*) filter (where persistence = 'persistent') / count(*) as persistent_share,
    (select persistent_cells from lasting_ranking) as persistent_cells_of_the_nation,
    (select string_agg(scope, ', ' order by scope) from scope_gone) as scopes_gone
from cell
