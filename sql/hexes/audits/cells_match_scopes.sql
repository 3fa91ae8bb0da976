-- Scopes whose cells are not as many as scopes counts. From scopes and scope_cells.
select
    scope.scope,
    scope.cells as expected,
    count(member.hex_id) as found
from scopes as scope
left join scope_cells as member
    on scope.scope = member.scope
group by
    scope.scope,
    scope.cells
having count(member.hex_id) <> scope.cells
order by scope.scope
