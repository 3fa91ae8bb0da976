-- score_histogram: from cell_windows, scope_cells and complete_windows. One row is a ranking (a
-- scope, a series and a complete window of $month) and a score, with how many cells have it,
-- hottest first: `reached` cells have that score or a higher one.
-- Scores take few values, so the k-th of a million cells is found here without sorting them.
with scored as (
    select
        member.scope,
        cell.crime_type,
        cell.window_months,
        cell.score,
        count(*)::integer as cells,
        sum(cell.crimes)::bigint as crimes
    from cell_windows as cell
    inner join scope_cells as member
        on cell.hex_id = member.hex_id
    group by
        member.scope,
        cell.crime_type,
        cell.window_months,
        cell.score
)

select
    scored.*,
    ranking.k,
    ranking.forces_present,
    sum(scored.cells) over (
        partition by scored.scope, scored.crime_type, scored.window_months
        order by scored.score desc
    )::integer as reached
from scored
inner join complete_windows as ranking
    on
        scored.scope = ranking.scope
        and scored.crime_type = ranking.crime_type
        and scored.window_months = ranking.window_months
where ranking.complete and ranking.month = $month
