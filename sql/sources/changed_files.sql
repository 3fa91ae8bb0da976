-- changed_files: one force's file of one month that a release holds otherwise than this lake.
-- From archive_index of $release and $loaded, a JSON array of what the street_crimes partitions of
-- its months say of their origin, for $forces, those that are expected.
-- A file that came from a later release is left alone, and so are months before $first_month: this
-- lake begins there.
with loaded_file as (
    select unnest(from_json($loaded, '[{
        "month": "varchar", "force": "varchar", "published": "boolean", "release": "varchar",
        "bytes": "bigint", "crc32": "bigint"
    }]'), recursive := true)
),

expected_file as (
    select
        months.crime_month,
        forces.force
    from (select distinct crime_month from archive_index) as months
    cross join (select unnest($forces) as force) as forces
)

select
    expected.crime_month,
    expected.force,
    case
        when loaded.force is null then 'not read yet'
        when indexed.force is null then 'withdrawn'
        else 'differs'
    end as why
from expected_file as expected
left join archive_index as indexed
    on expected.crime_month = indexed.crime_month and expected.force = indexed.force
left join loaded_file as loaded
    on expected.crime_month = loaded.month and expected.force = loaded.force
where
    (loaded.force is null and expected.crime_month >= $first_month)
    or (
        loaded.release <= $release
        and indexed.force is not null
        and (
            not loaded.published
            or loaded.crc32 is distinct from indexed.crc32
            or loaded.bytes is distinct from indexed.bytes
        )
    )
    or (loaded.release = $release and loaded.published and indexed.force is null)
order by expected.crime_month, expected.force
