-- release_changes: the profile of release_changes of the release $month. One row is the release.
with changed as (
    select *
    from release_changes
    where month = $month
),

changed_file as (
    select
        crime_month,
        force,
        issue,
        any_value(change) as change,
        sum(rows_before) filter (where crime_type = 'All crime') as rows_before,
        sum(rows_after) filter (where crime_type = 'All crime') as rows_after,
        coalesce(sum(rows_before) filter (where crime_type != 'All crime'), 0) as types_before,
        coalesce(sum(rows_after) filter (where crime_type != 'All crime'), 0) as types_after,
        count(*) - count(distinct crime_type) as repeated_types,
        crime_month || ' ' || force as place
    from changed
    group by
        crime_month,
        force,
        issue
),

revised_file as (
    select
        *,
        abs(rows_after - rows_before) / nullif(rows_before, 0) as revised_by
    from changed_file
    where change = 'revised'
),

type_gone as (
    select
        crime_month || ' ' || force || ': ' || crime_type as place,
        rows_before
    from changed
    where change = 'revised' and crime_type != 'All crime' and rows_after = 0
)

select
    $month::varchar as month,
    count(*) as files,
    count(*) filter (where change = 'new') as new_files,
    count(*) filter (where change = 'revised') as revised_files,
    string_agg(place, ', ' order by place) filter (where change = 'withdrawn') as withdrawn_files,
    (select max(revised_by) from revised_file) as greatest_revision,
    (
        select arg_max(place, (revised_by, place))
        from revised_file
        where revised_by is not null
    ) as greatest_revision_of,
    -- of a handful of crimes a few make a tenth
    (
        select if(sum(rows_before) >= 100, sum(rows_after) / sum(rows_before), null)
        from revised_file
        where rows_before is not null
    ) as revised_volume,
    (select max(rows_before) from type_gone) as gone_types_crimes,
    (select arg_max(place, (rows_before, place)) from type_gone) as gone_types_crimes_of,
    coalesce(sum(repeated_types), 0)::bigint as repeated_types,
    count(*) filter (
        where rows_after is distinct from types_after
        or (rows_before is not null and rows_before is distinct from types_before)
    ) as files_not_adding_up,
    count(*) filter (
        where crime_month > $month
        or change not in ('new', 'revised', 'withdrawn')
        or (change != 'new' and rows_before is null)
        or (change = 'withdrawn' and rows_after != 0)
    ) as impossible_files
from changed_file
