-- outlines: from lsoa_areas, of the areas with the codes $codes. One row is a corner of an outline,
-- in metres. `position` is that of the area's code among $codes. A `ring` is closed: its last
-- corner is its first; an area has one for each of its parts and for each hole.
with asked as (
    select
        unnest($codes) as lsoa21cd,
        generate_subscripts($codes, 1) - 1 as position
),

outline as (
    select
        asked.position,
        unnest(st_dump(st_boundary(lsoa_areas.geometry))) as part
    from asked
    inner join lsoa_areas on asked.lsoa21cd = lsoa_areas.lsoa21cd
),

corner as (
    select
        position,
        coalesce(part.path[1], 1) as ring,
        unnest(st_dump(st_points(part.geom))) as part
    from outline
)

select
    position::integer as position,
    ring::integer as ring,
    st_x(part.geom) as easting,
    st_y(part.geom) as northing
from corner
order by
    position,
    ring,
    part.path[1]
