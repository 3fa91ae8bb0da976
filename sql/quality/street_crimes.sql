-- street_crimes: the profile of street_crimes of $month. From street_crimes of that month and of up
-- to twelve months before it, and $crime_types (a JSON array of all types with their months).
-- One row is one of $forces. What is usual is the median of the months before in which the force
-- has crimes; null where there is none.
with type_month as (
    select
        force,
        month,
        crime_type,
        count(*) as crimes,
        count(longitude) as located
    from street_crimes
    group by
        force,
        month,
        crime_type
),

force_month as (
    select
        force,
        month,
        sum(crimes) as crimes,
        1 - sum(located) / sum(crimes) as unlocated_share
    from type_month
    group by
        force,
        month
),

usual_month as (
    select
        force,
        count(*) as months_before,
        median(crimes) as crimes,
        median(unlocated_share) as unlocated_share
    from force_month
    where month < $month
    group by force
),

type_out_of_months as (
    select
        type_month.force,
        string_agg(type_month.crime_type, ', ' order by type_month.crime_type) as types
    from type_month
    inner join (
        select unnest(from_json($crime_types, '[{
            "crime_type": "varchar", "first_month": "varchar", "last_month": "varchar"
        }]'), recursive := true)
    ) as listed
        on type_month.crime_type = listed.crime_type
    where
        type_month.month = $month
        and ($month < listed.first_month or $month > nullif(listed.last_month, ''))
    group by type_month.force
),

type_history as (
    select
        force,
        crime_type,
        count(*) filter (where month < $month) as months_before,
        min(crimes) filter (where month < $month) as fewest_crimes,
        count(*) filter (where month = $month) as months_now
    from type_month
    group by
        force,
        crime_type
),

-- types that the force had in every month before, three at least, and now has not
type_gone as (
    select
        history.force,
        max(history.fewest_crimes) as fewest_crimes,
        string_agg(history.crime_type, ', ' order by history.crime_type) as types
    from type_history as history
    inner join usual_month
        on history.force = usual_month.force
    where
        history.months_now = 0
        and history.months_before = usual_month.months_before
        and history.months_before >= 3
    group by history.force
),

crime as (
    select *
    from street_crimes
    where month = $month
),

force_fields as (
    select
        force,
        count(*) filter (where not regexp_full_match(crime_id, '[0-9a-f]{64}')) as malformed_ids,
        count(crime_id) filter (where crime_type = 'Anti-social behaviour') as asb_with_id,
        count(*) filter (where longitude is not null and hex_id is null) as outside_grid,
        count(distinct reported_by) as reporting_forces
    from crime
    group by force
),

point_crimes as (
    select
        force,
        count(*) as crimes
    from crime
    where longitude is not null
    group by
        force,
        longitude,
        latitude
),

-- of a handful of crimes a third may well lie at one place
busiest_point as (
    select
        force,
        max(crimes) / sum(crimes) as share
    from point_crimes
    group by force
    having sum(crimes) >= 100
),

repeated_id as (
    select
        force,
        crime_id
    from crime
    where crime_id is not null
    group by
        force,
        crime_id
    having count(*) > 1
),

repeated_crime as (
    select
        crime.* exclude (row),
        count(*) - 1 as repeats
    from crime
    semi join repeated_id
        on crime.force = repeated_id.force and crime.crime_id = repeated_id.crime_id
    group by all
),

force_repeats as (
    select
        force,
        sum(repeats) as repeats
    from repeated_crime
    group by force
)

select
    $month::varchar as month,
    asked.force,
    coalesce(force_month.crimes, 0)::bigint as crimes,
    usual_month.crimes as usual_crimes,
    coalesce(force_month.crimes, 0) / usual_month.crimes as volume,
    force_month.unlocated_share,
    usual_month.unlocated_share as usual_unlocated_share,
    case
        when force_month.unlocated_share > 2 * usual_month.unlocated_share
            then force_month.unlocated_share - usual_month.unlocated_share
        when force_month.unlocated_share <= 2 * usual_month.unlocated_share
            then 0
    end as unlocated_jump,
    force_fields.outside_grid / force_month.crimes as outside_grid_share,
    busiest_point.share as busiest_point_share,
    coalesce(force_repeats.repeats, 0) / force_month.crimes as repeats_share,
    force_fields.malformed_ids,
    force_fields.asb_with_id,
    force_fields.reporting_forces,
    type_out_of_months.types as types_out_of_months,
    if(force_month.crimes > 0, type_gone.fewest_crimes, null) as gone_types_crimes,
    type_gone.types as gone_types_crimes_of
from (select unnest($forces::varchar[]) as force) as asked
left join force_month
    on asked.force = force_month.force and force_month.month = $month
left join usual_month
    on asked.force = usual_month.force
left join type_out_of_months
    on asked.force = type_out_of_months.force
left join type_gone
    on asked.force = type_gone.force
left join force_fields
    on asked.force = force_fields.force
left join busiest_point
    on asked.force = busiest_point.force
left join force_repeats
    on asked.force = force_repeats.force
order by asked.force
