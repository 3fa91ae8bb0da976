-- unit_series: crimes of every unit by type and month, whichever force published them. From
-- unit_counts (unit_id, month, crime_type, crimes) of $months. One row is a crime type in use, or
-- all crime, in one month in one unit; `column_at` is the place of the month in $months, after
-- those of the types before it in $crime_types (all crime comes last). Types and months are
-- numbers before they are grouped by: that takes a quarter less time.
with numbered as (
    select
        unit_id::integer as unit_id,
        list_position($crime_types::varchar[], crime_type)::utinyint as crime_type_at,
        (list_position($months::varchar[], month) - 1)::utinyint as month_at,
        crimes
    from unit_counts
),

sums as (
    select
        unit_id,
        month_at,
        if(grouping(crime_type_at) = 1, len($crime_types), crime_type_at - 1) as crime_type_at,
        sum(crimes)::integer as crimes
    from numbered
    group by
        grouping sets (
            (crime_type_at, month_at, unit_id),
            (month_at, unit_id)
        )
    having grouping(crime_type_at) = 1 or crime_type_at is not null
)

select
    unit_id,
    (crime_type_at * len($months) + month_at)::integer as column_at,
    crimes
from sums
order by
    unit_id,
    column_at
