-- Forecasts that break the rule of gldnet_forecasts: each segment of the network has one score for
-- each crime type, and it is finite. One row is a crime type that breaks it. Needs street_segments.
select
    crime_type,
    count(*) as scores,
    count(distinct segment_id) as segments,
    (select count(*) from street_segments) as segments_of_the_network,
    count(*) filter (where not coalesce(isfinite(score), false)) as scores_not_finite
from gldnet_forecasts
group by crime_type
having
    scores != segments
    or segments != segments_of_the_network
    or scores_not_finite > 0
order by crime_type
