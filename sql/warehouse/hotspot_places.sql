-- hotspot_places: from hotspots and hex_cells. One row is a hotspot with the place it lies in.
select
    hotspot.month,
    hotspot.scope,
    hotspot.crime_type,
    hotspot.window_months,
    hotspot.rank,
    hotspot.hex_id,
    hotspot.crimes,
    hotspot.tied,
    hotspot.snap_points,
    hotspot.largest_share,
    cell.easting,
    cell.northing,
    cell.force,
    cell.lsoa21cd
from hotspots as hotspot
left join hex_cells as cell
    on hotspot.hex_id = cell.hex_id
