-- edges: from street_graph and street_segments of one force. One row is a pair of segments that
-- share a junction: their positions by id, and the weight.
with segment as (
    select
        segment_id,
        row_number() over (order by segment_id) - 1 as segment_at
    from street_segments
)

select
    one.segment_at as one,
    other.segment_at as other,
    street_graph.weight
from street_graph
inner join segment as one
    on street_graph.segment_id = one.segment_id
inner join segment as other
    on street_graph.neighbour_id = other.segment_id
order by
    one,
    other
