-- cell_counts: from placed (step, longitude, latitude, study, corrected). One row is what lies in
-- one cell of the grid of $p x $p cells in one step, of one pair of types; none is no row.
with located as (
    select
        step,
        study,
        corrected,
        grid_cell(longitude, latitude, $west, $south, $east, $north, $p) as cell
    from placed
)

select
    step,
    cell,
    study,
    corrected,
    count(*)::integer as incidents
from located
where cell is not null
group by
    step,
    cell,
    study,
    corrected
order by
    step,
    cell,
    study nulls last,
    corrected nulls last
