-- yearly_counts: from lsoa_counts of $months (the earliest first). One row is the crimes of one
-- type (one of $crime_types) in one LSOA in one year of twelve months, counted back from the last
-- month: year 0 ends with it.
select
    lsoa21cd,
    list_position($crime_types::varchar[], crime_type) - 1 as type_at,
    (len($months::varchar[]) - list_position($months::varchar[], month)) // 12 as year_back,
    sum(crimes) as crimes
from lsoa_counts
where list_contains($crime_types::varchar[], crime_type)
group by all
order by all
