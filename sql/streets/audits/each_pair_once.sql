-- each_pair_once: from street_graph. One row is a pair that stands twice or in the wrong order, or
-- whose weight is none.
select
    segment_id,
    neighbour_id,
    count(*) as rows,
    min(weight) as weight
from street_graph
group by
    segment_id,
    neighbour_id
having
    count(*) > 1
    or segment_id >= neighbour_id
    or not coalesce(min(weight) between 0 and 1 and min(distance_m) > 0, false)
order by
    segment_id,
    neighbour_id
