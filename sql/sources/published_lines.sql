-- published_lines: the lines of one published file, split into fields, with the reason why a line
-- is no crime of the file. From $content (its text, lines separated by line feeds), $month
-- (2025-09) and $crime_types (those of all times).
-- One row is one line after the header; `row` 1 is the first.
with line_by_line as (
    select
        row_number() over () - 1 as row,
        line
    from (
        select unnest(string_split($content, E'\n')) as line
    )
),

split_line as (
    select
        row,
        line,
        -- only names such as "Bournemouth, Christchurch and Poole 009D" are quoted
        case
            when contains(line, '"')
                then list_transform(
                    regexp_extract_all(line || ',', '("(?:[^"]|"")*"|[^,]*),', 1),
                    lambda field: if(
                        field[1] = '"' and field[-1] = '"' and length(field) > 1,
                        replace(field[2:-2], '""', '"'),
                        field
                    )
                )
            else string_split(line, ',')
        end as fields
    from line_by_line
    where row > 0
),

located_line as (
    select
        row,
        line,
        fields,
        -- DuckDB would read 5_1.5 as 51.5
        try_cast(replace(nullif(fields[5], ''), '_', '?') as double) as longitude,
        try_cast(replace(nullif(fields[6], ''), '_', '?') as double) as latitude
    from split_line
)

select
    row::integer as row,
    line,
    fields,
    longitude,
    latitude,
    case
        when len(fields) <> 12
            then 'torn: ' || len(fields) || ' fields, not 12'
        when contains(line, '"') and length(line) % 2 <> length(replace(line, '"', '')) % 2
            then 'torn: a quotation mark is not closed'
        when fields[2] <> $month
            then 'month ' || left(fields[2], 40) || ' in a file of ' || $month
        when not list_contains($crime_types, fields[10])
            then 'crime type "' || left(fields[10], 80) || '" is in no list'
        when (fields[5] = '') <> (fields[6] = '')
            then 'one coordinate is missing'
        when fields[5] <> '' and not coalesce(isfinite(longitude) and isfinite(latitude), false)
            then left('coordinate ' || fields[5] || ', ' || fields[6], 90) || ' is no number'
        -- from Fermanagh to Lowestoft, and from Scilly to Shetland
        when
            fields[5] <> ''
            and not (longitude between -8.7 and 1.8 and latitude between 49.8 and 60.9)
            then left('outside the United Kingdom: ' || fields[5] || ', ' || fields[6], 90)
    end as reason
from located_line
