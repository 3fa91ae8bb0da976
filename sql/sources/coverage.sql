-- coverage: one force in one month, whether it published, and what.
-- From $forces (the register, expected forces marked) and $files (what the street_crimes
-- partitions of the month say of their origin), each a JSON array.
with registered_force as (
    select unnest(from_json($forces, '[{
        "force": "varchar", "monthly_crimes": "bigint", "expected": "boolean"
    }]'), recursive := true)
),

loaded_file as (
    select unnest(from_json($files, '[{
        "force": "varchar", "published": "boolean", "release": "varchar",
        "newest_release": "varchar", "sha256": "varchar", "rows": "bigint",
        "located": "bigint", "rejected": "bigint"
    }]'), recursive := true)
)

select
    registered.force,
    case
        when file.force is null then 'not_loaded'
        when not file.published then 'not_published'
        -- a quarter of the usual is less than any lockdown left; such a file is not whole
        when file.rows < 0.25 * registered.monthly_crimes then 'partial'
        else 'published'
    end as status,
    file.release,
    file.newest_release,
    if(file.published, file.sha256, null) as sha256,
    if(file.published, file.rows, null) as rows,
    if(file.published, file.located, null) as located,
    if(file.published, file.rejected, null) as rejected
from registered_force as registered
left join loaded_file as file
    on registered.force = file.force and registered.expected
order by registered.force
