-- lsoa_labels: the profile of lsoa_labels of $month. From lsoa_labels of that month and of the
-- month before it. One row is the month. Scopes stand in the order of the alphabet.
with label as (
    select *
    from lsoa_labels
    where month = $month
),

scope_label as (
    select
        scope,
        avg(is_hotspot::integer) as hotspots,
        avg((tier >= 1)::integer) as above_half,
        avg((tier >= 2)::integer) as above_three_quarters,
        avg((tier = 3)::integer) as above_nine_tenths,
        avg((bivariate[1] >= '1')::integer) as first_above_half,
        avg((bivariate[3] >= '1')::integer) as second_above_half,
        max(crime_density) filter (where not is_hotspot) as hottest_other,
        min(crime_density) filter (where is_hotspot) as coolest_hotspot
    from label
    group by scope
),

tier as (
    select
        scope,
        min(crime_density) as coolest,
        lag(max(crime_density)) over (
            partition by scope
            order by tier
        ) as hottest_below
    from label
    where tier is not null
    group by
        scope,
        tier
),

out_of_order as (
    select scope
    from scope_label
    where coolest_hotspot <= hottest_other
    union
    select scope
    from tier
    where coolest <= hottest_below
),

whole_area as (
    select *
    from lsoa_labels
    where scope in ('england-and-wales', 'study-area')
),

drift as (
    select
        avg((now.is_hotspot != before.is_hotspot)::integer) as changed_hotspots,
        sum(now.crime_density) filter (where before.is_hotspot is not null)
        / sum(before.crime_density) filter (where now.is_hotspot is not null) as density
    from whole_area as now
    inner join whole_area as before
        on now.lsoa21cd = before.lsoa21cd
    where now.month = $month and before.month < $month
)

select
    $month::varchar as month,
    count(distinct label.lsoa21cd) as areas,
    count(distinct label.scope) as scopes,
    count(*) - count(distinct concat_ws('|', label.scope, label.lsoa21cd)) as repeated_areas,
    count(*) filter (
        where
        if(
            label.crime_density is null,
            coalesce(label.is_hotspot::varchar, label.tier::varchar, label.bivariate) is not null,
            not coalesce(
                isfinite(label.crime_density)
                and label.crime_density >= 0
                and label.tier between 0 and 3
                and label.is_hotspot >= (label.tier >= 2)
                and regexp_full_match(label.bivariate, '[0-2]_[0-2]'),
                false
            )
        )
    ) as impossible_labels,
    (select string_agg(scope, ', ' order by scope) from out_of_order) as scopes_out_of_order,
    (
        select string_agg(scope, ', ' order by scope)
        from scope_label
        where not coalesce(hotspots between 0.24 and 0.3, false)
    ) as scopes_of_odd_hotspots,
    (
        select string_agg(scope, ', ' order by scope)
        from scope_label
        where
            not coalesce(
                above_half between 0.45 and 0.55
                and above_three_quarters between 0.2 and 0.3
                and above_nine_tenths between 0.07 and 0.13,
                false
            )
    ) as scopes_of_odd_tiers,
    (
        select string_agg(scope, ', ' order by scope)
        from scope_label
        where least(first_above_half, second_above_half) < 0.25
    ) as scopes_of_few_crimes,
    (
        select avg((crime_density is null)::integer)
        from whole_area
        where month = $month
    ) as unknown_share,
    (select changed_hotspots from drift) as changed_hotspots_share,
    (select density from drift) as density_ratio,
    (
        select string_agg(distinct scope, ', ' order by scope)
        from lsoa_labels
        where month < $month and scope not in (select scope from scope_label)
    ) as scopes_gone
from label
