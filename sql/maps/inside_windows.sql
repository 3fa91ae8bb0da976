-- inside_windows: from complete_windows. One row is a window of a ranking that counts on the map:
-- it is complete and lies inside $months; the month it ends in is the `nth` of them, from nought.
select
    scope,
    crime_type,
    window_months,
    month,
    k,
    (list_position($months::varchar[], month) - 1)::integer as nth
from complete_windows
where complete and first_month >= list_min($months::varchar[])
