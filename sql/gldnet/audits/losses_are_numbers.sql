-- Trainings that break the rule of gldnet: epochs 1 to n, each loss finite, and one epoch kept. One
-- row is a training that breaks it.
select
    crime_type,
    count(*) as epochs,
    count(distinct epoch) as distinct_epochs,
    max(epoch) as last_epoch,
    count(*) filter (
        where not coalesce(isfinite(loss) and isfinite(validation_loss), false)
    ) as losses_not_finite,
    count(*) filter (where kept) as kept_epochs
from gldnet
group by crime_type
having
    epochs != distinct_epochs
    or epochs != last_epoch
    or losses_not_finite > 0
    or kept_epochs != 1
order by crime_type
