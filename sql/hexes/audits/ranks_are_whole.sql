-- Rankings with a gap, with a cell twice, or with more than k cells. From hotspots of one month.
select
    scope,
    crime_type,
    window_months,
    k,
    count(*) as hotspots,
    max(rank) as last_rank
from hotspots
group by
    scope,
    crime_type,
    window_months,
    k
having
    count(*) > k
    or min(rank) <> 1
    or max(rank) <> count(*)
    or count(distinct rank) <> count(*)
    or count(distinct hex_id) <> count(*)
order by
    scope,
    crime_type,
    window_months
