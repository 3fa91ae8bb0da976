-- Forces and types whose crimes in the grid are not those that were counted into cells. From
-- reconciliation and hex_counts of one month.
with counted as (
    select
        force,
        crime_type,
        sum(crimes) as crimes
    from hex_counts
    group by
        force,
        crime_type
)

select
    coalesce(reconciled.force, counted.force) as force,
    coalesce(reconciled.crime_type, counted.crime_type) as crime_type,
    coalesce(reconciled.in_cells + reconciled.outside_cells, 0) as in_grid,
    coalesce(counted.crimes, 0) as counted
from reconciliation as reconciled
full outer join counted
    on
        reconciled.force = counted.force
        and reconciled.crime_type = counted.crime_type
where
    coalesce(reconciled.in_cells + reconciled.outside_cells, 0) <> coalesce(counted.crimes, 0)
order by
    force,
    crime_type
