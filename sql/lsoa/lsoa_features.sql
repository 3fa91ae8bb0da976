-- lsoa_features: from computed_features (scope, lsoa21cd and what is computed of counts), hotspots
-- of the cut-off, hex_cells and attributes (lsoa21cd, population, imd_rank). One row is an LSOA in
-- a scope. `hot_cells` is null where no hotspots of twelve months are there of the scope.
with hot_scope as (
    select distinct scope
    from hotspots
    where window_months = 12 and crime_type = 'All crime'
),

hot_cell as (
    select
        hotspots.scope,
        hex_cells.lsoa21cd,
        count(*) as hot_cells
    from hotspots
    inner join hex_cells
        on hotspots.hex_id = hex_cells.hex_id
    where hotspots.crime_type = 'All crime' and hotspots.window_months = 12
    group by
        hotspots.scope,
        hex_cells.lsoa21cd
)

select
    computed.*, -- noqa: AM04
    if(hot_scope.scope is null, null, coalesce(hot_cell.hot_cells, 0)) as hot_cells,
    attributes.population,
    attributes.imd_rank
from computed_features as computed
left join hot_scope
    on computed.scope = hot_scope.scope
left join hot_cell
    on
        computed.scope = hot_cell.scope
        and computed.lsoa21cd = hot_cell.lsoa21cd
left join attributes
    on computed.lsoa21cd = attributes.lsoa21cd
order by
    computed.scope,
    computed.lsoa21cd
