-- area_forces: from lsoa_areas and force_areas. One row is an LSOA, its size in square metres, and
-- the force in whose area it lies (null: in none).
select
    lsoa.code,
    st_area(lsoa.geometry) as size,
    force_areas.force
from lsoa_areas as lsoa
left join force_areas
    on st_contains(force_areas.geometry, st_pointonsurface(lsoa.geometry))
order by lsoa.code
