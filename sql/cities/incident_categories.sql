-- incident_categories: from city_incidents and city_categories. One row is a category that occurs.
with counted as (
    select
        incident.category,
        incident.study,
        incident.corrected,
        count(*)::integer as incidents
    from city_incidents as incident
    group by
        incident.category,
        incident.study,
        incident.corrected
)

select
    counted.category,
    counted.incidents,
    counted.study,
    counted.corrected,
    counted.study is not null as known,
    nullif(category.note, '') as note
from counted
left join city_categories as category
    on lower(counted.category) = category.spelling
order by
    counted.incidents desc,
    counted.category asc
