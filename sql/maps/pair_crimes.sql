-- pair_crimes: from cell_pairs and hex_counts of $months. One row is the crimes of one pair of cell
-- and type in one month, which is the `nth` of $months, from nought; none is no row.
with month_crimes as (
    select
        crime_type,
        hex_id,
        month,
        sum(crimes) as crimes
    from hex_counts
    semi join (select distinct hex_id from cell_pairs) as shown
        on hex_counts.hex_id = shown.hex_id
    group by
        crime_type,
        hex_id,
        month
),

typed_crimes as (
    select *
    from month_crimes
    union all
    select
        'All crime' as crime_type,
        hex_id,
        month,
        sum(crimes) as crimes
    from month_crimes
    group by
        hex_id,
        month
)

select
    pair.pair,
    (list_position($months::varchar[], typed.month) - 1)::integer as nth,
    typed.crimes::integer as crimes
from cell_pairs as pair
inner join typed_crimes as typed
    on
        pair.crime_type = typed.crime_type
        and pair.hex_id = typed.hex_id
