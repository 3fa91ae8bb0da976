-- figures_fit: figures of evaluations that cannot be: not finite, twice there, a share outside 0
-- to 1, a value beyond its best or worst tie, an interval that is none, or a hit rate that falls as
-- the coverage grows. Rounding may be off by 1e-9.
with compared as (
    select
        *,
        lag(value) over (
            partition by scope, crime_type, step, horizon_steps, split, metric
            order by coverage nulls first
        ) as value_before,
        count(*) over (
            partition by scope, crime_type, step, horizon_steps, split, metric, coverage
        ) as times
    from evaluations
)

select
    scope,
    crime_type,
    horizon_steps,
    metric,
    coverage,
    value
from compared
where
    not coalesce(isfinite(value), false)
    or times > 1
    or (
        metric in (
            'hit_rate', 'pei_star', 'f1', 'auroc', 'aucpr', 'hit_rate_area', 'brier', 'gini',
            'jaccard', 'rank_biased_overlap'
        )
        and value not between -1e-9 and 1 + 1e-9
    )
    or (
        metric in (
            'pai', 'recapture_rate_index', 'poisson_deviance', 'crimes', 'expected_crimes'
        )
        and value < -1e-9
    )
    or (metric = 'spearman' and value not between -1 - 1e-9 and 1 + 1e-9)
    or value > tie_best + 1e-9 * greatest(1, abs(tie_best))
    or value < tie_worst - 1e-9 * greatest(1, abs(tie_worst))
    or low > high
    or (metric in ('hit_rate', 'crimes', 'expected_crimes') and value < value_before - 1e-9)
order by
    scope,
    crime_type,
    horizon_steps,
    metric,
    coverage
