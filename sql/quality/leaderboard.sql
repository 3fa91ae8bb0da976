-- leaderboard: the profile of leaderboard of $month. One row is the month. Beyond the ceiling
-- is said of the hit rate, which no model can have higher than perfect foresight on its cut-offs.
with ranking as (
    select
        unit,
        scope,
        crime_type,
        step,
        horizon_steps,
        metric,
        coverage,
        count(rank) as ranked,
        count(distinct rank) as ranks,
        count(*) as models,
        count(distinct model) as distinct_models,
        max(value) filter (where role in ('baseline', 'model') and rank is not null) as best,
        max(value) filter (where role = 'floor') as floor_value,
        max(value) filter (where role = 'ceiling') as ceiling_value
    from leaderboard
    where month = $month
    group by all
)

select
    $month::varchar as month,
    count(*) as rankings,
    count(*) filter (
        where
        distinct_models < models
        or (
            ranks = 0
            and metric not in (
                'recapture_rate_index', 'jaccard', 'spearman', 'rank_biased_overlap'
            )
        )
    ) as broken_rankings,
    (
        select count(*)
        from leaderboard
        where
            month = $month
            and (
                not coalesce(isfinite(value), false)
                or low > high
                or difference_low > difference_high
                or p_value not between 0 and 1
            )
    ) as impossible_figures,
    count(*) filter (where metric = 'hit_rate' and best > ceiling_value + 1e-9)
        as rankings_beyond_ceiling,
    avg((best <= floor_value)::integer) filter (
        where metric = 'hit_rate' and coverage = 0.2 and crime_type = 'All crime'
    ) as share_no_better_than_chance
from ranking
