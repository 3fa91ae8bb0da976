-- Categories that incident_categories does not hold once, with all their incidents. From it and
-- city_incidents.
with found as (
    select
        category,
        count(*) as incidents
    from city_incidents
    group by category
),

listed as (
    select
        category,
        sum(incidents) as incidents,
        count(*) as lines
    from incident_categories
    group by category
)

select
    coalesce(found.category, listed.category) as category,
    found.incidents as found,
    listed.incidents as listed
from found
full join listed
    on found.category = listed.category
where found.incidents is distinct from listed.incidents or listed.lines <> 1
order by coalesce(found.category, listed.category)
