-- The hottest segments of each crime type, as the UI shows them. From gldnet_forecasts and
-- street_segments.
select
    gldnet_forecasts.crime_type,
    row_number() over (
        partition by gldnet_forecasts.crime_type
        order by gldnet_forecasts.score desc, gldnet_forecasts.segment_id asc
    ) as rank,
    gldnet_forecasts.segment_id,
    street_segments.name,
    street_segments.length_m,
    gldnet_forecasts.score
from gldnet_forecasts
inner join street_segments
    on gldnet_forecasts.segment_id = street_segments.segment_id
qualify rank <= 5
order by
    gldnet_forecasts.crime_type,
    rank
