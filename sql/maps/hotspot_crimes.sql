-- hotspot_crimes: from hotspots, inside_windows and cell_pairs. One row is a hotspot of a
-- window that counts, with its pair and the crimes that the ranking gave it.
select
    pair.pair,
    hotspot.window_months,
    inside.nth,
    hotspot.crimes
from hotspots as hotspot
inner join inside_windows as inside
    on
        hotspot.scope = inside.scope
        and hotspot.crime_type = inside.crime_type
        and hotspot.window_months = inside.window_months
        and hotspot.month = inside.month
inner join cell_pairs as pair
    on
        if(hotspot.crime_type = 'Crime harm', 'All crime', hotspot.crime_type) = pair.crime_type
        and hotspot.hex_id = pair.hex_id
