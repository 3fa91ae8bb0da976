-- The hottest units of the whole area: All crime (or what there is), the first horizon.
select
    scope,
    crime_type,
    horizon_steps as horizon,
    rank,
    unit_id,
    round(score, 3) as score,
    round(expected_crimes, 2) as expected_crimes
from forecasts
qualify horizon_steps = min(horizon_steps) over ()
order by
    crime_type = 'All crime' desc,
    scope = 'england-and-wales' desc,
    scope = 'study-area' desc,
    scope asc,
    rank asc
limit 10
