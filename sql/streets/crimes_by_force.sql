-- crimes_by_force: from street_crimes of one month, point_segments, hex_cells and $networks (the
-- forces whose streets are known). One row is a publishing force: its located crimes, those on a
-- segment, and those beyond the limit, of them how many lie in the area of a force without a
-- network (by the cell of the grid: null where the grid is not in the lake).
with grid as (
    select count(*) as cells
    from hex_cells
)

select
    street_crimes.force,
    count(*) as located,
    count(point_segments.segment_id) as on_a_street,
    count(*) - count(point_segments.segment_id) as beyond_limit,
    if(
        any_value(grid.cells) = 0,
        null,
        count(*) filter (
            where point_segments.segment_id is null
            and hex_cells.force not in (select unnest($networks))
        )
    ) as of_these_without_network
from street_crimes
cross join grid
left join point_segments
    on
        street_crimes.easting = point_segments.easting
        and street_crimes.northing = point_segments.northing
left join hex_cells
    on street_crimes.hex_id = hex_cells.hex_id
where street_crimes.easting is not null
group by street_crimes.force
order by street_crimes.force
