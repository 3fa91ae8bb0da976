-- street_crimes: from published_lines. One row is one crime, typed and located.
-- A point repeats, so only distinct points are transformed to the British National Grid; PROJ's
-- default transformation, not OSTN15, since the published grid uses it. It is EPSG:4326 to
-- EPSG:27700 to the last bit, spelled out: PROJ looks a code up anew for each statement, which
-- takes longer than to transform a month of a force.
with snap_point as (
    select
        longitude,
        latitude,
        st_transform(
            st_point(longitude, latitude),
            '+proj=longlat +datum=WGS84 +no_defs',
            '+proj=tmerc +lat_0=49 +lon_0=-2 +k=0.9996012717 +x_0=400000 +y_0=-100000 '
            || '+ellps=airy +towgs84=446.448,-125.157,542.06,0.15,0.247,0.842,-20.489 '
            || '+units=m +no_defs',
            always_xy := true
        ) as place
    from (
        select distinct
            longitude,
            latitude
        from published_lines
        where reason is null and longitude is not null
    )
),

located_snap_point as (
    select
        longitude,
        latitude,
        st_x(place) as easting,
        st_y(place) as northing,
        hex_id_at(st_x(place), st_y(place)) as hex_id
    from snap_point
)

select
    crime.row,
    nullif(crime.fields[1], '') as crime_id,
    crime.fields[3] as reported_by,
    crime.fields[4] as falls_within,
    crime.longitude,
    crime.latitude,
    point.easting,
    point.northing,
    point.hex_id,
    nullif(crime.fields[7], '') as location,
    nullif(crime.fields[8], '') as lsoa_code,
    nullif(crime.fields[9], '') as lsoa_name,
    crime.fields[10] as crime_type,
    nullif(crime.fields[11], '') as last_outcome
from published_lines as crime
left join located_snap_point as point
    on crime.longitude = point.longitude and crime.latitude = point.latitude
where crime.reason is null
order by crime.row
