-- city_incidents: the profile of city_incidents of $city. One row is the city. Years are compared
-- but for the first and the last, which may be parts of years.
with of_year as (
    select
        year(time) as year,
        count(*) as incidents,
        min(year(time)) over () as first_year,
        max(year(time)) over () as last_year
    from city_incidents
    group by year(time)
),

compared as (
    select
        year,
        incidents / median(incidents) over () as volume
    from of_year
    where year > first_year and year < last_year
),

place as (
    select count(*) as incidents
    from city_incidents
    group by
        longitude,
        latitude
)

select
    $city::varchar as city,
    count(*) as incidents,
    min(time)::date as first_day,
    max(time)::date as last_day,
    count(*) - count(distinct row) as repeated_rows,
    count(*) filter (
        where time is null or category is null or longitude is null or latitude is null
    ) as incomplete_incidents,
    count(*) filter (
        where not coalesce(
            (study is null) = (corrected is null)
            and coalesce(study, 'Other') in (
                'Homicide', 'Robbery', 'Arson', 'Vice', 'Motor vehicle', 'Narcotics', 'Assault',
                'Theft', 'Burglary', 'Other'
            )
            and coalesce(corrected, 'Other') in (
                'Homicide', 'Robbery', 'Arson', 'Vice', 'Motor vehicle', 'Narcotics', 'Assault',
                'Theft', 'Burglary', 'Other'
            ),
            false
        )
    ) as unlisted_types,
    count(*) filter (where study is null) / nullif(count(*), 0) as unknown_share,
    (select max(incidents) from place) / nullif(count(*), 0) as busiest_place_share,
    (select min(volume) from compared) as least_volume,
    (select arg_min(year, volume)::varchar from compared) as least_volume_of
from city_incidents
