-- grid_evaluations: the profile of grid_evaluations of $model, of $city on a grid of $cells x
-- $cells. One row is the grid.
with figure as (
    select *
    from grid_evaluations
    where model = $model
),

mean as (
    select
        mapping,
        crime_type,
        metric,
        max(value) filter (where origin is null) as of_table,
        avg(value) filter (where origin is not null) as of_months
    from figure
    where against is null
    group by
        mapping,
        crime_type,
        metric
)

select
    $cells::varchar as cells,
    $city::varchar as city,
    count(*) as figures,
    count(distinct crime_type) as crime_types,
    count(*) - count(
        distinct concat_ws(
            '|', mapping, crime_type, coalesce(origin::varchar, ''), coalesce(against, ''), metric
        )
    ) as repeated_figures,
    count(*) filter (
        where not coalesce(isfinite(value), false)
        or (against is null and value < -1e-9)
        or (against is null and not starts_with(metric, 'pai') and value > 1 + 1e-9)
    ) as impossible_figures,
    count(*) filter (where low > high or (low is null) != (high is null)) as broken_intervals,
    (
        select count(*)
        from mean
        where not coalesce(abs(of_table - of_months) < 1e-6, of_months is null)
    ) as means_not_of_months,
    min(value) filter (where metric = 'auroc' and origin is null and against is null)
        as least_auroc,
    arg_min(crime_type, value) filter (
        where metric = 'auroc' and origin is null and against is null
    ) as least_auroc_of,
    string_agg(crime_type || ': ' || metric, ', ' order by crime_type, metric) filter (
        where against = 'persistence' and high < 0
    ) as lost_to_persistence
from figure
