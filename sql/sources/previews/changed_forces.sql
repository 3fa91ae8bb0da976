-- Which files a release revised or withdrew, those whose crimes changed most first.
-- From release_changes.
select
    crime_month as month,
    force,
    issue,
    change,
    rows_before,
    rows_after,
    rows_after - rows_before as difference
from release_changes
where crime_type = 'All crime' and change != 'new'
order by abs(rows_after - rows_before) desc, crime_month desc, force asc, issue asc
limit 40
