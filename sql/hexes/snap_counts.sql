-- snap_counts: from street_crimes of one month. One row is the crimes of one type that are
-- published at one anonymous place, whichever force published them.
select
    crime_type,
    hex_id,
    longitude,
    latitude,
    count(*)::integer as crimes
from street_crimes
where hex_id is not null
group by
    crime_type,
    hex_id,
    longitude,
    latitude
order by
    crime_type,
    hex_id,
    longitude,
    latitude
