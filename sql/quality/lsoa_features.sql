-- lsoa_features: the profile of lsoa_features of $month. From lsoa_features of that month and of
-- the month before it, and lsoa_areas. One row is the month. What is said of features is said of
-- all scopes together; names stand in the order of the alphabet.
with area as (
    select *
    from lsoa_features
    where month = $month
),

number as (
    select columns(* exclude (scope, lsoa21cd, force, lisa, month))::double
    from area
),

-- one row each, with a column a feature
lowest as (
    select min(columns(*))
    from number
),

highest as (
    select max(columns(*))
    from number
),

mean as (
    select avg(columns(*))
    from number
),

known as (
    select count(columns(*))
    from number
),

feature as (
    select
        unnest(json_keys(to_json(known))) as feature,
        unnest(json_extract_string(to_json(lowest), '$.*'))::double as lowest,
        unnest(json_extract_string(to_json(highest), '$.*'))::double as highest,
        unnest(json_extract_string(to_json(mean), '$.*'))::double as mean,
        unnest(json_extract_string(to_json(known), '$.*'))::double
        / (select count(*) from area) as known
    from lowest
    cross join highest
    cross join mean
    cross join known
),

unknown_area as (
    select area.*
    from area
    anti join lsoa_areas
        on area.lsoa21cd = lsoa_areas.lsoa21cd and area.force = lsoa_areas.force
),

small_scope as (
    select scope
    from area
    group by scope
    having count(*) < 50
),

whole_area as (
    select
        month,
        lsoa21cd,
        density_last_year,
        lisa,
        hot_cells
    from lsoa_features
    where scope in ('england-and-wales', 'study-area')
),

whole_area_now as (
    select *
    from whole_area
    where month = $month
),

whole_area_before as (
    select *
    from whole_area
    where month < $month
),

drift as (
    select
        count(now.lsoa21cd) / count(before.lsoa21cd) as areas,
        sum(now.density_last_year) filter (where before.lsoa21cd is not null)
        / sum(before.density_last_year) filter (where now.lsoa21cd is not null) as density
    from whole_area_now as now
    full join whole_area_before as before
        on now.lsoa21cd = before.lsoa21cd
    having count(before.lsoa21cd) > 0
)

select
    $month::varchar as month,
    count(distinct lsoa21cd) as areas,
    count(distinct scope) as scopes,
    max(years) as years,
    count(*) - count(distinct concat_ws('|', scope, lsoa21cd)) as repeated_areas,
    (select count(*) from unknown_area) as unknown_areas,
    (select string_agg(scope, ', ' order by scope) from small_scope) as small_scopes,
    (
        select string_agg(feature, ', ' order by feature)
        from feature
        where
            known < 1
            and feature in (
                'years', 'density_last_year', 'density_mean', 'cluster_last_year',
                'cluster_long_run', 'area_km2'
            )
    ) as features_with_gaps,
    (
        select string_agg(feature, ', ' order by feature)
        from feature
        where
            not isfinite(mean)
            or (feature = 'years' and not (lowest >= 1 and highest <= 3))
            or (feature = 'area_km2' and lowest <= 0)
            or (feature = 'imd_rank' and lowest < 1)
            or (feature in ('hot_cells', 'population') and lowest < 0)
            or (feature like '%density%' and feature != 'density_change' and lowest < 0)
            or (feature like 'cluster%' and not (lowest >= 0 and highest <= 4))
            or (feature like 'season%' and not (lowest >= 0 and highest <= 1 + 1e-9))
            or (feature like '%share' and not (lowest >= 0 and highest <= 1))
    ) as impossible_features,
    (
        select
            sum(mean) filter (
                where
                feature like 'density%'
                and feature not similar to '.*(year|before|mean|change)'
            )
            / sum(mean) filter (where feature = 'density_last_year')
        from feature
    ) as share_of_types,
    count(*) filter (
        where
        cluster_increasing and (cluster_stable or cluster_decreasing)
        or cluster_stable and cluster_decreasing
    ) as contradicting_trends,
    count(*) filter (
        where
        (local_moran is null) != (lisa is null)
        or lisa not in ('high-high', 'low-low', 'high-low', 'low-high', 'not significant')
    ) as unknown_lisa,
    (
        select string_agg(feature, ', ' order by feature)
        from feature
        where
            lowest = highest
            and feature not in (
                'years', 'cluster_increasing', 'cluster_stable', 'cluster_decreasing'
            )
    ) as constant_features,
    (
        select string_agg(feature, ', ' order by feature)
        from feature
        where known > 0 and known < 0.9
    ) as features_known_in_part,
    (select avg((lisa != 'not significant')::integer) from whole_area_now) as significant_share,
    (
        select
            avg(density_last_year) filter (where hot_cells > 0)
            / avg(density_last_year) filter (where hot_cells = 0)
        from whole_area_now
    ) as density_ratio_of_hot_areas,
    (select areas from drift) as areas_ratio,
    (select density from drift) as density_ratio,
    (
        select string_agg(distinct scope, ', ' order by scope)
        from lsoa_features
        where month < $month and scope not in (select scope from area)
    ) as scopes_gone
from area
