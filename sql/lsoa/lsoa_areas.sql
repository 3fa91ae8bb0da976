-- lsoa_areas: from lsoa_boundaries and force_areas. One row is an LSOA of 2021, and the force in
-- whose area it lies: that of a point inside it (null: in none).
select
    lsoa.code as lsoa21cd,
    lsoa.name as lsoa21nm,
    min(force_areas.force) as force,
    st_area(any_value(lsoa.geometry)) / 1e6 as area_km2,
    any_value(lsoa.geometry) as geometry
from lsoa_boundaries as lsoa
left join force_areas
    on st_intersects(force_areas.geometry, st_pointonsurface(lsoa.geometry))
group by
    lsoa.code,
    lsoa.name
order by lsoa.code
