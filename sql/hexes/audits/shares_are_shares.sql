-- Rankings with figures that cannot be. From hotspot_summary of one month.
select
    scope,
    crime_type,
    window_months,
    captured,
    jaccard,
    gini,
    modified_gini
from hotspot_summary
where
    captured not between 0 and 1
    or jaccard not between 0 and 1
    or gini not between 0 and 1
    or complete <> (reason is null)
    or (complete and crimes > 0 and (captured is null or gini is null))
order by
    scope,
    crime_type,
    window_months
