-- lsoa_evaluations: the profile of lsoa_evaluations of $model at the cut-off $month, beside
-- $naive_rule. From lsoa_evaluations of the model. One row is the month. The whole area is that of
-- the widest scope; where not said otherwise, figures are those of all areas, split in time.
with figure as (
    select *
    from lsoa_evaluations
    where month = $month and model = $model
),

of_all as (
    select *
    from figure
    where group_kind = 'all' and class is null
),

in_time as (
    select
        *,
        scope in ('england-and-wales', 'study-area') as is_whole
    from of_all
    where split = 'time'
),

judged as (
    select
        *,
        case
            when
                metric in (
                    'accuracy', 'balanced_accuracy', 'macro_f1', 'weighted_f1', 'precision',
                    'recall', 'f1', 'false_positive_rate', 'selection_rate', 'auroc',
                    'average_precision', 'calibration_error', 'conformal_coverage',
                    'conformal_singletons', 'conformal_empty'
                )
                then [0, 1]
            when metric = 'kappa' or metric like '%difference' then [-1, 1]
            when metric = 'moran_i' then [-2, 2]
            when metric = 'brier' then [0, 2]
            when metric = 'conformal_size' then [0, 9]
            when metric in ('log_loss', 'support') then [0, 'infinity'::double]
        end as bounds
    from figure
),

accuracy as (
    select
        label,
        max(value) filter (where split = 'time') as in_time,
        max(value) filter (where split = 'random') as at_random
    from of_all
    where scope in ('england-and-wales', 'study-area') and metric = 'accuracy'
    group by label
),

coverage as (
    select
        label,
        value
    from in_time
    where is_whole and metric = 'conformal_coverage'
),

finite_figures as (
    select
        count(*) filter (
            where metric in ('accuracy', 'macro_f1', 'log_loss', 'brier') and isfinite(value)
        ) as finite
    from of_all
    group by
        scope,
        split,
        label
),

compared as (
    select
        label,
        is_whole,
        high < 0 as is_lost
    from in_time
    where metric = 'accuracy_difference' and $model != $naive_rule
)

select
    $month::varchar as month,
    count(*) as figures,
    count(distinct scope) as scopes,
    string_agg(distinct split, ', ' order by split) as splits,
    count(*) - count(
        distinct concat_ws(
            '|', scope, split, label, group_kind, coalesce(group_name, ''), coalesce(class, ''),
            metric
        )
    ) as repeated_figures,
    (
        select coalesce(sum(4 - finite), 0)
        from finite_figures
    ) as figures_not_finite,
    (
        select count(*)
        from judged
        where
            value < bounds[1] - 1e-9
            or (value > bounds[2] + 1e-9 and not isnan(value))
            or p_value not between 0 and 1
            or not coalesce(areas >= 0, false)
    ) as impossible_figures,
    count(*) filter (where low > high or (low is null) != (high is null)) as broken_intervals,
    avg((value < low - 1e-9 or value > high + 1e-9)::integer) as share_beyond_interval,
    (select min(value) from coverage) as conformal_coverage,
    (select arg_min(label, value) from coverage) as conformal_coverage_of,
    (select max(in_time) from accuracy) as greatest_accuracy,
    (select arg_max(label, in_time) from accuracy) as greatest_accuracy_of,
    (select max(at_random - in_time) from accuracy) as gain_of_random_split,
    (select arg_max(label, at_random - in_time) from accuracy) as gain_of_random_split_of,
    (
        select avg((value < 0.5)::integer)
        from in_time
        where metric = 'auroc'
    ) as share_below_chance,
    (
        select string_agg(label, ', ' order by label)
        from compared
        where is_whole and is_lost
    ) as labels_lost_to_same_class,
    (select avg(is_lost::integer) from compared) as share_lost_to_same_class
from figure
