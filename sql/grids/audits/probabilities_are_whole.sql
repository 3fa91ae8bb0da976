-- probabilities_are_whole: from grid_forecasts of one method and active_cells (cell). Rows are
-- predictions that lack an active cell, have one twice or another, or whose probability is none.
select
    mapping,
    crime_type,
    origin,
    count(*) as rows_of_cells,
    count(distinct forecast.cell) as distinct_cells,
    count(*) filter (where active.cell is null) as other_cells,
    count(*) filter (where not coalesce(probability between 0 and 1, false)) as no_probabilities,
    count(*) filter (where expected < 0 or not isfinite(expected)) as impossible_expectations
from grid_forecasts as forecast
left join active_cells as active
    on forecast.cell = active.cell
group by
    mapping,
    crime_type,
    origin
having
    rows_of_cells != (select count(*) from active_cells)
    or distinct_cells < rows_of_cells
    or other_cells > 0
    or no_probabilities > 0
    or impossible_expectations > 0
union all
select
    mapping,
    crime_type,
    max(origin) as origin,
    count(distinct origin) as rows_of_cells,
    null as distinct_cells,
    null as other_cells,
    null as no_probabilities,
    null as impossible_expectations
from grid_forecasts
group by
    mapping,
    crime_type
having count(distinct origin) != $origins
order by all
