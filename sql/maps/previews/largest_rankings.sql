-- The rankings of the map with the most cells.
select
    scope,
    crime_type,
    window_months,
    count(*) as cells,
    max(hits) as most_hits
from shown_cells
group by
    scope,
    crime_type,
    window_months
order by
    cells desc,
    scope asc,
    crime_type asc,
    window_months asc
limit 8
