-- Days whose incidents are not all on their maps, and days with a cell that a grid of $cells cells
-- has not. From incident_maps and city_incidents.
with found as (
    select
        time::date as day,
        count(*) as incidents
    from city_incidents
    group by time::date
),

mapped as (
    select
        day,
        sum(incidents) as incidents,
        count(*) filter (where cell < 0 or cell >= $cells) as cells_outside
    from incident_maps
    group by day
)

select
    coalesce(found.day, mapped.day) as day,
    found.incidents as found,
    mapped.incidents as mapped,
    mapped.cells_outside
from found
full join mapped
    on found.day = mapped.day
where found.incidents is distinct from mapped.incidents or mapped.cells_outside > 0
order by coalesce(found.day, mapped.day)
