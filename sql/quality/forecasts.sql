-- forecasts: the profile of forecasts that $model, whose role is $role, made in $month. From
-- forecasts of that month and the one before. One row is the month. The whole area is looked at by
-- all crime and the first horizon.
with forecast as (
    select
        *,
        min(horizon_steps) over () as first_horizon
    from forecasts
    where model = $model
),

ranking as (
    select
        unit,
        scope,
        crime_type,
        step,
        horizon_steps,
        count(*) as units,
        count(distinct unit_id) as distinct_units,
        max(rank) as last_rank,
        count(distinct score) as scores,
        sum(expected_crimes) as expected_crimes
    from forecast
    where month = $month
    group by all
),

whole_area as (
    select
        month,
        unit,
        unit_id
    from forecast
    where
        scope in ('england-and-wales', 'study-area')
        and crime_type = 'All crime'
        and horizon_steps = first_horizon
),

overlap as (
    select
        unit,
        count(*) filter (where months = 2) / count(*) as jaccard
    from (
        select
            unit,
            unit_id,
            count(distinct month) as months
        from whole_area
        group by all
    )
    where (select count(distinct month) from whole_area) = 2
    group by unit
),

lost_scope as (
    select
        unit,
        scope
    from forecast
    where month < $month
    except
    select
        unit,
        scope
    from forecast
    where month = $month
)

select
    $month::varchar as month,
    (select count(*) from ranking) as rankings,
    (select count(distinct scope) from ranking) as scopes,
    (select count(*) from lost_scope) as scopes_lost,
    (
        select count(*)
        from ranking
        where distinct_units < units or last_rank != units
    ) as broken_rankings,
    (
        select count(*)
        from forecast
        where month = $month and not coalesce(isfinite(score), false)
    ) as scores_not_finite,
    (
        select count(*)
        from forecast
        where month = $month and expected_crimes < 0
    ) as impossible_expectations,
    (
        select count(*) filter (where scores = 1 and units > 1) / count(*)
        from ranking
        where crime_type = 'All crime'
    ) as share_without_order,
    case when $role != 'floor' then (select min(jaccard) from overlap) end
        as jaccard_with_month_before
