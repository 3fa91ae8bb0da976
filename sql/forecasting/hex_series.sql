-- hex_series: crimes of every cell by type and month, whichever force published them. From
-- hex_counts of $months. One row is a crime type in use (by its place in $crime_types), or all
-- crime (its place is their number), in one month (by its place in $months) in one cell.
select
    coalesce(
        list_position($crime_types::varchar[], crime_type) - 1, len($crime_types::varchar[])
    )::tinyint as crime_type_at,
    (list_position($months::varchar[], month) - 1)::smallint as month_at,
    hex_id,
    sum(crimes)::integer as crimes
from hex_counts
group by
    grouping sets (
        (crime_type, month, hex_id),
        (month, hex_id)
    )
having grouping(crime_type) = 1 or list_contains($crime_types::varchar[], crime_type)
order by
    crime_type_at,
    month_at
