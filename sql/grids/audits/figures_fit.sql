-- figures_fit: from grid_evaluations of one method. Rows are figures that stand twice, that are not
-- finite, outside the range of their metric, or with an interval that is none.
select
    mapping,
    crime_type,
    origin,
    against,
    metric,
    count(*) as times,
    any_value(value) as value,
    any_value(low) as low,
    any_value(high) as high
from grid_evaluations
group by
    mapping,
    crime_type,
    origin,
    against,
    metric
having
    times > 1
    or not coalesce(isfinite(any_value(value)), false)
    or any_value(low) > any_value(high)
    or (
        against is null
        and (
            any_value(value) < -1e-9
            or (not starts_with(metric, 'pai') and any_value(value) > 1 + 1e-9)
            or metric not in ('f1', 'aucpr', 'auroc', 'pai', 'pei_star', 'pai_by_count')
        )
    )
order by all
