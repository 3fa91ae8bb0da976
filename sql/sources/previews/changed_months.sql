-- What a release changed in each month, all forces together. From release_changes.
select
    crime_month as month,
    count(*) filter (where change = 'new') as new_files,
    count(*) filter (where change = 'revised') as revised_files,
    count(*) filter (where change = 'withdrawn') as withdrawn_files,
    sum(rows_before) as rows_before,
    sum(rows_after) as rows_after
from release_changes
where crime_type = 'All crime'
group by crime_month
order by crime_month desc
