"""The contract of the lake: every table, what a row of it is, its columns, types and units.

Other people's queries rely on these names. The lake refuses to publish a relation that does not
match; the UI and the reference page of the documentation show what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

from crime_assets.register import CRIME_TYPES, type_column


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its DuckDB type, and what it holds in which unit."""

    name: str
    type: str
    description: str

    @property
    def type_without_crs(self) -> str:
        """The type as a DuckDB knows it that has not loaded ``spatial``."""
        return "geometry" if self.type.startswith("geometry(") else self.type


@dataclass(frozen=True)
class Table:
    """A table of the lake. ``partitions`` are its hive columns, such as month and force."""

    name: str
    row: str
    partitions: tuple[str, ...]
    columns: tuple[Column, ...]

    def select_list(self) -> str:
        """The columns with their types, as a DuckDB ``select`` list."""
        return ", ".join(f'"{c.name}"::{c.type} as "{c.name}"' for c in self.columns)


TABLES: dict[str, Table] = {}


def _table(name: str, row: str, partitions: str, columns: str) -> Table:
    """Register a table; a line of ``columns`` is name, type, description, two spaces apart."""
    parsed = []
    for line in filter(str.strip, columns.splitlines()):
        column, sql_type, description = (part.strip() for part in line.strip().split("  ", 2))
        parsed.append(Column(column, sql_type, description))
    table = Table(name, row, tuple(partitions.split()), tuple(parsed))
    TABLES[name] = table
    return table


STREET_CRIMES = _table(
    "street_crimes",
    "one crime, as one force published it for one month",
    "month force",
    """
    row  integer  line in the published file; the first line of data is 1
    crime_id  varchar  64 hex digits; null for anti-social behaviour; repeats at different places
    reported_by  varchar  the force that gave the data to police.uk
    falls_within  varchar  the force in whose area it says the crime lies (often it does not)
    longitude  double  degrees, WGS84; snapped to an anonymous place; null where there is none
    latitude  double  degrees, WGS84
    easting  double  metres, British National Grid (EPSG:27700)
    northing  double  metres, British National Grid (EPSG:27700)
    hex_id  integer  the cell of the 200 m grid; null: no location, or outside the grid
    location  varchar  the anonymous place in words, such as "On or near Supermarket"
    lsoa_code  varchar  as published; its vintage changes between archives
    lsoa_name  varchar  as published
    crime_type  varchar  as published
    last_outcome  varchar  the latest outcome when the archive was made
    """,
)

REJECTED_CRIMES = _table(
    "rejected_crimes",
    "one published line that could not be read as a crime",
    "month force",
    """
    row  integer  line in the published file; the first line of data is 1
    line  varchar  the text as published
    reason  varchar  why it is no crime of this file
    """,
)

ARCHIVE_INDEX = _table(
    "archive_index",
    "one force's file of one month in the archive of a release; nothing of it is downloaded",
    "month",
    """
    crime_month  varchar  the month whose crimes the file holds; the partition is the release's
    force  varchar  police.uk's slug
    bytes  bigint  of the file, unpacked
    packed_bytes  bigint  of the file in the archive
    crc32  bigint  the file's checksum, as the archive's directory states it
    """,
)

STREET_CRIME_ISSUES = _table(
    "street_crime_issues",
    "the crimes of one type in one issue of a force's file of a month, the first being 1",
    "month force",
    """
    issue  integer  counts what this lake has read of the month: 1, then each file that differed
    release  varchar  the archive that the file came from, such as 2025-12
    sha256  varchar  of the file as published
    published  boolean  whether there was a file; false: an archive held the month without it
    crime_type  varchar  as published, or All crime
    crimes  bigint  crimes of that type
    """,
)

RELEASE_CHANGES = _table(
    "release_changes",
    "the crimes of one type in one force's file of one month that a release added or changed",
    "month",
    """
    crime_month  varchar  the month whose crimes the file holds; the partition is the release's
    force  varchar  police.uk's slug
    crime_type  varchar  as published, or All crime
    issue  integer  the file's issue in this lake that came with the release; more than one where \
the release was issued anew
    change  varchar  new (not read, or not published, before), revised, or withdrawn
    release_before  varchar  the archive of the issue before; null: none
    rows_before  bigint  crimes of the type in the issue before; null: none
    rows_after  bigint  crimes of the type in this issue
    """,
)

INVENTORY = _table(
    "inventory",
    "a partition of a table that is not as it should be, and why",
    "",
    """
    name  varchar  the table or asset
    month  varchar  its month; null where it has none
    force  varchar  its force; null where it has none
    state  varchar  failed (its last run did), missing, outdated (made of what has changed since) \
or late (police.uk has published it, and this lake has not)
    reason  varchar  what is known of the cause, and what to do
    """,
)

COVERAGE = _table(
    "coverage",
    "one force in one month: whether it published, and what",
    "month",
    """
    force  varchar  police.uk's slug
    status  varchar  published; partial (far fewer crimes than usual); not_published; not_loaded
    release  varchar  the archive that the file came from, such as 2025-12
    newest_release  varchar  the newest archive that holds the month; later than `release` where \
that archive lacks this force
    sha256  varchar  of the file as published
    rows  bigint  lines of data in the file
    located  bigint  crimes with a location
    rejected  bigint  lines that could not be read
    """,
)

HEX_CELLS = _table(
    "hex_cells",
    "one cell of the 200 m grid that intersects the study area",
    "",
    """
    hex_id  integer  the cell; the id never depends on the data
    easting  double  metres, of its centre
    northing  double  metres, of its centre
    force  varchar  the police force area in which its centre lies; null at the coast
    lsoa21cd  varchar  the LSOA in which its centre lies; null at the coast
    """,
)

SCOPES = _table(
    "scopes",
    "one area that is ranked on its own",
    "",
    """
    scope  varchar  england-and-wales (or study-area), a force, or a name from CRIME_SCOPES
    kind  varchar  nation, force or polygon
    forces  varchar[]  the forces without which a month of it is not there; empty: any force will do
    area_m2  double  square metres
    cells  integer  cells that are ranked: those that intersect the nation, or have their centre \
inside a force or polygon
    k  integer  how many of them are hotspots
    """,
)

SCOPE_CELLS = _table(
    "scope_cells",
    "one cell that belongs to one scope",
    "",
    """
    scope  varchar  the scope
    hex_id  integer  the cell
    """,
)

HEX_COUNTS = _table(
    "hex_counts",
    "the crimes of one type that one force published in one cell in one month; none is no row",
    "month",
    """
    force  varchar  the force that published the crimes, wherever the cell lies
    crime_type  varchar  as published
    hex_id  integer  the cell
    crimes  integer  crimes
    """,
)

SNAP_COUNTS = _table(
    "snap_counts",
    "the crimes of one type that are published at one anonymous place (snap point) in one month",
    "month",
    """
    crime_type  varchar  as published
    hex_id  integer  the cell in which the snap point lies
    longitude  double  degrees, WGS84
    latitude  double  degrees, WGS84
    location  varchar  the place in words, such as "On or near Supermarket"
    crimes  integer  crimes
    """,
)

RECONCILIATION = _table(
    "reconciliation",
    "where the crimes of one force and one type went in one month; nothing is lost",
    "month",
    """
    force  varchar  the force that published the crimes
    crime_type  varchar  as published
    crimes  bigint  crimes kept: unlocated + outside_grid + outside_cells + in_cells
    unlocated  bigint  published without a location
    outside_grid  bigint  outside the 957 x 1886 x 2 cells of the grid
    outside_cells  bigint  in the grid, but in no cell of the study area: at sea or abroad
    in_cells  bigint  in a cell of the study area
    """,
)

LSOA_AREAS = _table(
    "lsoa_areas",
    "one LSOA (Lower layer Super Output Area) of 2021",
    "",
    """
    lsoa21cd  varchar  its code, such as E01000001
    lsoa21nm  varchar  its name, such as City of London 001A
    force  varchar  the police force area in which it lies; null in none
    area_km2  double  square kilometres
    geometry  geometry('EPSG:27700')  its outline, British National Grid (GeoParquet)
    """,
)

LSOA_COUNTS = _table(
    "lsoa_counts",
    "the crimes of one type in one LSOA in one month; none is no row",
    "month",
    """
    lsoa21cd  varchar  the LSOA of 2021 in which the points lie
    crime_type  varchar  as published
    crimes  integer  crimes
    same_code  integer  those of them that were published with this very code
    """,
)

_TYPES_IN_USE = [t.crime_type for t in CRIME_TYPES.values() if not t.last_month]

LSOA_FEATURES = _table(
    "lsoa_features",
    "one LSOA as it is known at the cut-off, among the areas of one scope; no count is later",
    "month",
    """
    scope  varchar  england-and-wales (or study-area), or a force
    lsoa21cd  varchar  the LSOA; those are here whose force published the whole last year
    force  varchar  the police force area in which it lies
    years  integer  years of twelve months of it that are there, counted back from the cut-off: 1 \
to 3
    density_last_year  double  crimes / km² in the twelve months up to the cut-off
    density_year_before  double  the same of the twelve months before; null if they are not there
    density_two_years_before  double  the same of the twelve months before these
    density_mean  double  mean of the years that are there
    density_change  double  last year - the earliest year that is there; null if there is but one
    """
    + "".join(
        f"density_{type_column(name)}  double  {name}, crimes / km² in the last year; null if "
        "police.uk has not had the type in all years\n"
        for name in _TYPES_IN_USE
    )
    + """
    cluster_last_year  integer  k-means cluster of the densities of all types, 0 (lowest mean \
density) to 4, among the areas of the scope
    cluster_year_before  integer  the same of the year before
    cluster_two_years_before  integer  the same of two years before
    cluster_long_run  integer  the same of the mean of the years that are there
    cluster_increasing  boolean  over the years the cluster never falls, and rises; null if there \
is but one
    cluster_stable  boolean  it is the same in all years
    cluster_decreasing  boolean  it never rises, and falls
    neighbours_density_last_year  double  mean density of the areas that touch it (queen \
contiguity) and have data, in the last year; null if there is none
    neighbours_density_year_before  double  the same of the year before
    neighbours_density_two_years_before  double  the same of two years before
    """
    + "".join(
        f"neighbours_density_{type_column(name)}  double  the same of {name}, last year\n"
        for name in _TYPES_IN_USE
    )
    + """
    local_moran  double  local Moran's I of the last year's density, within the scope; null for an \
area that touches none
    lisa  varchar  high-high, low-low, high-low or low-high (itself - its neighbours) where the \
local Moran's I is significant at 5 % by 999 permutations; else not significant; null as that is
    summer_share  double  share of the crimes of all its years in June to August; null if none
    season_strength  double  0 (even over the year) to 1 (all in one month); null if it has none
    last_quarter_share  double  share of the last year's crimes in its last three months; null if \
it has none
    hot_cells  integer  200 m cells with their centre in it that are hotspots of all crime in the \
twelve months; null if hotspots of the month are not there
    area_km2  double  square kilometres
    population  double  people; null if CRIME_LSOA_ATTRIBUTES does not say
    imd_rank  double  Index of Multiple Deprivation, 1 is the most deprived; null if it does not say
    """,
)

LSOA_LABELS = _table(
    "lsoa_labels",
    "what became of one LSOA in the twelve months after the cut-off, among the areas of one scope",
    "month",
    """
    scope  varchar  england-and-wales (or study-area), or a force
    lsoa21cd  varchar  the LSOA
    force  varchar  the police force area in which it lies
    crime_density  double  crimes / km² in the twelve months after the cut-off; null if its force \
did not publish each of them
    is_hotspot  boolean  it is in the quarter of the scope's areas with the highest density
    tier  integer  0 (the lower half), 1 (to 75 %), 2 (to 90 %), 3 (the highest tenth)
    bivariate  varchar  level (0 to 50 %, 1 to 75 %, 2 above) of the first type of CRIME_BIVARIATE \
_ that of the second, such as 2_0
    """,
)

LSOA_PREDICTIONS = _table(
    "lsoa_predictions",
    "the class of one LSOA in the twelve months after the cut-off, as one model foretells it",
    "month model",
    """
    scope  varchar  as in lsoa_features
    split  varchar  what the model was fitted on: time (the cut-off a year before), space (blocks \
of land elsewhere), force (other forces), random (four fifths of the areas by chance: optimistic, \
for each area's neighbours are among them)
    label  varchar  is_hotspot, tier or bivariate
    lsoa21cd  varchar  the LSOA
    predicted  varchar  the class that is most probable; 0 or 1, 0 to 3, 0_0 to 2_2
    probabilities  double[]  of each class, in their order; they sum to one
    conformal_set  varchar[]  the classes that cannot be excluded: at least nine sets in ten hold \
the true one if areas are as those that it was calibrated on; null where the split is not time
    """,
)

LSOA_EVALUATIONS = _table(
    "lsoa_evaluations",
    "one figure by which a model's classes of one cut-off are judged by what then happened",
    "month model",
    """
    scope  varchar  as in lsoa_features
    split  varchar  as in lsoa_predictions
    label  varchar  is_hotspot, tier or bivariate
    group_kind  varchar  all, force, or deprivation (fifths of imd_rank, 1 the most deprived)
    group_name  varchar  the force or the fifth; null for all
    class  varchar  the class that the figure is of, null for all of them; of moran_i what it is \
of: density, tier, is_hotspot or the residual of is_hotspot
    metric  varchar  such as accuracy, macro_f1, auroc; defined in the reference of the API
    value  double  the metric
    low  double  2.5 % quantile when blocks of areas are resampled (of groups: Wilson's, as if \
areas were independent); null where none is computed
    high  double  97.5 % quantile
    p_value  double  of a test that has one (Moran's I; the difference to same_class); else null
    areas  integer  areas that it is made of
    """,
)

MPS_LSOA_YEARS = _table(
    "mps_lsoa_years",
    "the crimes of one type in one area of London in one year, as the Metropolitan Police counted \
them; none is nought",
    "",
    """
    lsoa21cd  varchar  the LSOA of 2021, of Greater London; four of the City of London are left out
    year  integer  a year of which all twelve months are published
    crime_type  varchar  the minor category, as published
    crimes  integer  crimes
    lines  integer  published lines they are summed from: 0 where there is none, 2 where the type \
stands under two major categories or the area has two names
    """,
)

STREET_SEGMENTS = _table(
    "street_segments",
    "one piece of a street between two junctions (or a dead end), of one force's network",
    "force",
    """
    segment_id  varchar  the piece: the source's id of the street, and which piece of it
    name  varchar  the street's name; null where it has none
    kind  varchar  its class as the source calls it, such as residential; null where it says none
    length_m  double  metres along it
    geometry  geometry('EPSG:27700')  its line, British National Grid (GeoParquet)
    """,
)

STREET_GRAPH = _table(
    "street_graph",
    "two segments of one force's network that share a junction; each pair once",
    "force",
    """
    segment_id  varchar  the one, which comes first by its id
    neighbour_id  varchar  the other
    distance_m  double  metres from the middle of the one to the middle of the other, along them
    weight  double  exp(-distance² / (2 · 750²)), 0 to 1: how much the one says of the other
    """,
)

SEGMENT_COUNTS = _table(
    "segment_counts",
    "the crimes of one type on one street segment in one month; none is no row",
    "month",
    """
    force  varchar  the force whose network it is, whichever force published the crimes
    segment_id  varchar  the segment that is nearest to the points, by distance to its line
    crime_type  varchar  as published
    crimes  integer  crimes
    distance_m  double  mean distance of the crimes from the segment
    """,
)

SEGMENT_STEPS = _table(
    "segment_steps",
    "the crimes of one type on one segment in one step, nought included, and what went before",
    "month force",
    """
    segment_id  varchar  the segment
    crime_type  varchar  a type in use, or All crime
    step  varchar  which step it is: the month
    crimes  integer  crimes in the step
    smoothed  double  crimes of the steps before it, exponentially smoothed: the last one counts \
0.5, each one before it half of the next; nothing of the step itself
    """,
)

CITY_INCIDENTS = _table(
    "city_incidents",
    "one incident of a city, as its police published it",
    "city",
    """
    row  integer  line of data, counted over the city's files in the order of their names; the \
first is 1
    time  timestamp  when it was reported, or else when it happened; as published, local
    category  varchar  as published; empty where none was
    study  varchar  crime type as table A1 of the study has it: one of ten; null: the category is \
unknown
    corrected  varchar  crime type with the evident oddities of that table put right
    longitude  double  degrees, WGS84
    latitude  double  degrees, WGS84
    """,
)

REJECTED_INCIDENTS = _table(
    "rejected_incidents",
    "one published line that is no incident of the city",
    "city",
    """
    row  integer  as in city_incidents
    fields  varchar[]  the fields as published; of a line with too many, as many as the header has
    reason  varchar  why: no time, no place, null island, outside the box, ..
    """,
)

INCIDENT_CATEGORIES = _table(
    "incident_categories",
    "one category of the incidents of a city, as published",
    "city",
    """
    category  varchar  as published
    incidents  integer  incidents of it
    study  varchar  as in city_incidents
    corrected  varchar  as in city_incidents
    known  boolean  the city's file says which crime type it is
    note  varchar  why it is of these types, or what is not certain about it
    """,
)

INCIDENT_DAYS = _table(
    "incident_days",
    "one day, from the first to the last on which a city has an incident",
    "city",
    """
    day  date  the day, local
    incidents  integer  incidents of that day
    observed  boolean  false where chance does not explain that there are so few (none, or less \
than a tenth of the mean of the weeks around): the file does not hold the day
    """,
)

INCIDENT_MAPS = _table(
    "incident_maps",
    "the incidents of one day in one cell of a city's grid, of one pair of crime types; none is \
no row",
    "cells city",
    """
    day  date  the day, local
    cell  integer  row x p + column of a grid of p x p cells, from the south-west corner
    study  varchar  as in city_incidents; null counts among all crimes alone
    corrected  varchar  as in city_incidents
    incidents  integer  incidents
    """,
)

GRID_FORECASTS = _table(
    "grid_forecasts",
    "one cell of a city's grid and how likely it has a crime in the 30 days from an origin on",
    "cells city model",
    """
    mapping  varchar  the mapping of categories to crime types: study or corrected
    crime_type  varchar  one of ten, or All crime
    origin  date  the first day that is foretold: the first of each month of the year of the test
    cell  integer  as in incident_maps; cells outside the study are no rows
    probability  double  of at least one incident on the observed days among the 30, 0 to 1
    expected  double  incidents expected on them; null: the method does not count
    """,
)

GRID_EVALUATIONS = _table(
    "grid_evaluations",
    "one figure by which a method is judged on a city's grid",
    "cells city model",
    """
    mapping  varchar  as in grid_forecasts
    crime_type  varchar  as in grid_forecasts
    origin  date  of the prediction that is judged; null: the mean of the twelve
    against  varchar  the naive rule whose figure on the same months is taken off; null: none
    metric  varchar  f1 (at 0.5), aucpr, auroc, pai, pei_star, pai_by_count (by expected incidents)
    coverage  double  share of the cells, of pai, pei_star and pai_by_count; null for the others
    value  double  the figure, or the difference
    low  double  lower end of the 95 % interval of a mean, from resampled months; null: of one month
    high  double  upper end
    """,
)

GRID_LEADERBOARD = _table(
    "grid_leaderboard",
    "the place of one method by one metric, for one crime type on a city's grid",
    "cells city",
    """
    mapping  varchar  as in grid_forecasts
    crime_type  varchar  as in grid_forecasts
    metric  varchar  as in grid_evaluations
    coverage  double  as in grid_evaluations
    rank  integer  1 is best; methods of one value share a rank
    model  varchar  the method
    kind  varchar  rule, classifier or network
    value  double  the mean of the twelve predictions
    low  double  lower end of its 95 % interval
    high  double  upper end
    difference  double  to persistence on the same months; null: it is persistence
    difference_low  double  lower end of its 95 % interval
    difference_high  double  upper end
    rolling_difference  double  to the rolling mean; null: it is one of the two
    rolling_low  double  lower end of its 95 % interval
    rolling_high  double  upper end
    published  double  what the study printed for this city, grid and crime type; null: nothing
    """,
)

GLDNET_TRIALS = _table(
    "gldnet_trials",
    "one trial of the search for the settings of GLDNet: what was tried, and how well it did",
    "month force",
    """
    crime_type  varchar  what is forecast
    trial  integer  0 is the first: the settings of the source
    state  varchar  complete, or failed (its loss was no number)
    value  double  mean share of the crimes of the validation steps that fell on a tenth of the \
street length, taken in the better of two orders; null where it failed
    best  boolean  it is the trial whose settings are taken
    parameters  varchar  the settings, as JSON
    """,
)

GLDNET = _table(
    "gldnet",
    "one epoch of the training of one GLDNet, a graph network that foretells crimes on segments",
    "month force",
    """
    crime_type  varchar  what is forecast
    epoch  integer  1 is the first
    loss  double  of the training steps: the weighted squared error, or Poisson's loss, which may \
be below nought; the settings in the metadata say which
    validation_loss  double  the same of the validation steps
    hit_rate  double  mean share of the crimes of the training steps that fell on a tenth of the \
street length
    validation_hit_rate  double  the same of the validation steps
    kept  boolean  it is the epoch whose weights were kept
    """,
)

GLDNET_FORECASTS = _table(
    "gldnet_forecasts",
    "one segment and how hot GLDNet says it will be in the step after the cut-off",
    "month force",
    """
    segment_id  varchar  the segment
    crime_type  varchar  what is forecast
    step  varchar  month: how long a step is
    score  double  higher is hotter; crimes per mean length where the loss of the model is Poisson's
    trained_at  varchar  the cut-off of the model that was asked: this one, or an earlier one
    """,
)

HOTSPOTS = _table(
    "hotspots",
    "one cell that is a hotspot: among the k hottest of its scope in a window that ends here",
    "month",
    """
    scope  varchar  england-and-wales (or study-area), a force, or a name from CRIME_SCOPES
    crime_type  varchar  one of the 14 in use, All crime, or Crime harm where weights are given
    window_months  integer  1, 3 or 12
    forces_present  varchar[]  the forces that published in every month of the window
    k  integer  cells that are hotspots at most
    rank  integer  1 is hottest; equal scores stand in order of hex_id
    hex_id  integer  the cell
    crimes  integer  crimes in the window
    score  decimal(18,3)  what is ranked: crimes, or the sum of weights for Crime harm
    tied  boolean  a cell that was left out has the same score
    snap_points  integer  distinct anonymous places on which its crimes lie
    largest_share  double  the share of its crimes on the largest of them: 1 is one car park
    """,
)

HOTSPOT_FREQUENCY = _table(
    "hotspot_frequency",
    "one cell that was a hotspot in at least one window of the 36 months that end here",
    "month",
    """
    scope  varchar  as in hotspots
    crime_type  varchar  as in hotspots
    window_months  integer  1, 3 or 12
    rank  integer  1 is the most lasting; equal hits stand in order of hex_id
    hex_id  integer  the cell
    hits  integer  windows in which it was a hotspot
    windows  integer  complete windows inside the 36 months
    frequency  double  hits / windows, 0 to 1
    persistence  varchar  persistent, emerging, former or intermittent
    """,
)

HOTSPOT_SUMMARY = _table(
    "hotspot_summary",
    "one ranking: a scope, a crime type and a window that ends here, whether complete or not",
    "month",
    """
    scope  varchar  as in hotspots
    crime_type  varchar  as in hotspots
    window_months  integer  1, 3 or 12
    complete  boolean  all months of the window are there; if not, it is not ranked
    reason  varchar  why it is not complete
    crimes  bigint  crimes in the scope's cells in the window
    captured  double  share of them (of the harm, for Crime harm) in the hotspots
    jaccard  double  hotspots shared with the window before / hotspots of either; null if that \
one is not complete
    gini  double  Gini coefficient of the crimes (or harm) over all cells of the scope, empty ones \
included
    modified_gini  double  (gini - g) / (1 - g), g the Gini that a Poisson with the same mean has; \
null for Crime harm
    tie_band  integer  cells with the k-th score where not all of them fit; else 0
    """,
)

FORECASTS = _table(
    "forecasts",
    "one unit (cell, LSOA, segment) and how hot a model says it will be after the cut-off",
    "month model unit",
    """
    scope  varchar  as in hotspots, or a city
    unit_id  varchar  the unit: a hex_id, an LSOA code, a segment
    crime_type  varchar  as in hotspots
    step  varchar  month or day
    horizon_steps  integer  the forecast is for so many steps after the cut-off
    rank  integer  1 is hottest; equal scores stand in order of the unit
    score  double  higher is hotter; by it units are ranked (for units of unequal size it is the \
score per mean area or length)
    expected_crimes  double  crimes expected in the unit over the horizon; null where the model \
only ranks
    """,
)

EVALUATIONS = _table(
    "evaluations",
    "one figure by which a model's forecast of one cut-off is judged by what then happened",
    "month model unit",
    """
    scope  varchar  as in forecasts
    crime_type  varchar  as in forecasts
    step  varchar  month or day
    horizon_steps  integer  steps after the cut-off that it is judged on, taken together
    split  varchar  time: the forecast was made from steps up to the cut-off alone
    metric  varchar  such as hit_rate, pai, pei_star, auroc; defined in the reference of the API
    coverage  double  share of the area (or street length) that is taken, 0 to 1; null where the \
metric has none
    value  double  the metric; ties at the coverage limit count with the share that fits
    low  double  2.5 % quantile when units are resampled; null where none is computed
    high  double  97.5 % quantile
    tie_best  double  the value if ties at the limit were resolved with hindsight, for the best
    tie_worst  double  the same, for the worst
    units  integer  units that were ranked
    crimes  bigint  crimes in them over the horizon
    """,
)

LEADERBOARD = _table(
    "leaderboard",
    "the place of one model by one metric, over all cut-offs whose outcome was known in the month",
    "month",
    """
    unit  varchar  hex, lsoa, segment or square
    scope  varchar  as in forecasts
    crime_type  varchar  as in forecasts
    step  varchar  month or day
    horizon_steps  integer  steps after the cut-off
    metric  varchar  as in evaluations
    coverage  double  as in evaluations
    rank  integer  1 is the best mean; null for floor and ceiling, and for metrics of which more \
is not better (recapture rate index, stability)
    model  varchar  the forecaster
    role  varchar  floor, baseline, model or ceiling
    cut_offs  integer  cut-offs it is judged on: those that all models of the ranking have
    first_cut_off  varchar  the earliest of them
    last_cut_off  varchar  the latest
    value  double  mean over the cut-offs
    low  double  2.5 % quantile when blocks of cut-offs are resampled; null below 6 cut-offs or 3 \
blocks of them
    high  double  97.5 % quantile
    tie_best  double  mean of the evaluations' tie_best
    tie_worst  double  mean of the evaluations' tie_worst
    against  varchar  the best baseline other than the model itself; null where there is none
    difference  double  value - that of `against`, over the same cut-offs; its sign is that of the \
metric (for Brier and deviance less is better)
    difference_low  double  2.5 % quantile of the difference, by the same resampling
    difference_high  double  97.5 % quantile
    p_value  double  that a difference as large comes of chance, by the resampling, after Holm for \
all models of the ranking
    verdict  varchar  better, worse, no difference, or too few cut-offs; null without `against` \
or rank
    naive_difference  double  value - that of the naive rule (rolling_mean_12), over the cut-offs \
of both; null for the rule itself
    naive_low  double  2.5 % quantile of it
    naive_high  double  97.5 % quantile
    naive_verdict  varchar  as `verdict`, against the naive rule
    """,
)
