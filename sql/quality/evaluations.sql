-- evaluations: the profile of evaluations of $model, whose role is $role, at the cut-off $month,
-- beside $naive_rule. From evaluations of both. One row is the month.
with figure as (
    select *
    from evaluations
    where month = $month and model = $model
),

-- hit rates in 5 % of the area: the model's and the naive rule's
compared as (
    select
        figure.high,
        naive.value as naive_value
    from figure
    inner join evaluations as naive
        on
            naive.month = $month
            and naive.model = $naive_rule
            and figure.unit = naive.unit
            and figure.scope = naive.scope
            and figure.crime_type = naive.crime_type
            and figure.step = naive.step
            and figure.horizon_steps = naive.horizon_steps
            and figure.metric = naive.metric
            and figure.coverage = naive.coverage
    where figure.metric = 'hit_rate' and figure.coverage = 0.05 and $model != $naive_rule
)

select
    $month::varchar as month,
    count(*) as figures,
    count(distinct scope) as scopes,
    count(distinct horizon_steps) as horizons,
    count(*) filter (where not coalesce(isfinite(value), false)) as figures_not_finite,
    count(*) filter (
        where value > tie_best + 1e-9 * greatest(1, abs(tie_best))
        or value < tie_worst - 1e-9 * greatest(1, abs(tie_worst))
    ) as figures_beyond_ties,
    count(*) filter (where metric = 'pei_star' and value < 1 - 1e-6 and $role = 'ceiling')
        as ceilings_not_reached,
    avg(value) filter (
        where metric = 'pai' and coverage = 0.2 and crime_type = 'All crime' and $role = 'floor'
    ) as pai_of_chance,
    avg((value < 1)::integer) filter (
        where metric = 'pai' and coverage = 0.2 and crime_type = 'All crime' and $role != 'floor'
    ) as share_below_chance,
    case
        when $role not in ('floor', 'ceiling')
            then (select avg((high < naive_value)::integer) from compared)
    end as share_lost_to_naive_rule
from figure
