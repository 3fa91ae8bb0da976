-- numbered_cells: from shown_cells and cell_names. One row is a row of shown_cells, with numbers
-- for names, -1 where there is none, and for the class of persistence: its place in $classes.
select
    cell.pair,
    cell.hex_id,
    cell.hits,
    cell.hot,
    (list_position($classes::varchar[], cell.persistence) - 1)::integer as persistence,
    coalesce(cell.points, -1)::integer as points,
    coalesce(round(100 * cell.largest), -1)::integer as largest,
    coalesce(force.nth, -1)::integer as force,
    coalesce(lsoa.nth, -1)::integer as lsoa,
    coalesce(place.nth, -1)::integer as place
from shown_cells as cell
left join cell_names as force on force.kind = 'force' and cell.force = force.name
left join cell_names as lsoa on lsoa.kind = 'lsoa' and cell.lsoa = lsoa.name
left join cell_names as place on place.kind = 'place' and cell.place = place.name
order by
    cell.scope,
    cell.crime_type,
    cell.window_months,
    cell.rank
