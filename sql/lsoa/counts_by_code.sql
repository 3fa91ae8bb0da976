-- counts_by_code: from area_crimes of $month (counted already, by LSOA code), vintages (lsoa11cd,
-- lsoa21cd) and lsoa_areas. One row is the crimes of one type in one LSOA of 2021, as in
-- lsoa_counts, or (lsoa21cd null) under a code that is none. A code of 2011 that was split goes to
-- its successors in equal parts, for they were drawn with equal populations; what is left over goes
-- to those that a hash of area, type and month puts first.
with code as (
    select
        lsoa_code,
        crime_type,
        sum(crimes)::bigint as crimes
    from area_crimes
    where month = $month and coalesce(lsoa_code, '') != ''
    group by
        lsoa_code,
        crime_type
),

current_code as (
    select
        code.crime_type,
        code.lsoa_code as lsoa21cd,
        code.crimes,
        code.crimes as same_code
    from code
    inner join lsoa_areas
        on code.lsoa_code = lsoa_areas.lsoa21cd
),

successor as (
    select distinct
        vintages.lsoa11cd,
        vintages.lsoa21cd
    from vintages
    inner join lsoa_areas
        on vintages.lsoa21cd = lsoa_areas.lsoa21cd
),

old_code as (
    select
        code.crime_type,
        code.crimes,
        successor.lsoa21cd,
        count(*) over (partition by code.lsoa_code, code.crime_type) as successors,
        row_number() over (
            partition by code.lsoa_code, code.crime_type
            order by md5(concat_ws('|', successor.lsoa21cd, code.crime_type, $month))
        ) as place
    from code
    left join successor
        on code.lsoa_code = successor.lsoa11cd
    where code.lsoa_code not in (select lsoa21cd from lsoa_areas)
),

counted as (
    from current_code
    union all
    select
        crime_type,
        lsoa21cd,
        crimes // successors + if(place <= crimes % successors, 1, 0) as crimes,
        0 as same_code
    from old_code
)

select
    lsoa21cd,
    crime_type,
    sum(crimes)::integer as crimes,
    sum(same_code)::integer as same_code
from counted
where crimes > 0
group by
    lsoa21cd,
    crime_type
order by
    lsoa21cd,
    crime_type
