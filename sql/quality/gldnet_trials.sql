-- gldnet_trials: the profile of gldnet_trials of $month and $forces. One row is a force. A crime
-- type has a best trial where one is marked, and it came to an end.
with asked as (
    select unnest($forces::varchar[]) as force
),

search as (
    select
        force,
        crime_type,
        count(*) as trials,
        count(*) - count(distinct trial) as repeated_trials,
        count(*) filter (where best) as best_trials,
        count(*) filter (
            where not coalesce(
                if(
                    state = 'complete',
                    value between 0 and 1,
                    state = 'failed' and value is null
                ),
                false
            )
        ) as impossible_values,
        count(*) filter (where state = 'failed') as failed_trials,
        max(value) as highest_value,
        max(value) filter (where best) as best_value
    from gldnet_trials
    where month = $month and list_contains($forces::varchar[], force)
    group by
        force,
        crime_type
)

select
    $month::varchar as month,
    asked.force,
    coalesce(sum(search.trials), 0)::bigint as trials,
    coalesce(sum(search.repeated_trials), 0)::bigint as repeated_trials,
    count(search.crime_type) filter (
        where search.best_trials != 1 or search.best_value is null
    ) as without_a_best,
    coalesce(sum(search.impossible_values), 0)::bigint as impossible_values,
    sum(search.failed_trials) / sum(search.trials) as failed_share,
    count(search.crime_type) filter (
        where search.best_value < search.highest_value
    ) as better_than_the_best
from asked
left join search
    on asked.force = search.force
group by asked.force
order by asked.force
