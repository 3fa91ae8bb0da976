-- The areas of the largest scope that are most probably in the highest tier. From lsoa_predictions
-- of one cut-off and model, and lsoa_areas.
with largest as (
    select scope
    from lsoa_predictions
    where split = 'time' and label = 'tier'
    group by scope
    order by
        count(*) desc,
        scope asc
    limit 1
)

select
    lsoa_predictions.scope,
    lsoa_areas.lsoa21nm as area,
    lsoa_predictions.predicted as tier,
    round(lsoa_predictions.probabilities[4], 3) as very_high,
    round(lsoa_predictions.probabilities[3], 3) as high,
    array_to_string(lsoa_predictions.conformal_set, ', ') as cannot_exclude
from lsoa_predictions
inner join largest
    on lsoa_predictions.scope = largest.scope
inner join lsoa_areas
    on lsoa_predictions.lsoa21cd = lsoa_areas.lsoa21cd
where lsoa_predictions.split = 'time' and lsoa_predictions.label = 'tier'
order by
    very_high desc,
    high desc,
    area asc
limit 10
