-- monthly_totals: from lsoa_counts of $months (the earliest first). One row is the crimes of all
-- types in one LSOA in one month, the position of which among the months is month_at.
select
    lsoa21cd,
    list_position($months::varchar[], month) - 1 as month_at,
    sum(crimes) as crimes
from lsoa_counts
group by
    lsoa21cd,
    month_at
order by
    lsoa21cd,
    month_at
