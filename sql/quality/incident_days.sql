-- incident_days: the profile of incident_days of $city. From it and city_incidents. One row is the
-- city.
select
    $city::varchar as city,
    count(*) as days,
    count(*) - count(distinct day) as repeated_days,
    max(day) - min(day) + 1 - count(distinct day) as days_left_out,
    count(*) filter (
        where not coalesce(incidents >= 0 and observed is not null, false)
    ) as impossible_days,
    abs(coalesce(sum(incidents), 0) - (select count(*) from city_incidents))
        as incidents_missing_or_added,
    count(*) filter (where not observed) / nullif(count(*), 0) as unobserved_share,
    coalesce(sum(incidents) filter (where not observed), 0) / nullif(sum(incidents), 0)
        as share_on_unobserved
from incident_days
