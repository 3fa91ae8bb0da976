-- Anonymous places that lie in more than one cell. From snap_counts.
select
    longitude,
    latitude,
    count(distinct hex_id) as cells
from snap_counts
group by
    longitude,
    latitude
having count(distinct hex_id) > 1
order by
    longitude,
    latitude
