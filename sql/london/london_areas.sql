-- london_areas: from lsoa_areas. One row is an LSOA of Greater London; `in_study` says whether the
-- London study has it: $left_out are those of the City of London that it takes out.
select
    lsoa21cd,
    area_km2,
    not list_contains($left_out, lsoa21cd) as in_study
from lsoa_areas
where force in ('metropolitan', 'city-of-london')
order by lsoa21cd
