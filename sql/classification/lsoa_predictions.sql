-- lsoa_predictions: from prediction_rows (scope, split, label, lsoa21cd, predicted, the number of
-- classes k, their probabilities p0 to p8, and the set of classes as bits) and sets_of_classes
-- (label, bits, conformal_set). One row is an LSOA with the class that one model foretells.
select
    prediction_rows.scope,
    prediction_rows.split,
    prediction_rows.label,
    prediction_rows.lsoa21cd,
    prediction_rows.predicted,
    list_slice([p0, p1, p2, p3, p4, p5, p6, p7, p8], 1, prediction_rows.k) as probabilities,
    sets_of_classes.conformal_set
from prediction_rows
left join sets_of_classes
    on
        prediction_rows.label = sets_of_classes.label
        and prediction_rows.bits = sets_of_classes.bits
order by
    prediction_rows.scope,
    prediction_rows.split,
    prediction_rows.label,
    prediction_rows.lsoa21cd
