-- lsoa_counts: from street_crimes of one month and point_areas. One row is the crimes of one type
-- in one LSOA; none is no row. `same_code` are those that were published with this very code.
select
    point_areas.lsoa21cd,
    street_crimes.crime_type,
    count(*)::integer as crimes,
    (count(*) filter (where street_crimes.lsoa_code = point_areas.lsoa21cd))::integer as same_code
from street_crimes
inner join point_areas
    on
        street_crimes.easting = point_areas.easting
        and street_crimes.northing = point_areas.northing
where point_areas.lsoa21cd is not null
group by
    point_areas.lsoa21cd,
    street_crimes.crime_type
order by
    point_areas.lsoa21cd,
    street_crimes.crime_type
