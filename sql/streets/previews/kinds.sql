-- kinds: from street_segments. One row is a kind of street: its segments and how long they are.
select
    kind,
    count(*) as segments,
    sum(length_m) / 1000 as length_km,
    median(length_m) as median_m
from street_segments
group by kind
order by
    length_km desc,
    kind asc
limit 12
