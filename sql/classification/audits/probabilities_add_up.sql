-- probabilities_add_up: from lsoa_predictions of one cut-off and model. Rows are areas that stand
-- twice, whose probabilities are none or do not sum to one, or that have an empty set, none where
-- the split is in time, or one where it is not.
select
    scope,
    split,
    label,
    lsoa21cd,
    count(*) as times,
    any_value(list_sum(probabilities)) as sum_of_probabilities
from lsoa_predictions
group by
    scope,
    split,
    label,
    lsoa21cd
having
    times > 1
    or not coalesce(abs(sum_of_probabilities - 1) < 1e-6, false)
    or not coalesce(any_value(list_min(probabilities)) >= 0, false)
    or any_value(list_count(probabilities)) < any_value(len(probabilities))
    or (split = 'time') != (any_value(conformal_set) is not null)
    or any_value(len(conformal_set)) = 0
