-- grid_forecasts: the profile of grid_forecasts of $model, of $city on a grid of $cells x $cells.
-- One row is the grid.
with prediction as (
    select
        mapping,
        crime_type,
        origin,
        count(*) as rows_of_cells,
        count(distinct cell) as distinct_cells,
        count(distinct probability) as probabilities
    from grid_forecasts
    where model = $model
    group by
        mapping,
        crime_type,
        origin
)

select
    $cells::varchar as cells,
    $city::varchar as city,
    (select count(*) from prediction) as predictions,
    (select max(distinct_cells) from prediction) as active_cells,
    (
        select coalesce(sum(rows_of_cells - distinct_cells), 0)
        from prediction
    ) as repeated_cells,
    count(*) filter (where not coalesce(probability between 0 and 1, false))
        as impossible_probabilities,
    count(*) filter (where not coalesce(expected >= 0, true)) as impossible_expectations,
    (
        select count(*) - count(*) filter (where distinct_cells = most_cells)
        from (
            select
                distinct_cells,
                max(distinct_cells) over () as most_cells
            from prediction
        )
    ) as uneven_predictions,
    (
        select count(*)
        from prediction
        where probabilities = 1 and rows_of_cells > 1
    ) as predictions_without_order
from grid_forecasts
where model = $model
