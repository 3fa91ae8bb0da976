-- scopes: from areas (police force areas and the polygons of CRIME_SCOPES), hex_cells and
-- scope_cells. One row is one area that is ranked on its own: the nation ($nation), each force,
-- each polygon. k is how many hotspots it has: for the nation $nation_k, if it is given; for a
-- force $share of its area in cells of $cell_area_m2; else $share of the cells with their centre
-- inside. `forces`: the nation needs none in particular, a force itself, and a polygon those in
-- whose areas its cells lie.
with nation as (
    select
        $nation as scope,
        'nation' as kind,
        sum(st_area(geometry) order by area_id) as area_m2
    from areas
    where kind = 'force'
),

force_or_polygon as (
    select
        area as scope,
        kind,
        st_area(geometry) as area_m2
    from areas
),

scope_count as (
    select
        scope_cells.scope,
        count(*) as cells,
        count(hex_cells.lsoa21cd) as inner_cells,
        list_sort(list(distinct hex_cells.force) filter (hex_cells.force is not null)) as forces
    from scope_cells
    inner join hex_cells
        on scope_cells.hex_id = hex_cells.hex_id
    group by scope_cells.scope
),

scope as (
    from nation
    union all
    from force_or_polygon
)

select
    scope.scope,
    scope.kind,
    case scope.kind
        when 'nation' then []::varchar[]
        when 'force' then [scope.scope]
        else coalesce(scope_count.forces, [])
    end as forces,
    scope.area_m2,
    coalesce(scope_count.cells, 0)::integer as cells,
    greatest(
        1,
        floor(
            case scope.kind
                when 'nation' then coalesce($nation_k, $share * scope_count.inner_cells)
                when 'force' then $share * scope.area_m2 / $cell_area_m2
                else $share * coalesce(scope_count.cells, 0)
            end
        )
    )::integer as k
from scope
left join scope_count
    on scope.scope = scope_count.scope
order by
    scope.kind = 'nation' desc,
    scope.kind asc,
    scope.scope asc
