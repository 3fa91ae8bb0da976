-- outlines: from the areas of `areas` (code, name, geometry: a coverage, areas that meet without
-- gaps). One row is an area, its borders simplified together by $tolerance metres, so that areas
-- that met still meet; as GeoJSON. An area that lies within the tolerance may come out empty.
with simplified as (
    select
        list(code order by code) as codes,
        list(name order by code) as names,
        st_dump(st_coveragesimplify(list(geometry order by code), $tolerance)) as parts
    from areas
)

select
    codes[part.path[1]] as code,
    names[part.path[1]] as name,
    st_asgeojson(st_collect(list(part.geom order by part.path))) as outline
from (
    select
        codes,
        names,
        unnest(parts) as part
    from simplified
)
group by all
order by code
