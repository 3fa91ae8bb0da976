-- Combinations of an area, a year and a type that do not stand in mps_lsoa_years exactly once. From
-- mps_lsoa_years and london_areas.
with grid as (
    select
        area.lsoa21cd,
        years.year,
        types.crime_type
    from london_areas as area
    cross join (select distinct year from mps_lsoa_years) as years
    cross join (select distinct crime_type from mps_lsoa_years) as types
    where area.in_study
)

select
    coalesce(grid.lsoa21cd, counted.lsoa21cd) as lsoa21cd,
    coalesce(grid.year, counted.year) as year,
    coalesce(grid.crime_type, counted.crime_type) as crime_type,
    count(counted.crimes) as found
from grid
full join mps_lsoa_years as counted
    on
        grid.lsoa21cd = counted.lsoa21cd
        and grid.year = counted.year
        and grid.crime_type = counted.crime_type
group by all
having count(counted.crimes) <> 1 or count(grid.lsoa21cd) = 0
order by all
