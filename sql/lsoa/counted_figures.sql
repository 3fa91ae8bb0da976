-- counted_figures: from area_crimes of $month and lsoa_counts as counts_by_code makes it. One row:
-- the crimes of the table, those without a code, those counted in an area, those under a code that
-- is no area, and those counted in an area whose code is not the one that they have.
with given as (
    select
        sum(crimes) as crimes,
        sum(crimes) filter (where coalesce(lsoa_code, '') = '') as without_code
    from area_crimes
    where month = $month
),

counted as (
    select
        sum(crimes) filter (where lsoa21cd is not null) as counted,
        sum(crimes) filter (where lsoa21cd is null) as outside_areas,
        sum(same_code) as same_code
    from lsoa_counts
)

select
    coalesce(given.crimes, 0) as crimes,
    coalesce(given.without_code, 0) as without_code,
    coalesce(counted.counted, 0) as counted,
    coalesce(counted.outside_areas, 0) as outside_areas,
    coalesce(counted.counted, 0) - coalesce(counted.same_code, 0) as published_with_another_code
from given
cross join counted
