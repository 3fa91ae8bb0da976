-- How much of each table is in which state. From inventory.
select
    name,
    state,
    count(*) as partitions,
    min(month) as first_month,
    max(month) as last_month
from inventory
group by name, state
order by name, state
