-- rejected_crimes: from published_lines. One row is one published line that is no crime.
select
    row,
    line,
    reason
from published_lines
where reason is not null
order by row
