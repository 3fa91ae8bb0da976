-- steps_add_up: from segment_steps, street_segments and segment_counts. One row is what does not
-- add up: as many rows as segments times $crime_types, each once; all crime as it was counted.
with made as (
    select
        count(*) as rows,
        count(distinct segment_id || ' ' || crime_type) as distinct_rows,
        coalesce(sum(crimes) filter (where crime_type = $all_crime), 0) as crimes
    from segment_steps
),

expected as (
    select
        (select count(*) from street_segments) * $crime_types as rows,
        coalesce(sum(crimes), 0) as crimes
    from segment_counts
    where force = $force and month = $month
)

select
    made.rows,
    made.distinct_rows,
    made.crimes,
    expected.rows as expected_rows,
    expected.crimes as expected_crimes
from made
cross join expected
where
    made.rows != expected.rows
    or made.distinct_rows != expected.rows
    or made.crimes != expected.crimes
