-- incident_categories: the profile of incident_categories of $city. From it and city_incidents. One
-- row is the city.
select
    $city::varchar as city,
    count(*) as categories,
    count(*) - count(distinct category) as repeated_categories,
    count(*) filter (
        where not coalesce(
            incidents > 0
            and known = (study is not null)
            and known = (corrected is not null),
            false
        )
    ) as impossible_categories,
    abs(coalesce(sum(incidents), 0) - (select count(*) from city_incidents))
        as incidents_missing_or_added,
    string_agg(category, ', ' order by incidents desc, category asc) filter (
        where not known
    ) as unknown_categories
from incident_categories
