-- The hottest areas of the whole study area. From lsoa_features of one cut-off and lsoa_areas.
select
    lsoa_areas.lsoa21nm as area,
    lsoa_features.force,
    round(lsoa_features.density_last_year) as crimes_per_km2,
    round(lsoa_features.density_change) as change,
    lsoa_features.cluster_last_year as cluster,
    round(lsoa_features.neighbours_density_last_year) as neighbours,
    lsoa_features.lisa,
    lsoa_features.hot_cells
from lsoa_features
inner join lsoa_areas
    on lsoa_features.lsoa21cd = lsoa_areas.lsoa21cd
where lsoa_features.scope = $scope
order by
    lsoa_features.density_last_year desc,
    lsoa_features.lsoa21cd asc
limit 10
