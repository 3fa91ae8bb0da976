-- Why rankings of a month were not made, with how many. From complete_windows, $month.
select
    reason,
    window_months,
    count(distinct scope) as scopes,
    count(*) as rankings
from complete_windows
where not complete and month = $month
group by
    reason,
    window_months
order by
    rankings desc,
    reason asc,
    window_months asc
limit 15
