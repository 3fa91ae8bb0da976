-- published_incidents: from one CSV file of a city. One row is a line of data, its time and place
-- as they could be read, or the reason why it is no incident of the city.
-- $columns names the columns by position (and one beyond the last: a line with too many fields has
-- something there), $places says at which position each meaning stands (0: nowhere). $box, and
-- $utc_endings of times that are of UTC and not of $zone, as in crime_assets/cities/city.py.
with line as materialized (
    select
        row_number() over () + $lines_before as row,
        list_value(*columns(*)) as fields
    from read_csv(
        $file,
        columns = $columns,
        header = false,
        skip = 1,
        auto_detect = false,
        delim = ',',
        quote = '"',
        escape = '"',
        null_padding = true,
        strict_mode = false,
        parallel = false
    )
),

field as (
    select
        row,
        fields,
        nullif(trim(fields[$places.reported]), '') as reported,
        nullif(trim(fields[$places.occurred]), '') as occurred,
        nullif(trim(fields[$places.date]), '') as date,
        nullif(trim(fields[$places.time_of_day]), '') as time_of_day,
        coalesce(trim(fields[$places.category]), '') as category,
        nullif(trim(fields[$places.longitude]), '') as longitude,
        nullif(trim(fields[$places.latitude]), '') as latitude
    from line
),

reported as (
    select
        *,
        try_strptime(reported, $time_formats) as reported_at,
        try_strptime(occurred, $time_formats) as occurred_at
    from field
),

localised as (
    select
        * replace (
            if(
                len(list_filter($utc_endings, lambda ending: ends_with(reported, ending))) > 0,
                (reported_at at time zone 'UTC') at time zone $zone,
                reported_at
            ) as reported_at,
            if(
                len(list_filter($utc_endings, lambda ending: ends_with(occurred, ending))) > 0,
                (occurred_at at time zone 'UTC') at time zone $zone,
                occurred_at
            ) as occurred_at
        )
    from reported
),

typed as (
    select
        row,
        fields,
        reported_at,
        category,
        coalesce(reported, occurred, date) is not null as has_time,
        longitude is not null and latitude is not null as has_place,
        coalesce(
            reported_at,
            occurred_at,
            try_strptime(date || ' ' || time_of_day, $time_formats),
            try_strptime(date, $time_formats)
        ) as time,
        try_cast(longitude as double) as longitude,
        try_cast(latitude as double) as latitude
    from localised
),

judged as (
    select
        *,
        case
            when fields[len(fields)] is not null then 'too many fields'
            when not has_time then 'no time'
            when time is null then 'time in no known format'
            when not has_place then 'no place'
            when
                not coalesce(isfinite(longitude) and isfinite(latitude), false)
                then 'place is no number'
            when abs(longitude) < 0.01 and abs(latitude) < 0.01 then 'null island'
            when
                not (
                    longitude between $box.west and $box.east
                    and latitude between $box.south and $box.north
                )
                then 'outside the box'
        end as reason
    from typed
)

select
    row,
    time,
    reported_at is not null as by_report,
    category,
    longitude,
    latitude,
    reason,
    hash(fields) as fingerprint,
    case when reason is not null then list_slice(fields, 1, len(fields) - 1) end as fields
from judged
