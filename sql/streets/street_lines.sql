-- street_lines: from street_rows, the rows of a file of streets. One row is an unbroken line of a
-- street, as well-known binary without heights. Lines stand in the order of their ids; those of one
-- id in that of their bytes, so that the file's own order does not matter where it has ids. Where
-- OSMnx merged ways, a cell is a list: the least id is taken, every name, and the first kind.
with worded as (
    select
        row,
        geometry,
        if(
            starts_with(id, '['),
            list_min(list_transform(regexp_extract_all(id, '\d+'), x -> x::bigint))::varchar,
            nullif(trim(id), '')
        ) as id,
        if(
            starts_with(name, '['),
            array_to_string(
                list_sort(regexp_extract_all(name, '[''"](.+?)[''"](?:, |\])', 1)), ', '
            ),
            trim(name)
        ) as name,
        if(
            starts_with(kind, '['),
            regexp_extract(kind, '[''"](.+?)[''"](?:, |\])', 1),
            trim(kind)
        ) as kind
    from street_rows
    where st_geometrytype(geometry) in ('LINESTRING', 'MULTILINESTRING')
),

part as (
    select
        row,
        id,
        coalesce(name, '') as name,
        coalesce(kind, '') as kind,
        st_aswkb(unnest(st_dump(st_force2d(geometry))).geom) as line
    from worded
    where kind is null or kind not in (select unnest($not_streets))
)

select
    row_number() over (order by id, if(id is null, row, 0), line) as position,
    coalesce(id, row::varchar) as source_id,
    name,
    kind,
    line
from part
