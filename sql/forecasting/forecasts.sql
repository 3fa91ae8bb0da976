-- forecasts: from forecast_rows, what a model says of one unit kind at one cut-off. One row is one
-- unit for one horizon.
select
    scope,
    unit_id::varchar as unit_id,
    crime_type,
    step,
    horizon_steps,
    rank,
    score,
    case when isnan(expected_crimes) then null else expected_crimes end as expected_crimes
from forecast_rows
order by
    scope,
    crime_type,
    horizon_steps,
    rank
