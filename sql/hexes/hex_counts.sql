-- hex_counts: from street_crimes of one month. One row is the crimes of one type that one force
-- published in one cell; a cell without a crime has no row.
select
    force,
    crime_type,
    hex_id,
    count(*)::integer as crimes
from street_crimes
where hex_id is not null
group by
    force,
    crime_type,
    hex_id
order by
    force,
    crime_type,
    hex_id
