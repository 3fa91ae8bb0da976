-- crimes_at_points: from crimes (month, crime_type, longitude, latitude). One row is the crimes of
-- one type in one month at one point; each distinct point is transformed once.
with place as (
    select distinct
        longitude,
        latitude
    from crimes
    where longitude is not null and latitude is not null
),

point as (
    select
        *,
        st_transform(
            st_point(longitude, latitude), 'EPSG:4326', 'EPSG:27700', always_xy := true
        ) as position
    from place
)

select
    crimes.month,
    crimes.crime_type,
    st_x(point.position) as easting,
    st_y(point.position) as northing,
    count(*) as crimes
from crimes
inner join point
    on crimes.longitude = point.longitude and crimes.latitude = point.latitude
group by all
order by all
