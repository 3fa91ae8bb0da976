-- incident_maps: the profile of incident_maps of $city on a grid of $cells x $cells. From it and
-- city_incidents. One row is the grid.
with of_cell as (
    select
        cell,
        sum(incidents) as incidents
    from incident_maps
    group by cell
)

select
    $cells::varchar as cells,
    $city::varchar as city,
    coalesce(sum(incidents), 0) as incidents,
    count(*) - count(
        distinct concat_ws('|', day, cell, coalesce(study, ''), coalesce(corrected, ''))
    ) as repeated_entries,
    count(*) filter (
        where not coalesce(
            incidents > 0 and cell between 0 and $cells::integer * $cells::integer - 1, false
        )
    ) as impossible_entries,
    abs(coalesce(sum(incidents), 0) - (select count(*) from city_incidents))
        as incidents_missing_or_added,
    nullif(count(distinct cell), 0) / ($cells::integer * $cells::integer) as active_share,
    (select max(incidents) from of_cell) / nullif(sum(incidents), 0) as busiest_cell_share
from incident_maps
