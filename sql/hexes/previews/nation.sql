-- The figures of the whole area's rankings. From hotspot_summary of one month, $nation.
select
    crime_type,
    window_months,
    crimes,
    captured,
    jaccard,
    gini,
    modified_gini,
    tie_band
from hotspot_summary
where scope = $nation and complete
order by
    window_months,
    crime_type
