-- snap_counts: from street_crimes of one month. One row is the crimes of one type that are
-- published at one anonymous place, whichever force published them.
-- Grouped and sorted are not the types but their places in the alphabet, as in hex_counts.
with word as (
    select list(distinct crime_type order by crime_type) as crime_types
    from street_crimes
),

numbered_crime as (
    select
        list_position((select crime_types from word), crime_type)::usmallint as type_number,
        hex_id,
        longitude,
        latitude
    from street_crimes
    where hex_id is not null
),

point_count as (
    select
        type_number,
        hex_id,
        longitude,
        latitude,
        count(*)::integer as crimes
    from numbered_crime
    group by
        type_number,
        hex_id,
        longitude,
        latitude
)

select
    (select crime_types from word)[type_number] as crime_type,
    hex_id,
    longitude,
    latitude,
    crimes
from point_count
order by
    type_number,
    hex_id,
    longitude,
    latitude
