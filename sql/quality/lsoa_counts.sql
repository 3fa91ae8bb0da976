-- lsoa_counts: the profile of lsoa_counts of $month. From lsoa_counts and coverage of that month,
-- and lsoa_areas. One row is the month.
with counted as (
    select
        lsoa21cd,
        crime_type,
        sum(crimes) as crimes,
        sum(same_code) as same_code,
        count(*) as rows_of_it,
        count(*) filter (
            where not coalesce(crimes > 0 and same_code between 0 and crimes, false)
        ) as impossible_counts
    from lsoa_counts
    where month = $month
    group by
        lsoa21cd,
        crime_type
),

located as (
    select sum(located) as crimes
    from coverage
    where month = $month
)

select
    $month::varchar as month,
    coalesce(sum(crimes), 0) as crimes,
    count(distinct lsoa21cd) as areas,
    count(distinct crime_type) as crime_types,
    coalesce(sum(rows_of_it - 1), 0) as repeated_counts,
    count(*) filter (where lsoa21cd not in (select lsoa21cd from lsoa_areas)) as unknown_areas,
    coalesce(sum(impossible_counts), 0) as impossible_counts,
    1 - sum(crimes) / (select crimes from located) as outside_areas_share,
    sum(same_code) / sum(crimes) as same_code_share
from counted
