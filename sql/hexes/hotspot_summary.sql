-- hotspot_summary: from complete_windows, scopes, score_histogram and hotspots of $month and of
-- the month before. One row is one ranking, whether its window is complete or not.
-- Gini over all cells of the scope, from the histogram: sum over scores, coldest first, of
-- cells/N x (2 x score reached before + score here) / total, taken from 1; empty cells add nothing.
with lorenz_step as (
    select
        scope,
        crime_type,
        window_months,
        cells,
        crimes,
        score,
        reached,
        k,
        cells * score as step_score,
        sum(cells * score) over (
            partition by scope, crime_type, window_months
            order by score
        ) as score_so_far
    from score_histogram
),

concentration as (
    select
        step.scope,
        step.crime_type,
        step.window_months,
        sum(step.crimes)::bigint as crimes,
        sum(step.step_score) as total_score,
        any_value(scope.cells) as all_cells,
        sum(step.step_score) / any_value(scope.cells) / 1000 as mean_score,
        1 - sum(
            step.cells::double / scope.cells * (2 * step.score_so_far - step.step_score)
            order by step.score
        ) / sum(step.step_score) as gini,
        coalesce(
            max(step.cells) filter (
                where step.reached > step.k and step.reached - step.cells < step.k
            ),
            0
        ) as tie_band
    from lorenz_step as step
    inner join scopes as scope
        on step.scope = scope.scope
    group by
        step.scope,
        step.crime_type,
        step.window_months
),

captured as (
    select
        scope,
        crime_type,
        window_months,
        sum(score) * 1000 as score
    from hotspots
    where month = $month
    group by
        scope,
        crime_type,
        window_months
),

hotspot_month as (
    select
        scope,
        crime_type,
        window_months,
        hex_id,
        count(*) as months
    from hotspots
    group by
        scope,
        crime_type,
        window_months,
        hex_id
),

shared as (
    select
        scope,
        crime_type,
        window_months,
        count(*) filter (where months = 2)::double / count(*) as jaccard
    from hotspot_month
    group by
        scope,
        crime_type,
        window_months
)

select
    ranking.scope,
    ranking.crime_type,
    ranking.window_months,
    ranking.complete,
    ranking.reason,
    if(ranking.complete, coalesce(concentration.crimes, 0), null) as crimes,
    (captured.score / concentration.total_score)::double as captured,
    if(ranking.complete and before.complete, shared.jaccard, null) as jaccard,
    concentration.gini,
    -- crimes may be a Poisson, a sum of weights is none
    if(
        ranking.crime_type = 'Crime harm',
        null,
        (concentration.gini - poisson_gini(concentration.mean_score))
        / (1 - poisson_gini(concentration.mean_score))
    ) as modified_gini,
    if(ranking.complete, coalesce(concentration.tie_band, 0), null) as tie_band
from complete_windows as ranking
left join complete_windows as before
    on
        before.month = $month_before
        and ranking.scope = before.scope
        and ranking.crime_type = before.crime_type
        and ranking.window_months = before.window_months
left join concentration
    on
        ranking.scope = concentration.scope
        and ranking.crime_type = concentration.crime_type
        and ranking.window_months = concentration.window_months
left join captured
    on
        ranking.scope = captured.scope
        and ranking.crime_type = captured.crime_type
        and ranking.window_months = captured.window_months
left join shared
    on
        ranking.scope = shared.scope
        and ranking.crime_type = shared.crime_type
        and ranking.window_months = shared.window_months
where ranking.month = $month
order by
    ranking.scope,
    ranking.crime_type,
    ranking.window_months
