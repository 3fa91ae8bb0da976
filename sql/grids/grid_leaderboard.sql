-- grid_leaderboard: from grid_evaluations of all methods of one city and grid, method_kinds (model,
-- kind) and published_figures (model, crime_type, metric, value). One row is a method's place.
with mean as (
    select *
    from grid_evaluations
    where origin is null
)

select
    mean.mapping,
    mean.crime_type,
    mean.metric,
    mean.coverage,
    rank() over (
        partition by mean.mapping, mean.crime_type, mean.metric
        order by mean.value desc
    )::integer as rank,
    mean.model,
    of_model.kind,
    mean.value,
    mean.low,
    mean.high,
    persistence.value as difference,
    persistence.low as difference_low,
    persistence.high as difference_high,
    rolling.value as rolling_difference,
    rolling.low as rolling_low,
    rolling.high as rolling_high,
    published.value as published
from mean
inner join method_kinds as of_model
    on mean.model = of_model.model
left join mean as persistence
    on
        mean.model = persistence.model
        and mean.mapping = persistence.mapping
        and mean.crime_type = persistence.crime_type
        and mean.metric = persistence.metric
        and persistence.against = 'persistence'
left join mean as rolling
    on
        mean.model = rolling.model
        and mean.mapping = rolling.mapping
        and mean.crime_type = rolling.crime_type
        and mean.metric = rolling.metric
        and rolling.against = 'rolling_mean'
left join published_figures as published
    on
        mean.model = published.model
        and mean.crime_type = published.crime_type
        and mean.metric = published.metric
where mean.against is null
order by
    mean.mapping,
    mean.crime_type,
    mean.metric,
    rank,
    mean.model
