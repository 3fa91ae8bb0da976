-- Entries of the maps of a city: from incident_maps and incident_days. One row is the incidents of
-- one day (counted from the first) in one cell, of the crime type at one position of $crime_types,
-- as $mapping has it (study or corrected); 0: of none.
select
    (maps.day - (select min(day) from incident_days))::integer as day,
    maps.cell,
    coalesce(
        list_position(
            $crime_types, case $mapping when 'study' then maps.study else maps.corrected end
        ),
        0
    ) as position,
    maps.incidents
from incident_maps as maps
