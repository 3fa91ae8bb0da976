-- Rankings with hits that cannot be. From hotspot_frequency of one month and scopes.
select
    lasting.scope,
    lasting.crime_type,
    lasting.window_months,
    lasting.windows,
    min(lasting.hits) as fewest_hits,
    max(lasting.hits) as most_hits,
    sum(lasting.hits) as all_hits
from hotspot_frequency as lasting
inner join scopes as scope
    on lasting.scope = scope.scope
group by
    lasting.scope,
    lasting.crime_type,
    lasting.window_months,
    lasting.windows,
    scope.k
having
    min(lasting.hits) < 1
    or max(lasting.hits) > lasting.windows
    or lasting.windows > 37 - lasting.window_months
    or max(lasting.rank) <> count(*)
    or count(distinct lasting.hex_id) <> count(*)
    or sum(lasting.hits) > lasting.windows * scope.k
order by
    lasting.scope,
    lasting.crime_type,
    lasting.window_months
