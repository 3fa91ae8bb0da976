-- street_graph: from street_segments of one network. One row is two segments that have an end in
-- common; the distance between their middles is half of the one and half of the other. The weight
-- is a Gaussian of that distance, $sigma_m wide.
with segment_end as (
    select
        segment_id,
        length_m,
        unnest([st_startpoint(geometry), st_endpoint(geometry)]) as place
    from street_segments
),

segment_end_at as (
    select
        segment_id,
        length_m,
        st_x(place) as easting,
        st_y(place) as northing
    from segment_end
),

pair as (
    select distinct
        one.segment_id,
        other.segment_id as neighbour_id,
        (one.length_m + other.length_m) / 2 as distance_m
    from segment_end_at as one
    inner join segment_end_at as other
        on
            one.easting = other.easting
            and one.northing = other.northing
            and one.segment_id < other.segment_id
)

select
    *,
    exp(-distance_m * distance_m / (2 * $sigma_m * $sigma_m)) as weight
from pair
order by
    segment_id,
    neighbour_id
