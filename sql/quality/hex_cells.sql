-- hex_cells: the profile of hex_cells. One row is the table.
select
    count(*) as cells,
    count(*) - count(distinct hex_id) as repeated_cells,
    count(*) filter (where hex_id_at(easting, northing) is distinct from hex_id) as misplaced_cells,
    count(distinct force) as forces,
    count(distinct lsoa21cd) as lsoas,
    1 - count(force) / count(*) as without_force_share,
    1 - count(lsoa21cd) / count(*) as without_lsoa_share,
    count(*) filter (where (force is null) <> (lsoa21cd is null)) / count(*) as disagreeing_share
from hex_cells
