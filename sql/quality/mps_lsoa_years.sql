-- mps_lsoa_years: the profile of mps_lsoa_years. From it and lsoa_areas. One row is the table.
with area as (
    select
        lsoa21cd,
        sum(crimes) as crimes
    from mps_lsoa_years
    group by lsoa21cd
),

-- the areas of London but for the four of the City that the London study takes out
london as (
    select lsoa21cd
    from lsoa_areas
    where
        force in ('metropolitan', 'city-of-london')
        and lsoa21cd not in ('E01000001', 'E01000002', 'E01000003', 'E01000005')
),

year_total as (
    select
        year,
        sum(crimes) as crimes,
        sum(crimes) / lag(sum(crimes)) over (order by year) as change
    from mps_lsoa_years
    group by year
)

select
    count(distinct lsoa21cd) as areas,
    count(distinct year) as years,
    count(distinct crime_type) as crime_types,
    sum(crimes) as crimes,
    count(*) - count(distinct concat_ws('|', lsoa21cd, year, crime_type)) as repeated_counts,
    count(distinct lsoa21cd) * count(distinct year) * count(distinct crime_type)
    - count(distinct concat_ws('|', lsoa21cd, year, crime_type)) as gaps,
    (select count(*) from london anti join area on london.lsoa21cd = area.lsoa21cd)
        as areas_missing,
    (select count(*) from area anti join london on area.lsoa21cd = london.lsoa21cd)
        as areas_outside_london,
    max(year) - min(year) + 1 - count(distinct year) as years_missing,
    count(*) filter (
        where not coalesce(crimes >= 0 and lines >= 0 and (crimes = 0 or lines > 0), false)
    ) as impossible_counts,
    (select avg((crimes = 0)::integer) from area) as share_without_crime,
    (select min(change) from year_total) as least_change,
    (select arg_min(year, change)::varchar from year_total) as least_change_of,
    (select max(change) from year_total) as greatest_change,
    (select arg_max(year, change)::varchar from year_total) as greatest_change_of
from mps_lsoa_years
