-- hottest: from segment_counts of one month and street_segments. One row is one of the ten segments
-- with the most crimes.
select
    segment_counts.segment_id,
    street_segments.name,
    round(street_segments.length_m) as length_m,
    sum(segment_counts.crimes) as crimes
from segment_counts
inner join street_segments
    on
        segment_counts.force = street_segments.force
        and segment_counts.segment_id = street_segments.segment_id
group by all
order by
    crimes desc,
    segment_counts.segment_id asc
limit 10
