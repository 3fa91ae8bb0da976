-- Trials that break the rule of gldnet_trials: each trial stands once, and of each crime type the
-- best one is the one with the highest value. One row is what breaks it.
select
    crime_type,
    count(*) - count(distinct trial) as repeated_trials,
    count(*) filter (where best) as best_trials,
    max(value) as highest,
    max(value) filter (where best) as of_the_best
from gldnet_trials
group by crime_type
having
    repeated_trials > 0
    or best_trials != 1
    or of_the_best is distinct from highest
order by crime_type
