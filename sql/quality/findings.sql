-- inventory: a partition that is not as it should be, and why. From $rows, a JSON array of what was
-- found.
select
    name,
    month,
    force,
    state,
    reason
from (
    select unnest(from_json($rows, '[{
        "name": "varchar", "month": "varchar", "force": "varchar", "state": "varchar",
        "reason": "varchar"
    }]'), recursive := true)
)
order by all
