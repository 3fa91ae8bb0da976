-- foretold: from lsoa_predictions of one cut-off and model, and lsoa_areas. One row is an LSOA of
-- $scope with the classes that are foretold of it (split in time) and its outline.
with of_label as (
    select
        lsoa21cd,
        max(predicted) filter (where label = 'is_hotspot') as is_hotspot,
        max(probabilities[2]) filter (where label = 'is_hotspot') as hotspot_probability,
        max(predicted) filter (where label = 'tier') as tier,
        max(probabilities[4]) filter (where label = 'tier') as very_high_probability,
        max(array_to_string(conformal_set, ' ')) filter (where label = 'tier') as tier_set,
        max(predicted) filter (where label = 'bivariate') as bivariate,
        max(array_to_string(conformal_set, ' ')) filter (where label = 'bivariate') as bivariate_set
    from lsoa_predictions
    where scope = $scope and split = 'time'
    group by lsoa21cd
)

select
    of_label.lsoa21cd,
    lsoa_areas.lsoa21nm,
    lsoa_areas.force,
    of_label.is_hotspot::integer as is_hotspot,
    of_label.hotspot_probability,
    of_label.tier::integer as tier,
    of_label.very_high_probability,
    of_label.tier_set,
    of_label.bivariate,
    of_label.bivariate_set,
    lsoa_areas.geometry
from of_label
inner join lsoa_areas
    on of_label.lsoa21cd = lsoa_areas.lsoa21cd
order by of_label.lsoa21cd
