-- area_edges: from areas. One row is one straight edge of an area's outline, those of its islands
-- and holes included, with its southern end first, so that two neighbours describe the edge that
-- they share by the same numbers. Without an order: nothing that is published depends on it.
with outline as (
    select
        area_id,
        unnest(st_dump(st_boundary(geometry))).geom as ring
    from areas
),

ring as (
    select
        area_id,
        list_transform(
            st_dump(st_points(ring)),
            lambda corner: struct_pack(northing := st_y(corner.geom), easting := st_x(corner.geom))
        ) as corners
    from outline
),

edge as (
    select
        area_id,
        unnest(corners[:-2]) as one_end,
        unnest(corners[2:]) as other_end
    from ring
)

select
    area_id,
    least(one_end, other_end).easting as south_easting,
    least(one_end, other_end).northing as south_northing,
    greatest(one_end, other_end).easting as north_easting,
    greatest(one_end, other_end).northing as north_northing
from edge
