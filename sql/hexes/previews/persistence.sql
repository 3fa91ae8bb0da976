-- How many cells of the whole area are of which persistence class, over windows of three months.
-- From hotspot_frequency of one month, $nation.
select
    crime_type,
    count(*) filter (where persistence = 'persistent') as persistent,
    count(*) filter (where persistence = 'emerging') as emerging,
    count(*) filter (where persistence = 'intermittent') as intermittent,
    count(*) filter (where persistence = 'former') as former
from hotspot_frequency
where scope = $nation and window_months = 3
group by crime_type
order by crime_type
