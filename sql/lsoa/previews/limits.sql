-- The limits of the tiers in each scope, in crimes / km² / year. From lsoa_labels of one cut-off.
select
    scope,
    count(crime_density) as areas,
    round(max(crime_density) filter (where tier = 0), 1) as low_to,
    round(max(crime_density) filter (where tier = 1), 1) as medium_to,
    round(max(crime_density) filter (where tier = 2), 1) as high_to,
    round(max(crime_density), 1) as very_high_to,
    count(*) filter (where crime_density is null) as unknown
from lsoa_labels
group by scope
order by
    areas desc,
    scope asc
limit 50
