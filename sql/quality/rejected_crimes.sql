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
        mode(reason) as commonest_reason,
        nullif(
            string_agg(distinct regexp_extract(reason, '^crime type "(.*)" is in no list$', 1), ', '
                order by regexp_extract(reason, '^crime type "(.*)" is in no list$', 1))
                filter (where reason like 'crime type "%" is in no list'),
            ''
        ) as unlisted_types
    from rejected_crimes
    group by force
)

select
    $month as month,
    asked.force,
    coalesce(kept.crimes, 0) as kept_lines,
    coalesce(rejected.lines, 0) as rejected_lines,
    rejected.lines / (rejected.lines + coalesce(kept.crimes, 0)) as rejected_share,
    coalesce(rejected.unexplained_lines, 0) as unexplained_lines,
    rejected.commonest_reason,
    rejected.unlisted_types
from (select unnest($forces::varchar[]) as force) as asked
left join kept
    on asked.force = kept.force
left join rejected
    on asked.force = rejected.force
order by asked.force
