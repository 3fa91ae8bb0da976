-- The hottest cell of each crime type in the whole area. From hotspots of one month, $nation and
-- $window_months.
select
    crime_type,
    hex_id,
    crimes,
    tied,
    snap_points,
    largest_share
from hotspots
where scope = $nation and window_months = $window_months and rank = 1
order by
    crimes desc,
    crime_type asc
