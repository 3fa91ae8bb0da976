-- rankings_made: from complete_windows. The rankings of $month, which `hotspots` keeps beside its
-- rows: one row is a crime type and a window, with the scopes that were ranked.
select
    crime_type,
    window_months,
    list(scope order by scope) as scopes
from complete_windows
where complete and month = $month
group by
    crime_type,
    window_months
order by
    crime_type,
    window_months
