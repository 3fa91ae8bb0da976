-- lsoa_evaluations: from evaluation_rows. One row is a figure by which one model is judged.
select
    scope,
    split,
    label,
    group_kind,
    group_name,
    class,
    metric,
    value,
    low,
    high,
    p_value,
    areas
from evaluation_rows
where value is not null
order by
    scope,
    split,
    label,
    group_kind,
    group_name,
    class,
    metric
