-- shown_cells: from hotspot_frequency, hot_months, cell_pairs, pair_places, hex_cells and
-- lsoa_areas. One row is one cell of one ranking as the map shows it, in the order of the ranks.
select
    frequency.scope,
    frequency.crime_type,
    frequency.window_months,
    frequency.rank,
    frequency.hex_id,
    frequency.hits,
    frequency.persistence,
    coalesce(hot.hot, 0)::bigint as hot,
    hot.points,
    hot.largest,
    pair.pair,
    cell.force,
    area.lsoa21nm as lsoa,
    place.place
from hotspot_frequency as frequency
inner join cell_pairs as pair
    on
        if(frequency.crime_type = 'Crime harm', 'All crime', frequency.crime_type)
        = pair.crime_type
        and frequency.hex_id = pair.hex_id
left join hot_months as hot
    on
        frequency.scope = hot.scope
        and frequency.crime_type = hot.crime_type
        and frequency.window_months = hot.window_months
        and frequency.hex_id = hot.hex_id
left join pair_places as place on pair.pair = place.pair
left join hex_cells as cell on frequency.hex_id = cell.hex_id
left join lsoa_areas as area on cell.lsoa21cd = area.lsoa21cd
order by
    frequency.scope,
    frequency.crime_type,
    frequency.window_months,
    frequency.rank
