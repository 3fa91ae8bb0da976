-- reconciliation: from street_crimes of one month and hex_cells. One row is where the crimes of
-- one force and one type went.
select
    crime.force,
    crime.crime_type,
    count(*) as crimes,
    count(*) filter (where crime.longitude is null) as unlocated,
    count(*) filter (where crime.longitude is not null and crime.hex_id is null) as outside_grid,
    count(*) filter (where crime.hex_id is not null and cell.hex_id is null) as outside_cells,
    count(cell.hex_id) as in_cells
from street_crimes as crime
left join hex_cells as cell
    on crime.hex_id = cell.hex_id
group by
    crime.force,
    crime.crime_type
order by
    crime.force,
    crime.crime_type
