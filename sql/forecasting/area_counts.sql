-- area_counts: from lsoa_counts and lsoa_areas. One row is the crimes of one type in one LSOA in
-- one month; `unit_id` is the place of the LSOA among all of them, in the order of codes.
with area as (
    select
        lsoa21cd,
        row_number() over (order by lsoa21cd) - 1 as unit_id
    from lsoa_areas
)

select
    area.unit_id,
    lsoa_counts.month,
    lsoa_counts.crime_type,
    lsoa_counts.crimes
from lsoa_counts
inner join area
    on lsoa_counts.lsoa21cd = area.lsoa21cd
