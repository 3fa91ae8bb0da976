-- archive_index: the profile of archive_index of the release $month. From archive_index of that
-- release and of up to twelve before it, of which the last is compared with. One row is the
-- release. What is usual for a force's file is the median of its files of earlier months.
with file as (
    select *
    from archive_index
    where month = $month
),

last_release as (
    -- not max: DuckDB 1.5 fails where it could take it from the files' paths alone
    select arg_max(month, month) as month
    from archive_index
    where month < $month
),

release_before as (
    select archive_index.*
    from archive_index
    semi join last_release
        on archive_index.month = last_release.month
),

first_month as (
    select min(crime_month) as crime_month
    from file
),

force_now as (
    select
        force,
        max(bytes) filter (where crime_month = $month) as bytes,
        median(bytes) filter (where crime_month < $month) as usual_bytes,
        count(*) filter (
            where crime_month = strftime(strptime($month, '%Y-%m') - interval 1 month, '%Y-%m')
        ) as files_month_before
    from file
    group by force
),

crime_month as (
    select
        crime_month,
        count(distinct force) as forces,
        lag(count(distinct force)) over (order by crime_month) as forces_before
    from file
    group by crime_month
),

withdrawn_file as (
    select
        crime_month,
        force,
        row_number() over (order by crime_month, force) as place
    from release_before
    anti join file
        on release_before.crime_month = file.crime_month and release_before.force = file.force
    where release_before.crime_month >= (select crime_month from first_month)
)

select
    $month::varchar as month,
    count(*) as files,
    count(distinct crime_month) as months,
    datediff(
        'month', strptime(min(crime_month), '%Y-%m'), strptime($month::varchar, '%Y-%m')
    ) + 1 - count(distinct crime_month) as months_missing,
    (
        select string_agg(force, ', ' order by force)
        from force_now
        where files_month_before > 0 and bytes is null
    ) as forces_gone,
    (select min(forces / forces_before) from crime_month) as least_forces_ratio,
    (select arg_min(crime_month, forces / forces_before) from crime_month)
        as least_forces_ratio_of,
    (select min(bytes / usual_bytes) from force_now) as least_size,
    (select arg_min(force, bytes / usual_bytes) from force_now) as least_size_of,
    (select max(bytes / usual_bytes) from force_now) as greatest_size,
    (select arg_max(force, bytes / usual_bytes) from force_now) as greatest_size_of,
    (select count(*) from withdrawn_file) as withdrawn_files,
    (
        select string_agg(crime_month || ' ' || force, ', ' order by place)
        from withdrawn_file
        where place <= 6
    ) as withdrawn_files_of,
    -- the register leaves out Northern Ireland, which every archive holds
    string_agg(distinct force, ', ' order by force) filter (
        where try_cast(force as force_slug) is null and force != 'northern-ireland'
    ) as unknown_forces,
    count(*) filter (
        where not coalesce(
            bytes >= 0 and packed_bytes >= 0 and crc32 between 0 and 4294967295, false
        )
    ) as impossible_files
from file
