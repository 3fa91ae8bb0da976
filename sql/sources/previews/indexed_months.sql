-- What the archive holds of each month. From archive_index of one release.
select
    crime_month as month,
    count(*) as forces,
    sum(bytes) as bytes,
    sum(packed_bytes) as packed_bytes
from archive_index
group by crime_month
order by crime_month desc
