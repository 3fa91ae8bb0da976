-- rankings_are_whole: rankings of forecasts whose ranks are not 1 to n, that name a unit twice, or
-- whose scores are not finite or do not fall with the rank.
with compared as (
    select
        *,
        lag(score) over (
            partition by scope, crime_type, step, horizon_steps
            order by rank
        ) as score_before
    from forecasts
)

select
    scope,
    crime_type,
    step,
    horizon_steps,
    count(*) as units,
    count(distinct unit_id) as distinct_units,
    max(rank) as last_rank,
    count(*) filter (where not coalesce(isfinite(score), false)) as scores_not_finite,
    count(*) filter (where score > score_before) as scores_out_of_order,
    count(*) filter (where expected_crimes < 0 or not isfinite(expected_crimes))
        as impossible_expectations
from compared
group by
    scope,
    crime_type,
    step,
    horizon_steps
having
    count(distinct unit_id) < count(*)
    or count(distinct rank) < count(*)
    or min(rank) != 1
    or max(rank) != count(*)
    or scores_not_finite > 0
    or scores_out_of_order > 0
    or impossible_expectations > 0
order by
    scope,
    crime_type,
    step,
    horizon_steps
