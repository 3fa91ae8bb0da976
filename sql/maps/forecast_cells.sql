-- forecast_cells: from forecasts of cells, made 1, 3 and 12 months before the map's month, scopes
-- and complete_windows. One row is the k cells of a ranking that a model foretold to be the hottest
-- in the months up to the map's, the hottest first; these months are complete, so that it is known
-- which were.
select
    forecast.scope,
    forecast.crime_type,
    forecast.horizon_steps as window_months,
    forecast.model,
    any_value(forecast.month) as cut_off,
    list(forecast.unit_id::integer order by forecast.rank) as hex_ids
from forecasts as forecast
inner join scopes as scope on forecast.scope = scope.scope
semi join complete_windows as happened
    on
        forecast.scope = happened.scope
        and forecast.crime_type = happened.crime_type
        and forecast.horizon_steps = happened.window_months
        and happened.month = $month
        and happened.complete
where
    forecast.step = 'month'
    and forecast.rank <= scope.k
    and forecast.month = strftime(
        strptime($month || '-01', '%Y-%m-%d') - to_months(forecast.horizon_steps), '%Y-%m'
    )
group by
    forecast.scope,
    forecast.crime_type,
    forecast.horizon_steps,
    forecast.model
order by
    forecast.scope,
    forecast.crime_type,
    forecast.horizon_steps,
    forecast.model
