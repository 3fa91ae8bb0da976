-- area_neighbours: from areas (a `position` of each, and a `geometry`; polygons share their edges).
-- One row is a pair of areas with a corner of their outlines in common (queen contiguity).
with corner_point as (
    select
        position,
        unnest(st_dump(st_points(geometry))) as corner
    from areas
),

corner as (
    select distinct
        position,
        st_x(corner.geom) as easting,
        st_y(corner.geom) as northing
    from corner_point
)

select distinct
    one.position as one,
    other.position as other
from corner as one
inner join corner as other
    on
        one.easting = other.easting
        and one.northing = other.northing
        and one.position < other.position
order by
    one,
    other
