-- rejected_incidents: the profile of rejected_incidents of $city. From it and city_incidents. One
-- row is the city.
select
    $city::varchar as city,
    count(*) as rejected_lines,
    count(*) / (count(*) + (select count(*) from city_incidents)) as rejected_share,
    count(*) filter (
        where reason in ('time in no known format', 'place is no number', 'too many fields')
    ) / (count(*) + (select count(*) from city_incidents)) as unreadable_share,
    count(*) filter (
        where fields is null or coalesce(reason, '') = ''
    ) as unexplained_lines,
    mode(reason) as commonest_reason
from rejected_incidents
