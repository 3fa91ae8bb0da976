-- street_graph: the profile of street_graph of $forces. From street_graph and street_segments. One
-- row is a force. A segment is alone where it meets no other.
with asked as (
    select unnest($forces::varchar[]) as force
),

edge as (
    select
        force,
        count(*) as edges,
        count(*) - count(distinct segment_id || ' ' || neighbour_id) as repeated_pairs,
        count(*) filter (where not coalesce(segment_id < neighbour_id, false)) as unordered_pairs,
        count(*) filter (
            where not coalesce(
                distance_m > 0
                and abs(weight - exp(-distance_m * distance_m / (2 * 750 * 750))) < 1e-9,
                false
            )
        ) as impossible_weights
    from street_graph
    where list_contains($forces::varchar[], force)
    group by force
),

meeting as (
    select
        force,
        unnest([segment_id, neighbour_id]) as segment_id
    from street_graph
),

segment as (
    select
        coalesce(street_segments.force, met.force) as force,
        count(met.segment_id) filter (where street_segments.segment_id is null)
            as unknown_segments,
        count(street_segments.segment_id) as segments,
        count(street_segments.segment_id) filter (where met.segment_id is null) as alone
    from street_segments
    full join (
        select distinct
            force,
            segment_id
        from meeting
    ) as met
        on street_segments.force = met.force and street_segments.segment_id = met.segment_id
    group by all
)

select
    asked.force,
    coalesce(edge.edges, 0) as edges,
    coalesce(edge.repeated_pairs, 0) as repeated_pairs,
    coalesce(edge.unordered_pairs, 0) as unordered_pairs,
    coalesce(edge.impossible_weights, 0) as impossible_weights,
    coalesce(segment.unknown_segments, 0) as unknown_segments,
    segment.alone / nullif(segment.segments, 0) as alone_share,
    2 * edge.edges / nullif(segment.segments, 0) as mean_neighbours
from asked
left join edge
    on asked.force = edge.force
left join segment
    on asked.force = segment.force
order by asked.force
