-- grid_forecasts: from predicted_rows. One row is a cell at an origin, of one crime type.
select
    mapping,
    crime_type,
    origin,
    cell,
    probability,
    expected
from predicted_rows
order by
    mapping,
    crime_type,
    origin,
    cell
