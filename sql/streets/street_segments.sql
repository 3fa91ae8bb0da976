-- street_segments: from segments (of all streets around a force) and force_areas. One row is a
-- segment whose middle lies in the area of $force; on the border of two, in that of the first by
-- name.
with middle as (
    select
        segments.segment_id,
        min(force_areas.force) as force
    from segments
    inner join force_areas
        on st_intersects(force_areas.geometry, st_lineinterpolatepoint(segments.geometry, 0.5))
    group by segments.segment_id
)

select
    segments.segment_id,
    segments.name,
    segments.kind,
    segments.length_m,
    segments.geometry
from segments
inner join middle
    on segments.segment_id = middle.segment_id
where middle.force = $force
order by segments.segment_id
