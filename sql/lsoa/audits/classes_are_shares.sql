-- classes_are_shares: from lsoa_labels of one cut-off. Rows are scopes in which a class is not the
-- share of the areas that it stands for: fewer than a quarter (or than have a crime) are hotspots;
-- not half, a quarter or a tenth lie above the limits of the tiers, where those that are level with
-- a limit lie below it; more than half or a quarter lie above those of the two types; a class is
-- there without a density; or an area that is hotter is in a lower class.
with hottest as (
    select
        scope,
        max(crime_density) filter (where not is_hotspot) as hottest_other,
        max(crime_density) filter (where tier = 0) as hottest_low,
        max(crime_density) filter (where tier <= 1) as hottest_medium,
        max(crime_density) filter (where tier <= 2) as hottest_high
    from lsoa_labels
    group by scope
)

select
    lsoa_labels.scope,
    count(crime_density) as areas,
    count(*) filter (where is_hotspot) as hotspots,
    count(*) filter (where crime_density > 0) as with_crime,
    count(*) filter (where tier >= 1) as above_half,
    count(*) filter (where tier >= 2) as above_three_quarters,
    count(*) filter (where tier = 3) as above_nine_tenths,
    count(*) filter (where crime_density = hottest_low) as level_with_half,
    count(*) filter (where crime_density = hottest_medium) as level_with_three_quarters,
    count(*) filter (where crime_density = hottest_high) as level_with_nine_tenths,
    count(*) filter (where bivariate[1] >= '1') as first_above_half,
    count(*) filter (where bivariate[1] = '2') as first_above_three_quarters,
    count(*) filter (where bivariate[3] >= '1') as second_above_half,
    count(*) filter (where bivariate[3] = '2') as second_above_three_quarters,
    count(*) filter (
        where
        (crime_density is null) != (is_hotspot is null)
        or (crime_density is null) != (tier is null)
        or (crime_density is null) != (bivariate is null)
    ) as half_known,
    count(*) filter (
        where
        (is_hotspot and crime_density <= hottest_other)
        or (tier >= 1 and crime_density <= hottest_low)
        or (tier >= 2 and crime_density <= hottest_medium)
        or (tier = 3 and crime_density <= hottest_high)
    ) as too_low
from lsoa_labels
inner join hottest
    on lsoa_labels.scope = hottest.scope
group by lsoa_labels.scope
having
    hotspots < least(floor(areas / 4), with_crime)
    or above_half > ceil(areas / 2)
    or above_three_quarters > ceil(areas / 4)
    or above_nine_tenths > ceil(areas / 10)
    or above_half + level_with_half < floor(areas / 2)
    or above_three_quarters + level_with_three_quarters < floor(areas / 4)
    or above_nine_tenths + level_with_nine_tenths < floor(areas / 10)
    or greatest(first_above_half, second_above_half) > ceil(areas / 2)
    or greatest(first_above_three_quarters, second_above_three_quarters) > ceil(areas / 4)
    or half_known > 0
    or too_low > 0
