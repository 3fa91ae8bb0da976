-- densities_add_up: from lsoa_features of one cut-off, lsoa_areas and counted (lsoa21cd, crimes of
-- the last year). Rows are areas that stand twice in a scope, or whose density times their size is
-- not what was counted in them.
select
    lsoa_features.scope,
    lsoa_features.lsoa21cd,
    count(*) as times,
    any_value(lsoa_features.density_last_year * lsoa_areas.area_km2) as crimes,
    any_value(coalesce(counted.crimes, 0)) as counted
from lsoa_features
inner join lsoa_areas
    on lsoa_features.lsoa21cd = lsoa_areas.lsoa21cd
left join counted
    on lsoa_features.lsoa21cd = counted.lsoa21cd
group by
    lsoa_features.scope,
    lsoa_features.lsoa21cd
having
    times > 1
    or not coalesce(abs(crimes - counted) < 1e-6 * greatest(1, counted), false)
