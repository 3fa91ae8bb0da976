-- hex_counts: the profile of hex_counts of $month. From hex_counts of that month and of up to
-- twelve months before it. One row is the month. A cell is known to a force that had a crime in it
-- in one of the months before; looked at where the force has at least three of them.
with cell_now as (
    select
        force,
        hex_id,
        sum(crimes) as crimes
    from hex_counts
    where month = $month
    group by
        force,
        hex_id
),

known_force as (
    select force
    from hex_counts
    where month < $month
    group by force
    having count(distinct month) >= 3
),

known_cell as (
    select distinct
        force,
        hex_id
    from hex_counts
    where month < $month
),

known_cell_crimes as (
    select
        cell_now.force,
        sum(cell_now.crimes) as crimes
    from cell_now
    semi join known_cell
        on cell_now.force = known_cell.force and cell_now.hex_id = known_cell.hex_id
    group by cell_now.force
),

force_now as (
    select
        force,
        sum(crimes) as crimes,
        max(crimes) / sum(crimes) as busiest_cell_share
    from cell_now
    group by force
),

force_shares as (
    select
        force_now.force,
        -- of a handful of crimes half may well lie in one cell
        if(force_now.crimes >= 100, force_now.busiest_cell_share, null) as busiest_cell,
        if(
            known_force.force is not null,
            coalesce(known_cell_crimes.crimes, 0) / force_now.crimes,
            null
        ) as known_cells
    from force_now
    left join known_force
        on force_now.force = known_force.force
    left join known_cell_crimes
        on force_now.force = known_cell_crimes.force
),

repeated_count as (
    select hex_id
    from hex_counts
    where month = $month
    group by
        force,
        crime_type,
        hex_id
    having count(*) > 1
),

count_now as (
    select
        count(*) as rows,
        coalesce(sum(crimes), 0)::bigint as crimes,
        count(distinct hex_id) as cells,
        count(*) filter (where not coalesce(crimes >= 1, false)) as counts_below_one,
        count(*) filter (where not coalesce(hex_id between 0 and 3609803, false))
            as counts_off_the_grid
    from hex_counts
    where month = $month
),

force_extremes as (
    select
        count(*) as forces,
        min(known_cells) as known_cells_share,
        arg_min(force, (known_cells, force)) filter (where known_cells is not null)
            as known_cells_share_of,
        max(busiest_cell) as busiest_cell_share,
        arg_max(force, (busiest_cell, force)) filter (where busiest_cell is not null)
            as busiest_cell_share_of
    from force_shares
)

select
    $month::varchar as month,
    count_now.*,
    (select count(*) from repeated_count) as repeated_counts,
    force_extremes.*
from count_now
cross join force_extremes
