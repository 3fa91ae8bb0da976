-- lsoa_labels: from computed_labels. One row is an LSOA in a scope, and what became of it.
select
    scope,
    lsoa21cd,
    force,
    crime_density,
    is_hotspot,
    tier,
    bivariate
from computed_labels
order by
    scope,
    lsoa21cd
