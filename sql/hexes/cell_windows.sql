-- cell_windows: what is ranked. From hex_counts (of the 12 months that end in $month) and
-- $weights, a JSON array of crime types with their weights in thousandths (empty: no Crime harm).
-- One row is a cell, a series (a crime type, All crime, Crime harm) and a window of $month, with a
-- score: crimes, or the sum of weights for Crime harm, whose crimes are those of all types (a type
-- without a weight weighs nothing). Scores are integers, in thousandths, so that no sum depends on
-- the order of its terms.
with cell_type as (
    select
        crime_type,
        hex_id,
        coalesce(sum(crimes) filter (where month = $month), 0)::integer as crimes_1,
        coalesce(sum(crimes) filter (where month >= $third_month), 0)::integer as crimes_3,
        sum(crimes)::integer as crimes_12
    from hex_counts
    group by
        crime_type,
        hex_id
),

weight as (
    select
        entry.crime_type,
        entry.thousandths
    from (
        select unnest(from_json($weights, '[{
            "crime_type": "varchar", "thousandths": "bigint"
        }]')) as entry
    )
),

cell_series as (
    select
        crime_type,
        hex_id,
        crimes_1,
        crimes_3,
        crimes_12,
        1000 * crimes_1::bigint as score_1,
        1000 * crimes_3::bigint as score_3,
        1000 * crimes_12::bigint as score_12
    from cell_type
    union all
    select
        'All crime' as crime_type,
        hex_id,
        sum(crimes_1)::integer as crimes_1,
        sum(crimes_3)::integer as crimes_3,
        sum(crimes_12)::integer as crimes_12,
        1000 * sum(crimes_1)::bigint as score_1,
        1000 * sum(crimes_3)::bigint as score_3,
        1000 * sum(crimes_12)::bigint as score_12
    from cell_type
    group by hex_id
    union all
    select
        'Crime harm' as crime_type,
        cell_type.hex_id,
        sum(cell_type.crimes_1)::integer as crimes_1,
        sum(cell_type.crimes_3)::integer as crimes_3,
        sum(cell_type.crimes_12)::integer as crimes_12,
        sum(coalesce(weight.thousandths, 0) * cell_type.crimes_1)::bigint as score_1,
        sum(coalesce(weight.thousandths, 0) * cell_type.crimes_3)::bigint as score_3,
        sum(coalesce(weight.thousandths, 0) * cell_type.crimes_12)::bigint as score_12
    from cell_type
    left join weight
        on cell_type.crime_type = weight.crime_type
    where $weights <> '[]'
    group by cell_type.hex_id
)

select
    crime_type,
    hex_id,
    1 as window_months,
    crimes_1 as crimes,
    score_1 as score
from cell_series
where score_1 > 0
union all
select
    crime_type,
    hex_id,
    3 as window_months,
    crimes_3 as crimes,
    score_3 as score
from cell_series
where score_3 > 0
union all
select
    crime_type,
    hex_id,
    12 as window_months,
    crimes_12 as crimes,
    score_12 as score
from cell_series
where score_12 > 0
