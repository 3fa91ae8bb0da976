-- complete_windows: which rankings there are. From scopes, coverage (of the months looked at),
-- $crime_types (a JSON array of the types in use, with their first and last month), $series (what
-- is ranked beside the types: All crime ..), $months (the months that windows may end in) and $made
-- (a JSON array of the months whose rankings were made, with these; empty where nothing is known).
-- One row is a scope, a crime type and a window of 1, 3 or 12 months that ends in `month`;
-- `complete` is whether all its months are there, `reason` why they are not.
with window_length as (
    select unnest([1, 3, 12]) as window_months
),

published_month as (
    select
        month,
        force
    from coverage
    where status in ('published', 'partial') and rows > 0
),

month_window as (
    select
        month,
        window_months,
        strftime(
            strptime(month || '-01', '%Y-%m-%d') - to_months(window_months - 1), '%Y-%m'
        ) as first_month
    from (select unnest($months::varchar[]) as month)
    cross join window_length
),

-- the forces that published in every month of a window
window_force as (
    select
        span.month,
        span.window_months,
        published.force
    from month_window as span
    inner join published_month as published
        on published.month between span.first_month and span.month
    group by
        span.month,
        span.window_months,
        published.force
    having count(*) = span.window_months
),

window_presence as (
    select
        span.month,
        span.window_months,
        span.first_month,
        (
            select count(distinct published.month)
            from published_month as published
            where published.month between span.first_month and span.month
        ) as months_present,
        coalesce(
            (
                select list(present.force order by present.force)
                from window_force as present
                where present.month = span.month and present.window_months = span.window_months
            ),
            []
        ) as forces_present
    from month_window as span
),

ranked_type as (
    select
        crime_type,
        first_month,
        nullif(last_month, '') as last_month
    from (
        select unnest(from_json($crime_types, '[{
            "crime_type": "varchar", "first_month": "varchar", "last_month": "varchar"
        }]'), recursive := true)
    )
    union all
    select
        unnest($series::varchar[]) as crime_type,
        null as first_month,
        null as last_month
),

month_made as (
    select unnest(from_json($made, '[{
        "month": "varchar",
        "rankings": [{"crime_type": "varchar", "window_months": "int", "scopes": ["varchar"]}]
    }]'), recursive := true)
),

ranking_made as (
    select
        month,
        ranking.crime_type,
        ranking.window_months,
        unnest(ranking.scopes) as scope
    from (select
        month,
        unnest(rankings) as ranking
    from month_made)
),

judged_window as (
    select
        presence.month,
        presence.window_months,
        presence.first_month,
        presence.forces_present,
        scope.scope,
        scope.k,
        scope.cells,
        ranked.crime_type,
        case
            when presence.months_present < presence.window_months
                then
                    presence.window_months - presence.months_present || ' of '
                    || presence.window_months || ' months are not there'
            when not list_has_all(presence.forces_present, scope.forces)
                then array_to_string(
                    list_filter(
                        scope.forces,
                        lambda force: not list_contains(presence.forces_present, force)
                    ),
                    ', '
                ) || ' did not publish every month'
            when presence.first_month < ranked.first_month
                then 'police.uk has this type from ' || ranked.first_month
            when presence.month > ranked.last_month
                then 'police.uk had this type until ' || ranked.last_month
            when
                presence.month in (select month_made.month from month_made)
                and not exists (
                    select 1 from ranking_made as made
                    where
                        made.month = presence.month
                        and made.scope = scope.scope
                        and made.crime_type = ranked.crime_type
                        and made.window_months = presence.window_months
                )
                then 'hotspots of ' || presence.month || ' were ranked without it'
        end as reason
    from window_presence as presence
    cross join scopes as scope
    cross join ranked_type as ranked
)

select
    *,
    reason is null as complete
from judged_window
