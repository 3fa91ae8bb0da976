-- Files whose types do not add up to their crimes. From release_changes.
select
    crime_month,
    force,
    issue
from release_changes
group by crime_month, force, issue
having
    sum(if(crime_type = 'All crime', rows_after, -rows_after)) != 0
    or sum(if(crime_type = 'All crime', rows_before, -rows_before)) != 0
order by crime_month, force, issue
