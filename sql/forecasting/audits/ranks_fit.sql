-- ranks_fit: rows of leaderboard that cannot be: a model twice in a ranking, a value that is none,
-- an interval or a p value that is none, a ranked floor or ceiling, a verdict that is no word.
select
    unit,
    scope,
    crime_type,
    horizon_steps,
    metric,
    coverage,
    model
from leaderboard
where
    not coalesce(isfinite(value), false)
    or low > high
    or difference_low > difference_high
    or naive_low > naive_high
    or p_value not between 0 and 1
    or (rank is not null and role in ('floor', 'ceiling'))
    or verdict not in ('better', 'worse', 'no difference', 'too few cut-offs')
union all
select
    unit,
    scope,
    crime_type,
    horizon_steps,
    metric,
    coverage,
    model
from leaderboard
group by
    unit,
    scope,
    crime_type,
    step,
    horizon_steps,
    metric,
    coverage,
    model
having count(*) > 1
order by all
