-- evaluations: from evaluation_rows, the figures of one model, one unit kind and one cut-off. One
-- row is one figure; one that has no coverage, interval or tie has null there.
select
    scope,
    crime_type,
    step,
    horizon_steps,
    split,
    metric,
    case when isnan(coverage) then null else coverage end as coverage,
    value,
    case when isnan(low) then null else low end as low,
    case when isnan(high) then null else high end as high,
    case when isnan(tie_best) then null else tie_best end as tie_best,
    case when isnan(tie_worst) then null else tie_worst end as tie_worst,
    units,
    crimes
from evaluation_rows
order by
    scope,
    crime_type,
    horizon_steps,
    metric,
    coverage nulls first
