-- reconciliation: the profile of reconciliation of $month. From reconciliation of that month.
-- One row is the month.
with force_month as (
    select
        month,
        force,
        sum(crimes) as crimes,
        sum(unlocated) as unlocated,
        sum(outside_grid) as outside_grid,
        sum(outside_cells) as outside_cells
    from reconciliation
    group by
        month,
        force
),

force_now as (
    select *
    from force_month
    where month = $month
),

type_now as (
    select
        crime_type,
        sum(crimes) as crimes,
        sum(unlocated) / sum(crimes) as unlocated_share
    from reconciliation
    where month = $month
    group by crime_type
    -- of a handful of crimes half may well have no location
    having sum(crimes) >= 100
),

broken_row as (
    select crime_type
    from reconciliation
    where
        month = $month
        and (
            crimes is distinct from unlocated + outside_grid + outside_cells + in_cells
            or least(crimes, unlocated, outside_grid, outside_cells, in_cells) < 0
            or crimes < 1
        )
)

select
    $month::varchar as month,
    count(*) as forces,
    coalesce(sum(crimes), 0)::bigint as crimes,
    sum(unlocated) / sum(crimes) as unlocated_share,
    sum(outside_grid) / sum(crimes) as outside_grid_share,
    sum(outside_cells) / sum(crimes) as outside_cells_share,
    max(outside_cells / crimes) filter (where crimes >= 100) as abroad_share,
    arg_max(force, (outside_cells / crimes, force)) filter (where crimes >= 100) as abroad_share_of,
    (select max(unlocated_share) from type_now) as unlocated_type_share,
    (select arg_max(crime_type, (unlocated_share, crime_type)) from type_now)
        as unlocated_type_share_of,
    (select count(*) from broken_row) as broken_rows
from force_now
