-- Files that no archive of $release can hold. From archive_index.
select
    crime_month,
    force,
    count(*) as files
from archive_index
group by crime_month, force
having count(*) > 1 or crime_month > $release
order by crime_month, force
