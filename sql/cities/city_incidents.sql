-- city_incidents: from published_incidents and city_categories. One row is an incident.
select
    incident.row,
    incident.time,
    incident.category,
    category.study,
    category.corrected,
    incident.longitude,
    incident.latitude
from published_incidents as incident
left join city_categories as category
    on lower(incident.category) = category.spelling
where incident.reason is null
order by incident.row
