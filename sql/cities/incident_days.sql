-- incident_days: from city_incidents. One row is a day, from the first to the last with incidents.
-- A day is unobserved where chance does not explain how few incidents it has: fewer than a tenth of
-- the mean m of the days with incidents from 28 before it to 28 after it, and at most n
-- of them with a chance below $chance in a Poisson of that mean, by Chernoff's bound
-- exp(n - m - n ln(n / m)), which for n = 0 is the chance itself. Where the window has no incident
-- at all, m is the mean of all days with incidents.
with counted as (
    select
        time::date as day,
        count(*)::integer as incidents
    from city_incidents
    group by time::date
),

listed as (
    select unnest(range(min(day), max(day) + 1, interval 1 day))::date as day
    from counted
),

around as (
    select
        listed.day,
        coalesce(counted.incidents, 0) as incidents,
        coalesce(
            avg(counted.incidents) over (
                order by listed.day rows between 28 preceding and 28 following
            ),
            avg(counted.incidents) over ()
        ) as mean
    from listed
    left join counted
        on listed.day = counted.day
)

select
    day,
    incidents,
    incidents >= mean / 10
    or exp(
        incidents - mean - coalesce(incidents * ln(nullif(incidents, 0) / mean), 0)
    ) >= $chance as observed
from around
order by day
