-- earlier_issues: what is known of a force's file of a month that was read before issues were kept.
-- From street_crimes, as it was published from $release with the hash $sha256 ($published says
-- whether there was a file). Its columns are those of street_crime_issues; it is issue 1.
select
    1 as issue,
    $release::varchar as release,
    $sha256::varchar as sha256,
    $published::boolean as published,
    coalesce(crime_type::varchar, 'All crime') as crime_type,
    count(*) as crimes
from street_crimes
group by grouping sets ((crime_type), ())
order by crime_type
