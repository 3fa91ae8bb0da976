-- grid_evaluations: from judged_rows. One row is a figure: of an origin, of the mean, or of a
-- difference of means to a naive rule.
select
    mapping,
    crime_type,
    origin,
    against,
    metric,
    coverage,
    value,
    low,
    high
from judged_rows
order by
    mapping,
    crime_type,
    metric,
    against nulls first,
    origin nulls first
