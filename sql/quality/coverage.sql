-- coverage: the profile of coverage of $month. From coverage of that month and of up to twelve
-- months before it. One row is the month. What is usual for a force is the median of the months
-- before in which it has crimes; forces are named in the order of the alphabet.
with usual_month as (
    select
        force,
        median(rows) as rows
    from coverage
    where month < $month and rows > 0
    group by force
),

force_now as (
    select
        coalesce(covered.force, usual_month.force) as force,
        covered.* exclude (force),
        coalesce(covered.rows, 0) / usual_month.rows as volume
    from (
        select *
        from coverage
        where month = $month
    ) as covered
    full join usual_month
        on covered.force = usual_month.force
)

select
    $month::varchar as month,
    coalesce(sum(rows), 0)::bigint as rows,
    coalesce(sum(rejected), 0)::bigint as rejected,
    1 - sum(located) / (sum(rows) - sum(rejected)) as unlocated_share,
    count(*) filter (where rows > 0) as forces_with_crimes,
    string_agg(force, ', ' order by force) filter (where volume = 0) as forces_gone,
    string_agg(force, ', ' order by force) filter (where status = 'partial') as forces_partial,
    string_agg(force, ', ' order by force) filter (where status = 'not_published')
        as forces_not_published,
    string_agg(force, ', ' order by force) filter (where newest_release > release)
        as forces_from_an_older_archive,
    min(volume) filter (where volume > 0) as least_volume,
    arg_min(force, (volume, force)) filter (where volume > 0) as least_volume_of,
    max(volume) as greatest_volume,
    arg_max(force, (volume, force)) filter (where volume > 0) as greatest_volume_of,
    count(*) - count(distinct force) as repeated_forces,
    count(*) filter (
        where status in ('published', 'partial')
        and (release is null or sha256 is null or rows is null or located is null)
    ) as untraced_files,
    count(*) filter (where located > rows - rejected or rejected > rows) as impossible_files
from force_now
