-- hot_segments: from street_segments and segment_counts of the twelve months that end in $month.
-- One row is a segment of one force, type and window with the most crimes: so many that they fill
-- a hundredth of the force's street length, and 20 at least.
with counted as (
    select
        force,
        segment_id,
        crime_type,
        month,
        crimes
    from segment_counts
    union all
    select
        force,
        segment_id,
        'All crime' as crime_type,
        month,
        crimes
    from segment_counts
),

window_length as (
    select unnest([1, 3, 12]) as window_months
),

window_crimes as (
    select
        counted.force,
        counted.segment_id,
        counted.crime_type,
        span.window_months,
        sum(counted.crimes)::integer as crimes
    from counted
    inner join window_length as span
        on
            counted.month > strftime(
                strptime($month || '-01', '%Y-%m-%d') - to_months(span.window_months), '%Y-%m'
            )
    group by
        counted.force,
        counted.segment_id,
        counted.crime_type,
        span.window_months
),

network_length as (
    select
        force,
        sum(length_m) as length_m
    from street_segments
    group by force
)

select
    crimes.force,
    crimes.crime_type,
    crimes.window_months,
    crimes.segment_id,
    crimes.crimes
from window_crimes as crimes
inner join street_segments as segment
    on
        crimes.force = segment.force
        and crimes.segment_id = segment.segment_id
inner join network_length as network on crimes.force = network.force
window
    ranking as (
        partition by crimes.force, crimes.crime_type, crimes.window_months
        order by
            crimes.crimes desc,
            crimes.segment_id asc
    )
qualify
    row_number() over ranking <= 20
    or sum(segment.length_m) over ranking <= network.length_m / 100
order by
    crimes.force asc,
    crimes.crime_type asc,
    crimes.window_months asc,
    crimes.crimes desc,
    crimes.segment_id asc
