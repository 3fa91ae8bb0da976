-- segment_steps: from street_segments of $force and segment_counts of $month and of the $months
-- before it. One row is one type on one segment in $month, nought included; the type $all_crime is
-- the sum of all types, old ones too. `smoothed` is what the recursion s_t = alpha x_(t-1) +
-- (1 - alpha) s_(t-1) from s = 0 gives: the crimes of the month k months back, times alpha (1 -
-- alpha)^(k - 1). With $alpha a half, its terms are exact, and so is their sum in any order.
with published as (
    select
        segment_id,
        crime_type,
        month,
        crimes
    from segment_counts
    where force = $force
),

counted as (
    select *
    from published
    union all by name
    select
        segment_id,
        $all_crime as crime_type,
        month,
        sum(crimes) as crimes
    from published
    group by
        segment_id,
        month
),

step as (
    select
        segment_id,
        crime_type,
        sum(crimes) filter (where month = $month) as crimes,
        sum(
            crimes * $alpha
            * pow(
                1 - $alpha,
                date_diff('month', (month || '-01')::date, ($month || '-01')::date) - 1
            )
        ) filter (where list_contains($months, month)) as smoothed
    from counted
    group by
        segment_id,
        crime_type
)

select
    street_segments.segment_id,
    asked.crime_type,
    $month as step,
    coalesce(step.crimes, 0)::integer as crimes,
    coalesce(step.smoothed, 0)::double as smoothed
from street_segments
cross join (select unnest($crime_types) as crime_type) as asked
left join step
    on
        street_segments.segment_id = step.segment_id
        and asked.crime_type = step.crime_type
order by
    street_segments.segment_id,
    asked.crime_type
