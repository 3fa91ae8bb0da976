-- scope_cells: the profile of scope_cells. From scope_cells, scopes and hex_cells. One row is the
-- table.
with scope_size as (
    select
        scope,
        count(*) as cells,
        count(distinct hex_id) as distinct_cells
    from scope_cells
    group by scope
),

scope as (
    select
        coalesce(scopes.scope, scope_size.scope) as scope,
        scopes.cells as promised_cells,
        coalesce(scope_size.cells, 0) as cells,
        coalesce(scope_size.distinct_cells, 0) as distinct_cells
    from scopes
    full join scope_size
        on scopes.scope = scope_size.scope
),

cell_of_two_forces as (
    select scope_cells.hex_id
    from scope_cells
    inner join scopes
        on scope_cells.scope = scopes.scope
    where scopes.kind = 'force'
    group by scope_cells.hex_id
    having count(distinct scope_cells.scope) > 1
),

stray_cell as (
    select scope_cells.hex_id
    from scope_cells
    anti join hex_cells
        on scope_cells.hex_id = hex_cells.hex_id
)

select
    sum(cells)::bigint as rows,
    count(*) as scopes,
    sum(cells - distinct_cells)::bigint as repeated_cells,
    string_agg(scope, ', ' order by scope) filter (
        where promised_cells is distinct from cells
    ) as scopes_of_another_size,
    (select count(*) from stray_cell) as cells_outside_the_study_area,
    (select count(*) from cell_of_two_forces) as cells_of_two_forces
from scope
