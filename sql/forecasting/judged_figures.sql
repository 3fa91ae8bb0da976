-- judged_figures: from evaluations. One row is a figure of $scope and $unit whose outcome was known
-- by $month, of a metric that models are ranked by or that the report draws.
select
    month,
    model,
    unit,
    scope,
    crime_type,
    step,
    horizon_steps,
    metric,
    coverage,
    value,
    low,
    high,
    tie_best,
    tie_worst,
    units,
    crimes
from evaluations
where
    unit = $unit
    and scope = $scope
    and list_contains($metrics::varchar[], metric)
    and strftime(
        strptime(month || '-01', '%Y-%m-%d') + to_months(horizon_steps::integer), '%Y-%m'
    ) <= $month
order by
    crime_type,
    horizon_steps,
    metric,
    coverage nulls first,
    month,
    model
