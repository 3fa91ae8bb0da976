-- crimes_of_areas: from area_crimes (month, lsoa_code, crime_type, crimes). One row is the crimes
-- of one type in one month in one area; crimes without an area are left out.
select
    month,
    lsoa_code,
    crime_type,
    sum(crimes)::bigint as crimes
from area_crimes
where lsoa_code != ''
group by all
order by all
