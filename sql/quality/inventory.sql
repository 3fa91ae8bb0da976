-- inventory: the profile of inventory. One row is the table.
select
    count(*) as findings,
    count(distinct name) as tables,
    count(*) filter (where state = 'failed') as failed,
    count(*) filter (where state = 'missing') as missing,
    count(*) filter (where state = 'outdated') as outdated,
    count(*) filter (where state = 'late') as late,
    count(distinct name) filter (where state = 'failed') as failed_tables,
    string_agg(distinct name, ', ' order by name) filter (where state = 'failed')
        as failed_tables_of,
    count(distinct month) filter (where state in ('missing', 'outdated')) as months_behind,
    max(month) filter (where state in ('missing', 'outdated')) as months_behind_of,
    count(*) - count(distinct concat_ws('|', name, month, force, state, reason))
        as repeated_findings
from inventory
