-- hottest_cells: from score_histogram, cell_windows and scope_cells. One row is one of the k cells
-- of a ranking with the highest scores, in order of score, then hex_id. A fixed k, never a
-- threshold: for rare crimes thousands of cells tie, and `tied` says where one that was left out
-- has the same score. Without an order.
with ranking as (
    select
        scope,
        crime_type,
        window_months,
        any_value(k) as k,
        any_value(forces_present) as forces_present,
        min(score) as limit_score,
        max(reached) as reached
    from score_histogram
    where reached - cells < k
    group by
        scope,
        crime_type,
        window_months
),

lowest_limit as (
    select
        crime_type,
        window_months,
        min(limit_score) as score
    from ranking
    group by
        crime_type,
        window_months
),

-- what is not hot enough for any scope need not be looked up in scope_cells
scope_cell as (
    select
        member.scope,
        cell.crime_type,
        cell.window_months,
        cell.hex_id,
        cell.crimes,
        cell.score
    from cell_windows as cell
    inner join lowest_limit
        on
            cell.crime_type = lowest_limit.crime_type
            and cell.window_months = lowest_limit.window_months
            and cell.score >= lowest_limit.score
    inner join scope_cells as member
        on cell.hex_id = member.hex_id
),

-- a semi join, else the planner pairs each cell with the rankings of all scopes first
candidate as (
    select cell.*
    from scope_cell as cell
    semi join ranking
        on
            cell.scope = ranking.scope
            and cell.crime_type = ranking.crime_type
            and cell.window_months = ranking.window_months
            and cell.score >= ranking.limit_score
),

ranked_candidate as (
    select
        *,
        row_number() over (
            partition by scope, crime_type, window_months
            order by
                score desc,
                hex_id asc
        ) as rank
    from candidate
)

select
    cell.scope,
    cell.crime_type,
    cell.window_months,
    ranking.forces_present,
    ranking.k,
    cell.rank,
    cell.hex_id,
    cell.crimes,
    cell.score,
    ranking.reached > ranking.k and cell.score = ranking.limit_score as tied
from ranked_candidate as cell
inner join ranking
    on
        cell.scope = ranking.scope
        and cell.crime_type = ranking.crime_type
        and cell.window_months = ranking.window_months
        and cell.rank <= ranking.k
