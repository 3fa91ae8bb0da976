-- archive_index: one force's file of one month in the archive of a release.
-- From $members, a JSON array of what the archive's directory says.
select
    crime_month,
    force,
    bytes,
    packed_bytes,
    crc32
from (
    select unnest(from_json($members, '[{
        "crime_month": "varchar", "force": "varchar", "bytes": "bigint",
        "packed_bytes": "bigint", "crc32": "bigint"
    }]'), recursive := true)
)
order by crime_month, force
