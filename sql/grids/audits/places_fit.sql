-- places_fit: from grid_leaderboard. Rows are rankings that name a method twice, do not begin with
-- rank 1, or lack persistence, by which all others are judged.
select
    mapping,
    crime_type,
    metric,
    count(*) as methods,
    count(distinct model) as distinct_methods,
    min(rank) as first_rank,
    count(*) filter (where model = 'persistence') as naive
from grid_leaderboard
group by
    mapping,
    crime_type,
    metric
having
    distinct_methods < methods
    or first_rank != 1
    or naive = 0
order by all
