-- leaderboard: from leaderboard_rows, the models ranked scope by scope. One row is one model by one
-- metric. Models without a cut-off in common have no value and are left out.
select
    unit,
    scope,
    crime_type,
    step,
    horizon_steps,
    metric,
    coverage,
    rank,
    model,
    role,
    cut_offs,
    first_cut_off,
    last_cut_off,
    value,
    low,
    high,
    tie_best,
    tie_worst,
    against,
    difference,
    difference_low,
    difference_high,
    p_value,
    verdict,
    naive_difference,
    naive_low,
    naive_high,
    naive_verdict
from leaderboard_rows
where not (cut_offs = 0 and coalesce(isnan(value), true))
order by
    unit,
    scope,
    crime_type,
    step,
    horizon_steps,
    metric,
    coverage nulls first,
    rank nulls last,
    model
