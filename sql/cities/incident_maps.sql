-- incident_maps: from cell_counts of the incidents of a city, whose steps are days. One row is the
-- incidents of one day in one cell, of one pair of crime types; none is no row.
select
    step as day,
    cell,
    study,
    corrected,
    incidents
from cell_counts
order by
    step,
    cell,
    study nulls last,
    corrected nulls last
