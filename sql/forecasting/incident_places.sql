-- incident_places: from incidents (date, crime_type, longitude, latitude: one row is one incident).
-- One row is one incident: its day (null where the date cannot be read), and where it lies in $crs
-- (null where it has no place; some files put those at a pole).
with place as (
    select distinct
        longitude,
        latitude
    from incidents
    where longitude between -180 and 180 and latitude between -85 and 85
),

point as (
    select
        *,
        st_transform(st_point(longitude, latitude), 'EPSG:4326', $crs, always_xy := true)
            as position
    from place
)

select
    coalesce(incidents.crime_type, '') as crime_type,
    st_x(point.position) as easting,
    st_y(point.position) as northing,
    coalesce(
        try_cast(incidents.date as timestamp),
        try_strptime(
            incidents.date,
            [
                '%m/%d/%Y',
                '%m/%d/%Y %H:%M',
                '%m/%d/%Y %H:%M:%S',
                '%m/%d/%Y %I:%M:%S %p',
                '%Y/%m/%d %H:%M:%S%z'
            ]
        )::timestamp
    )::date as day
from incidents
left join point
    on incidents.longitude = point.longitude and incidents.latitude = point.latitude
