-- gldnet: the profile of gldnet of $month and $forces. One row is a force.
with asked as (
    select unnest($forces::varchar[]) as force
),

training as (
    select
        force,
        crime_type,
        count(*) as epochs,
        count(*) filter (where kept) as kept_epochs,
        count(*) filter (
            where not coalesce(isfinite(loss) and isfinite(validation_loss), false)
        ) as losses_not_finite,
        count(*) filter (
            where not coalesce(hit_rate, 0) between 0 and 1
            or not coalesce(validation_hit_rate, 0) between 0 and 1
        ) as impossible_hit_rates,
        arg_min(loss, epoch) as first_loss,
        min(loss) as lowest_loss,
        max(validation_hit_rate) filter (where kept) as kept_hit_rate
    from gldnet
    where month = $month and list_contains($forces::varchar[], force)
    group by
        force,
        crime_type
)

select
    $month::varchar as month,
    asked.force,
    coalesce(sum(training.epochs), 0)::bigint as epochs,
    count(training.crime_type) as models,
    count(training.crime_type) filter (where training.kept_epochs != 1) as without_one_kept_epoch,
    coalesce(sum(training.losses_not_finite), 0)::bigint as losses_not_finite,
    coalesce(sum(training.impossible_hit_rates), 0)::bigint as impossible_hit_rates,
    count(training.crime_type) filter (
        where training.epochs > 1 and training.lowest_loss >= training.first_loss
    ) as never_learnt,
    min(training.kept_hit_rate) as lowest_hit_rate
from asked
left join training
    on asked.force = training.force
group by asked.force
order by asked.force
