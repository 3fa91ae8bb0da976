-- point_areas: from street_crimes and lsoa_areas. One row is a distinct point, and the LSOA in
-- which it lies (null: in none). A point on an edge that two areas share belongs to the one with
-- the smaller code.
with point as (
    select distinct
        easting,
        northing
    from street_crimes
    where easting is not null
)

select
    point.easting,
    point.northing,
    min(lsoa_areas.lsoa21cd) as lsoa21cd
from point
left join lsoa_areas
    on st_intersects(lsoa_areas.geometry, st_point(point.easting, point.northing))
group by
    point.easting,
    point.northing
