-- cell_pairs: from hotspot_frequency of one month. One row is a cell and a type whose crimes the
-- map shows there, numbered from nought; what is ranked by harm shows the crimes of all types.
with shown_cell as (
    select distinct
        if(crime_type = 'Crime harm', 'All crime', crime_type) as crime_type,
        hex_id
    from hotspot_frequency
)

select
    (row_number() over (order by crime_type asc, hex_id asc) - 1)::integer as pair,
    crime_type,
    hex_id
from shown_cell
