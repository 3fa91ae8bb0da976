-- rejected_incidents: from published_incidents. One row is a line that is no incident of the city.
select
    row,
    fields,
    reason
from published_incidents
where reason is not null
order by row
