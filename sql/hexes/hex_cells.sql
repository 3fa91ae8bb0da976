-- hex_cells: from areas (LSOAs and police force areas), centres_in_areas, coast_cells and
-- centre_rows. One row is one cell that intersects the study area, which is the union of the LSOAs,
-- with the LSOA and the police force area in which its centre lies, if any. A centre that two areas
-- share belongs to the one with the smaller code, hence the smaller area_id.
with owned_centre as (
    select
        centres_in_areas.hex_id,
        min(centres_in_areas.area_id) filter (areas.kind = 'lsoa') as lsoa_id,
        min(centres_in_areas.area_id) filter (areas.kind = 'force') as force_id
    from centres_in_areas
    inner join areas
        on centres_in_areas.area_id = areas.area_id
    group by centres_in_areas.hex_id
),

cell as (
    select hex_id
    from owned_centre
    where lsoa_id is not null
    union all
    select hex_id
    from coast_cells
)

select
    cell.hex_id,
    centre_rows.first_easting
    + 600 * ((cell.hex_id - centre_rows.first_id) // 1886) as easting,
    centre_rows.northing,
    force.area as force,
    lsoa.area as lsoa21cd
from cell
inner join centre_rows
    on
        cell.hex_id // 1804902 = centre_rows.centre_row % 2
        and cell.hex_id % 1804902 % 1886 = centre_rows.centre_row // 2
left join owned_centre
    on cell.hex_id = owned_centre.hex_id
left join areas as force
    on owned_centre.force_id = force.area_id
left join areas as lsoa
    on owned_centre.lsoa_id = lsoa.area_id
order by cell.hex_id
