-- kilometre: from incidents (longitude, latitude: one row is one incident).
-- One row is one kilometre that starts amid the incidents, to the north or to the east: how long it
-- is in $crs. No row where no incident has a place.
with middle as (
    select
        median(longitude) as longitude,
        median(latitude) as latitude
    from incidents
    where longitude between -180 and 180 and latitude between -85 and 85
),

ends as (
    select
        unnest([longitude, longitude + 1 / $km_of_a_degree / cos(radians(latitude))]) as east,
        unnest([latitude + 1 / $km_of_a_degree, latitude]) as north,
        longitude,
        latitude
    from middle
    where longitude is not null
)

select
    st_distance(
        st_transform(st_point(longitude, latitude), 'EPSG:4326', $crs, always_xy := true),
        st_transform(st_point(east, north), 'EPSG:4326', $crs, always_xy := true)
    ) as metres
from ends
