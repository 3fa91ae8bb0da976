-- lsoa_predictions: the profile of lsoa_predictions of $model at the cut-off $month. From
-- lsoa_predictions of the model, lsoa_features of the month, and $labels (a JSON array of labels
-- and their classes). One row is the month. What is said of the whole area is of the split in time.
with label as (
    select
        unnest(
            from_json($labels, '[{"label": "varchar", "classes": ["varchar"]}]'),
            recursive := true
        )
),

prediction as (
    select
        lsoa_predictions.*,
        label.classes
    from lsoa_predictions
    left join label
        on lsoa_predictions.label = label.label
    where lsoa_predictions.model = $model
),

repeated as (
    select count(*) - 1 as times
    from prediction
    group by
        scope,
        split,
        label,
        lsoa21cd
    having count(*) > 1
),

foretold_scope as (
    select distinct scope
    from prediction
),

asked as (
    select
        lsoa_features.scope,
        lsoa_features.lsoa21cd,
        label.label
    from lsoa_features
    inner join foretold_scope
        on lsoa_features.scope = foretold_scope.scope
    cross join label
),

not_foretold as (
    select
        scope,
        lsoa21cd,
        label
    from asked
    except
    select
        scope,
        lsoa21cd,
        label
    from prediction
    where split = 'time'
),

whole_area as (
    select
        label,
        avg(len(conformal_set) / len(classes)) as share_of_set,
        avg((predicted = '1')::integer) filter (where label = 'is_hotspot') as hotspot_share
    from prediction
    where scope in ('england-and-wales', 'study-area') and split = 'time'
    group by label
)

select
    $month::varchar as month,
    count(*) as predictions,
    count(distinct scope) as scopes,
    string_agg(distinct split, ', ' order by split) as splits,
    (select coalesce(sum(times), 0) from repeated) as repeated_predictions,
    (select count(*) from not_foretold) as areas_not_foretold,
    count(*) filter (
        where
        not coalesce(
            split in ('time', 'space', 'force', 'random') and list_contains(classes, predicted),
            false
        )
    ) as unknown_classes,
    count(*) filter (
        where
        not coalesce(
            len(probabilities) = len(classes)
            and list_min(probabilities) >= 0
            and abs(list_sum(probabilities) - 1) < 1e-6,
            false
        )
    ) as impossible_probabilities,
    count(*) filter (
        where
        not coalesce(
            if(
                split = 'time',
                len(conformal_set) > 0 and list_has_all(classes, conformal_set),
                conformal_set is null
            ),
            false
        )
    ) as broken_sets,
    (select max(share_of_set) from whole_area) as largest_share_of_classes_in_sets,
    (select arg_max(label, share_of_set) from whole_area) as largest_share_of_classes_in_sets_of,
    (select max(hotspot_share) from whole_area) as hotspot_share
from prediction
