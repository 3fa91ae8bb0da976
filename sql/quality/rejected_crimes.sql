-- rejected_crimes: the profile of rejected_crimes of $month. From rejected_crimes and street_crimes
-- of that month. One row is one of $forces.
with kept as (
    select
        force,
        count(*) as crimes
    from street_crimes
    group by force
),

rejected as (
    select
        force,
        count(*) as lines,
        count(*) filter (where line is null or coalesce(reason, '') = '') as unexplained_lines,
        mode(reason) as commonest_reason
    from rejected_crimes
    group by force
),

unlisted_type as (
    select distinct
        force,
        regexp_extract(reason, '^crime type "(.*)" is in no list$', 1) as crime_type
    from rejected_crimes
    where reason like 'crime type "%" is in no list'
),

unlisted_types as (
    select
        force,
        string_agg(crime_type, ', ' order by crime_type) as crime_types
    from unlisted_type
    group by force
)

select
    $month::varchar as month,
    asked.force,
    coalesce(kept.crimes, 0) as kept_lines,
    coalesce(rejected.lines, 0) as rejected_lines,
    rejected.lines / (rejected.lines + coalesce(kept.crimes, 0)) as rejected_share,
    coalesce(rejected.unexplained_lines, 0) as unexplained_lines,
    rejected.commonest_reason,
    unlisted_types.crime_types as unlisted_types
from (select unnest($forces::varchar[]) as force) as asked
left join kept
    on asked.force = kept.force
left join rejected
    on asked.force = rejected.force
left join unlisted_types
    on asked.force = unlisted_types.force
order by asked.force
