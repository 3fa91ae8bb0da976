-- centre_rows: from nothing. One row is one of the 3,772 rows of cell centres from west to east,
-- 100 sqrt(3) m apart and numbered from the south: the even rows are those of the even lattice, the
-- odd rows those of the odd one. The cell in column 0 .. 956 of a row has the id
-- first_id + 1886 * column, and its centre the easting first_easting + 600 * column.
select
    range::integer as centre_row,
    5000 + 100 * sqrt(3.0) * (range % 2) + 200 * sqrt(3.0) * (range // 2) as northing,
    (82400 + 300 * (range % 2))::double as first_easting,
    (1804902 * (range % 2) + range // 2)::integer as first_id
from range(3772)
order by centre_row
