-- street_crime_issues: the crimes of one type in one issue of a force's file of a month.
-- From earlier_issues (this table as it was) and street_crimes (the file as it is now, of $release,
-- with the hash $sha256; $published says whether there is one). The file is a further issue where
-- it differs from the last one. `All crime` is there of each issue, also of one without a crime.
with last_issue as (
    select
        coalesce(max(issue), 0) as issue,
        arg_max(sha256, issue) as sha256
    from earlier_issues
),

counted_type as (
    select
        coalesce(crime_type::varchar, 'All crime') as crime_type,
        count(*) as crimes
    from street_crimes
    group by grouping sets ((crime_type), ())
)

select
    issue,
    release,
    sha256,
    published,
    crime_type,
    crimes
from earlier_issues

union all

select
    last_issue.issue + 1 as issue,
    $release::varchar as release,
    $sha256::varchar as sha256,
    $published::boolean as published,
    counted_type.crime_type,
    counted_type.crimes
from counted_type
cross join last_issue
where last_issue.sha256 is distinct from $sha256
order by issue asc, crime_type asc
