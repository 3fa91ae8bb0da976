-- mps_lsoa_years: from merged_years, the two files of the Metropolitan Police as one. One row is
-- the crimes of one type in one area in one year; none is nought.
select
    lsoa21cd,
    year,
    crime_type,
    crimes,
    lines
from merged_years
order by
    lsoa21cd,
    year,
    crime_type
