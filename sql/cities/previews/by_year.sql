-- A preview of city_incidents: the incidents of each year by crime type, in the study's mapping.
select
    year(time) as year,
    count(*) as incidents,
    count(distinct time::date) as days,
    count(*) filter (where study = 'Homicide') as homicide,
    count(*) filter (where study = 'Robbery') as robbery,
    count(*) filter (where study = 'Arson') as arson,
    count(*) filter (where study = 'Vice') as vice,
    count(*) filter (where study = 'Motor vehicle') as motor_vehicle,
    count(*) filter (where study = 'Narcotics') as narcotics,
    count(*) filter (where study = 'Assault') as assault,
    count(*) filter (where study = 'Theft') as theft,
    count(*) filter (where study = 'Burglary') as burglary,
    count(*) filter (where study = 'Other') as other,
    count(*) filter (where study is null) as unknown
from city_incidents
group by year(time)
order by year(time)
