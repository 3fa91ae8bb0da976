-- hotspot_summary: the profile of hotspot_summary of $month. From hotspot_summary of that month and
-- scopes. One row is the month. The nation is looked at by all crime of 12 months.
with distinct_ranking as (
    select distinct
        scope,
        crime_type,
        window_months
    from hotspot_summary
),

summary as (
    select
        hotspot_summary.*,
        coalesce(scopes.kind = 'nation', false)
        and hotspot_summary.crime_type = 'All crime'
        and hotspot_summary.window_months = 12 as is_nation
    from hotspot_summary
    left join scopes
        on hotspot_summary.scope = scopes.scope
)

select
    $month::varchar as month,
    count(*) as rankings,
    count(*) filter (where complete) as complete_rankings,
    count(*) filter (where complete = (reason is not null) or complete is null)
        as unexplained_rankings,
    count(*) filter (
        where not coalesce(captured between 0 and 1, true)
        or not coalesce(jaccard between 0 and 1, true)
        or not coalesce(gini between 0 and 1, true)
        or not coalesce(modified_gini <= gini, true)
        or isnan(captured) or isnan(jaccard) or isnan(gini) or isnan(modified_gini)
        or crimes < 0 or tie_band < 0
    ) as impossible_figures,
    count(*) filter (where crimes > 0 and (captured is null or gini is null)) as missing_figures,
    count(*) - (select count(*) from distinct_ranking) as repeated_rankings,
    any_value(captured) filter (where is_nation) as captured_in_the_nation,
    any_value(jaccard) filter (where is_nation) as jaccard_of_the_nation,
    any_value(gini) filter (where is_nation) as gini_of_the_nation
from summary
