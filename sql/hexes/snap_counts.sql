-- snap_counts: from street_crimes of one month. One row is the crimes of one type that are
-- published at one anonymous place, whichever force published them. A place that was published
-- under several names has the first of them.
with point_count as (
    select
        crime_type::crime_type_name as crime_type,
        hex_id,
        longitude,
        latitude,
        min(location) as location,
        count(*)::integer as crimes
    from street_crimes
    where hex_id is not null
    group by
        crime_type::crime_type_name,
        hex_id,
        longitude,
        latitude
)

select
    crime_type::varchar as crime_type,
    hex_id,
    longitude,
    latitude,
    location,
    crimes
from point_count
order by
    point_count.crime_type,
    hex_id,
    longitude,
    latitude
