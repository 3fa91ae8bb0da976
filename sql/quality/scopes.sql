-- scopes: the profile of scopes. One row is the table. Extents and k are compared for scopes of at
-- least 2,000 cells: in smaller ones the coast and the whole number of hotspots decide.
with scope as (
    select
        *,
        cells * 103923.0485 / area_m2 as extent_ratio,
        k / cells as k_share
    from scopes
)

select
    count(*) as scopes,
    count(*) filter (where kind = 'nation') as nations,
    count(*) filter (where kind = 'force') as forces,
    count(*) - count(distinct scope) as repeated_scopes,
    string_agg(scope, ', ' order by scope) filter (
        where not coalesce(cells > 0 and area_m2 > 0 and k > 0, false)
    ) as empty_scopes,
    string_agg(scope, ', ' order by scope) filter (where k > cells) as overfull_scopes,
    min(extent_ratio) filter (where cells >= 2000 and kind <> 'polygon') as least_extent_ratio,
    max(extent_ratio) filter (where cells >= 2000 and kind <> 'polygon') as greatest_extent_ratio,
    min(k_share) filter (where cells >= 2000) as least_k_share,
    max(k_share) filter (where cells >= 2000) as greatest_k_share,
    any_value(cells) filter (where scope = 'england-and-wales') as england_and_wales_cells,
    any_value(k) filter (where scope = 'england-and-wales') as england_and_wales_k
from scope
