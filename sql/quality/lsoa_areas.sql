-- lsoa_areas: the profile of lsoa_areas. One row is the table.
select
    count(*) as areas,
    count(*) - count(distinct lsoa21cd) as repeated_areas,
    count(*) filter (where not coalesce(area_km2 > 0, false) or geometry is null)
        as areas_without_size,
    max(abs(st_area(geometry) / 1e6 / area_km2 - 1)) as largest_difference_of_size,
    count(distinct force) as forces,
    1 - count(force) / count(*) as without_force_share
from lsoa_areas
