-- grid_leaderboard: the profile of grid_leaderboard of $city on a grid of $cells x $cells. One row
-- is the grid.
with ranking as (
    select
        mapping,
        crime_type,
        metric,
        count(*) as methods,
        count(distinct model) as distinct_methods,
        min(rank) as first_rank,
        count(*) filter (where model = 'persistence') as naive,
        count(*) filter (where kind != 'rule') as learning,
        count(*) filter (where rank = 1 and kind != 'rule') as led_by_learning
    from grid_leaderboard
    group by
        mapping,
        crime_type,
        metric
)

select
    $cells::varchar as cells,
    $city::varchar as city,
    count(*) as rankings,
    max(methods) as methods,
    count(*) filter (where distinct_methods < methods or first_rank != 1) as broken_rankings,
    (
        select count(*)
        from grid_leaderboard
        where
            not coalesce(isfinite(value), false)
            or low > high
            or difference_low > difference_high
            or rolling_low > rolling_high
    ) as impossible_figures,
    count(*) filter (where naive = 0) as rankings_without_persistence,
    avg((led_by_learning = 0)::integer) filter (where learning > 0) as share_led_by_naive_rules
from ranking
