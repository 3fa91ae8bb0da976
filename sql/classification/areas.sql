-- areas: from lsoa_features and lsoa_labels of $month, and lsoa_areas. One row is an LSOA of $scope
-- as it was known at the cut-off, where it lies (the centroid, metres), and what became of it (null
-- where that is not known).
select
    lsoa_features.*, -- noqa: AM04
    st_x(st_centroid(lsoa_areas.geometry)) as easting,
    st_y(st_centroid(lsoa_areas.geometry)) as northing,
    lsoa_labels.crime_density as true_density,
    lsoa_labels.is_hotspot::integer::varchar as true_is_hotspot,
    lsoa_labels.tier::varchar as true_tier,
    lsoa_labels.bivariate as true_bivariate
from lsoa_features
inner join lsoa_areas
    on lsoa_features.lsoa21cd = lsoa_areas.lsoa21cd
left join lsoa_labels
    on
        lsoa_features.scope = lsoa_labels.scope
        and lsoa_features.lsoa21cd = lsoa_labels.lsoa21cd
        and lsoa_labels.month = $month
where lsoa_features.month = $month and lsoa_features.scope = $scope
order by lsoa_features.lsoa21cd
