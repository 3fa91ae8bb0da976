-- street_crime_issues: the profile of street_crime_issues of $month. From street_crime_issues and
-- street_crimes of that month. One row is one of $forces.
with issue as (
    select
        force,
        issue,
        any_value(release) as release,
        any_value(sha256) as sha256,
        any_value(published) as published,
        count(*) - count(distinct crime_type) as repeated_types,
        sum(crimes) filter (where crime_type = 'All crime') as crimes,
        coalesce(sum(crimes) filter (where crime_type != 'All crime'), 0) as crimes_of_types
    from street_crime_issues
    group by force, issue
),

followed as (
    select
        *,
        row_number() over of_force as place,
        row_number() over (partition by force order by issue desc) as place_from_end,
        lag(sha256) over of_force as sha256_before,
        lag(release) over of_force as release_before,
        lag(published) over of_force as published_before,
        lag(crimes) over of_force as crimes_before
    from issue
    window of_force as (partition by force order by issue)
),

last_issue as (
    select *
    from followed
    where place_from_end = 1
),

force_issues as (
    select
        force,
        count(*) as issues,
        count(*) filter (where issue != place) as broken_numbers,
        sum(repeated_types) as repeated_types,
        count(*) filter (where crimes is distinct from crimes_of_types) as issues_not_adding_up,
        count(*) filter (where sha256 = sha256_before) as issues_without_a_difference,
        string_agg(release || ' after ' || release_before, ', ' order by issue) filter (
            where release < release_before
        ) as older_after_newer
    from followed
    group by force
),

kept as (
    select
        force,
        count(*) as crimes
    from street_crimes
    group by force
)

select
    $month::varchar as month,
    asked.force,
    coalesce(force_issues.issues, 0) as issues,
    force_issues.broken_numbers,
    force_issues.repeated_types,
    force_issues.issues_not_adding_up,
    force_issues.issues_without_a_difference,
    force_issues.older_after_newer,
    last_issue.crimes,
    abs(last_issue.crimes - coalesce(kept.crimes, 0)) as crimes_missing_or_added,
    last_issue.crimes / nullif(last_issue.crimes_before, 0) as volume_against_issue_before,
    if(last_issue.published_before and not last_issue.published, last_issue.release, null)
        as withdrawn_by
from (select unnest($forces::varchar[]) as force) as asked
left join force_issues
    on asked.force = force_issues.force
left join last_issue
    on asked.force = last_issue.force
left join kept
    on asked.force = kept.force
order by asked.force
