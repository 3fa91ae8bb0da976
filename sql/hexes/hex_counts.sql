-- hex_counts: from street_crimes of one month. One row is the crimes of one type that one force
-- published in one cell; a cell without a crime has no row.
with cell_count as (
    select
        force::force_slug as force,
        crime_type::crime_type_name as crime_type,
        hex_id,
        count(*)::integer as crimes
    from street_crimes
    where hex_id is not null
    group by
        force::force_slug,
        crime_type::crime_type_name,
        hex_id
)

select
    force::varchar as force,
    crime_type::varchar as crime_type,
    hex_id,
    crimes
from cell_count
order by
    cell_count.force,
    cell_count.crime_type,
    hex_id
