-- Forces of which not each line is a crime of some type or a rejected line. From coverage and
-- reconciliation of one month.
select
    covered.force,
    covered.rows - covered.rejected as kept,
    coalesce(sum(reconciled.crimes), 0) as found
from coverage as covered
left join reconciliation as reconciled
    on covered.force = reconciled.force
where covered.rows > 0
group by
    covered.force,
    covered.rows,
    covered.rejected
having coalesce(sum(reconciled.crimes), 0) <> covered.rows - covered.rejected
order by covered.force
