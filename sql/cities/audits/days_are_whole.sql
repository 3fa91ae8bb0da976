-- Days that incident_days does not hold once, with their incidents. From it and city_incidents.
with found as (
    select
        time::date as day,
        count(*) as incidents
    from city_incidents
    group by time::date
),

listed as (
    select
        day,
        sum(incidents) as incidents,
        count(*) as lines,
        lead(day) over (order by day) as next_day
    from incident_days
    group by day
)

select
    coalesce(found.day, listed.day) as day,
    found.incidents as found,
    listed.incidents as listed
from found
full join listed
    on found.day = listed.day
where
    coalesce(found.incidents, 0) is distinct from listed.incidents
    or listed.lines <> 1
    or listed.next_day > listed.day + 1
order by coalesce(found.day, listed.day)
