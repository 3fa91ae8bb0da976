-- pair_places: from cell_pairs and snap_counts. One row is a pair of cell and type with the
-- anonymous place on which most of its crimes lie, without "On or near"; some have none.
with place_crimes as (
    select
        crime_type,
        hex_id,
        trim(regexp_replace(location, '^On or near\b', '')) as place,
        sum(crimes) as crimes
    from snap_counts
    semi join (select distinct hex_id from cell_pairs) as shown
        on snap_counts.hex_id = shown.hex_id
    where location is not null and location != 'No Location'
    group by
        crime_type,
        hex_id,
        place
),

typed_place as (
    select *
    from place_crimes
    union all
    select
        'All crime' as crime_type,
        hex_id,
        place,
        sum(crimes) as crimes
    from place_crimes
    group by
        hex_id,
        place
)

select
    pair.pair,
    arg_min(typed.place, (-typed.crimes, typed.place)) as place
from cell_pairs as pair
inner join typed_place as typed
    on
        pair.crime_type = typed.crime_type
        and pair.hex_id = typed.hex_id
where typed.place != ''
group by pair.pair
