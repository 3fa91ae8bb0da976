-- published_months: from coverage. One row is a force that published crimes of a month.
select
    force,
    month
from coverage
where status in ('published', 'partial') and rows > 0
order by
    force,
    month
