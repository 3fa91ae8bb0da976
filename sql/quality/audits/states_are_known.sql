-- Rows of the inventory that say nothing: without a name, a reason, or one of $states.
select
    name,
    month,
    force,
    state
from inventory
where name is null or reason is null or not list_contains($states, state)
order by all
