-- The figures that say most, of the largest scope. From lsoa_evaluations of one cut-off and model.
select
    scope,
    label,
    split,
    metric,
    round(value, 3) as value,
    round(low, 3) as low,
    round(high, 3) as high,
    p_value
from lsoa_evaluations
where
    group_kind = 'all'
    and class is null
    and scope = $scope
    and metric in ('accuracy', 'macro_f1', 'weighted_f1', 'auroc', 'macro_f1_difference')
order by
    list_position(['time', 'space', 'force', 'random'], split),
    label,
    metric
