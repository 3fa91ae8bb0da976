-- The figures of All crime in the whole area, or in the first scope there is.
with whole_area as (
    select scope
    from evaluations
    order by
        scope = 'england-and-wales' desc,
        scope = 'study-area' desc,
        scope asc
    limit 1
)

select
    scope,
    horizon_steps as horizon,
    metric,
    coverage,
    round(value, 4) as value,
    round(low, 4) as low,
    round(high, 4) as high,
    round(tie_worst, 4) as worst_tie,
    round(tie_best, 4) as best_tie
from evaluations
where
    scope = (select scope from whole_area)
    and crime_type = 'All crime'
    and metric in ('hit_rate', 'pai', 'pei_star', 'auroc', 'aucpr', 'poisson_deviance')
    and (coverage is null or coverage in (0.01, 0.05, 0.2))
order by
    horizon_steps,
    metric,
    coverage
