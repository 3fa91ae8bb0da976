-- point_areas: from street_crimes and lsoa_areas. One row is a distinct point, and the LSOA in
-- which it lies (null: in none). A point within a micrometre of an edge that two areas share
-- belongs to the one with the smaller code. st_dwithin takes two thirds of the time of
-- st_intersects; the micrometre is for its rounding, lest a point on an edge lie in neither.
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
    on st_dwithin(lsoa_areas.geometry, st_point(point.easting, point.northing), 1e-6)
group by
    point.easting,
    point.northing
