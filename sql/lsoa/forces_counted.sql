-- forces_counted: from lsoa_counts of one month, lsoa_areas and $forces (the register, a JSON
-- array). One row is a force in whose areas a quarter of its usual crimes, or more, were counted:
-- with less, its file was not whole (see coverage).
with registered_force as (
    select unnest(from_json($forces, '[{
        "force": "varchar", "monthly_crimes": "bigint"
    }]'), recursive := true)
)

select registered_force.force
from registered_force
inner join lsoa_areas
    on registered_force.force = lsoa_areas.force
inner join lsoa_counts
    on lsoa_areas.lsoa21cd = lsoa_counts.lsoa21cd
group by
    registered_force.force,
    registered_force.monthly_crimes
having sum(lsoa_counts.crimes) >= 0.25 * registered_force.monthly_crimes
order by registered_force.force
