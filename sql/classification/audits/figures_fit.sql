-- figures_fit: from lsoa_evaluations of one cut-off and model. Rows are figures that stand twice,
-- shares outside 0 to 1, intervals that end before they begin, and p values that are none.
select
    scope,
    split,
    label,
    group_kind,
    group_name,
    class,
    metric,
    count(*) as times,
    any_value(value) as value,
    any_value(low) as low,
    any_value(high) as high
from lsoa_evaluations
group by
    scope,
    split,
    label,
    group_kind,
    group_name,
    class,
    metric
having
    times > 1
    or not coalesce(isfinite(any_value(value)), false)
    or (
        metric in (
            'accuracy', 'balanced_accuracy', 'macro_f1', 'weighted_f1', 'precision', 'recall', 'f1',
            'auroc', 'average_precision', 'false_positive_rate', 'selection_rate',
            'conformal_coverage', 'calibration_error'
        )
        and any_value(value) not between 0 and 1
    )
    or any_value(low) > any_value(high)
    or not coalesce(any_value(p_value) between 0 and 1, true)
    or any_value(areas) < 1
