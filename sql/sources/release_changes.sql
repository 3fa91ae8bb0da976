-- release_changes: the crimes of one type in one force's file of one month that $release added or
-- changed. From street_crime_issues of the months that the release can hold: each issue that came
-- from it is compared with the issue before.
with issue as (
    select
        month,
        force,
        issue,
        any_value(release) as release,
        any_value(published) as published
    from street_crime_issues
    group by month, force, issue
),

changed_issue as (
    select
        issue.month,
        issue.force,
        issue.issue,
        before.release as release_before,
        case
            when not issue.published then 'withdrawn'
            when before.published then 'revised'
            else 'new'
        end as change
    from issue
    left join issue as before
        on
            issue.month = before.month
            and issue.force = before.force
            and issue.issue = before.issue + 1
    where issue.release = $release and (issue.published or before.published)
),

changed_type as (
    select distinct
        changed_issue.*,
        counted.crime_type
    from changed_issue
    inner join street_crime_issues as counted
        on
            changed_issue.month = counted.month
            and changed_issue.force = counted.force
            and counted.issue between changed_issue.issue - 1 and changed_issue.issue
)

select
    changed.month as crime_month,
    changed.force,
    changed.crime_type,
    changed.issue,
    changed.change,
    changed.release_before,
    if(changed.release_before is null, null, coalesce(before.crimes, 0)) as rows_before,
    coalesce(now.crimes, 0) as rows_after
from changed_type as changed
left join street_crime_issues as now
    on
        changed.month = now.month
        and changed.force = now.force
        and changed.issue = now.issue
        and changed.crime_type = now.crime_type
left join street_crime_issues as before
    on
        changed.month = before.month
        and changed.force = before.force
        and changed.issue = before.issue + 1
        and changed.crime_type = before.crime_type
order by crime_month, changed.force, changed.issue, changed.crime_type
