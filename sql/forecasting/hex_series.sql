-- hex_series: crimes of every cell by type and month, whichever force published them. From
-- hex_counts of $months. One row is a crime type in use, or all crime, in one month in one cell;
-- `column_at` is the place of the month in $months, after those of the types before it in
-- $crime_types (all crime comes last).
with sums as (
    select
        hex_id,
        coalesce(list_position($crime_types::varchar[], crime_type) - 1, len($crime_types))
            as crime_type_at,
        list_position($months::varchar[], month) - 1 as month_at,
        sum(crimes)::integer as crimes
    from hex_counts
    group by
        grouping sets (
            (crime_type, month, hex_id),
            (month, hex_id)
        )
    having grouping(crime_type) = 1 or list_contains($crime_types::varchar[], crime_type)
)

select
    hex_id,
    (crime_type_at * len($months) + month_at)::integer as column_at,
    crimes
from sums
order by
    hex_id,
    column_at
