"""The settings of a deployment: environment variables, read here and nowhere else.

Each has a default that works. The reference page of the documentation is generated from
:data:`SETTINGS`, so a setting that is not described cannot be read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from crime_assets.register import CRIME_TYPES, FORCES, force_slugs
from crime_assets.storage import Folder, NoStorage, object_folder, work_folder


class SettingError(ValueError):
    """A setting holds what it cannot hold; the message says which one, and what it may be."""


@dataclass(frozen=True)
class Setting:
    """One environment variable: its name, the value when it is unset, what it means."""

    name: str
    default: str
    description: str


SETTINGS = (
    Setting(
        "CRIME_ARCHIVE_URL",
        "https://data.police.uk/data/archive",
        "Where the archives lie: the address of data.police.uk, a folder of `YYYY-MM.zip`, "
        "or a folder of unpacked `YYYY-MM/YYYY-MM-<force>-street.csv`.",
    ),
    Setting(
        "CRIME_API_URL",
        "https://data.police.uk/api",
        "The API of data.police.uk, which is asked what its latest month is.",
    ),
    Setting(
        "CRIME_AUTOMATION",
        "off",
        "What a new deployment does by itself: `off`, nothing (each sensor and schedule can be "
        "switched on in the UI); `sensors`, ask police.uk for releases and follow them; "
        "`schedules`, look once a month instead. Both also make what follows, and keep order.",
    ),
    Setting(
        "CRIME_RELEASE_INTERVAL_S",
        "3600",
        "Seconds between two questions of the release sensor; the others ask every half minute, "
        "or as often as this if that is more often.",
    ),
    Setting(
        "CRIME_ALERT_WEBHOOK",
        "",
        "An address that failures are posted to, as JSON with the field `text`, as "
        "Slack takes it. Empty: they stand in the log alone.",
    ),
    Setting(
        "CRIME_DATA_DIR",
        "data",
        "The folder that everything is written below: `raw/`, `lake/`, `maps/` and `crime.duckdb`. "
        "It may lie in S3-compatible storage, `s3://bucket/folder` (extra `s3`).",
    ),
    Setting(
        "CRIME_LSOA_BOUNDARIES",
        "https://services1.arcgis.com/ESMARspQHYMw9BZ9/arcgis/rest/services/"
        "Lower_layer_Super_Output_Areas_December_2021_Boundaries_EW_BGC_V5/FeatureServer/0/query",
        "LSOA boundaries: a GeoParquet, GeoPackage or GeoJSON file, or an ONS feature service.",
    ),
    Setting(
        "CRIME_FORCE_BOUNDARIES",
        "https://services1.arcgis.com/ESMARspQHYMw9BZ9/arcgis/rest/services/"
        "Police_Force_Areas_December_2023_EW_BGC/FeatureServer/0/query",
        "Police force areas: a GeoParquet, GeoPackage or GeoJSON file, or an ONS feature service.",
    ),
    Setting(
        "CRIME_FORCES",
        "",
        "The forces that are expected each month, as police.uk spells them, separated by commas. "
        "A month's tables wait for all of them; every other force is `not_loaded`. "
        "Empty: the 43 territorial forces and `btp`.",
    ),
    Setting(
        "CRIME_SCOPES",
        "",
        "A file of named polygons (a column `name`) that are ranked on their own, beside the "
        "nation and the forces: wards, partnerships, neighbourhoods. Empty: none.",
    ),
    Setting(
        "CRIME_WEIGHTS",
        "",
        "A CSV file of `crime_type,weight` (a harm index). Given one, a further series "
        "`Crime harm` is ranked by the sum of the weights. Empty: counts only.",
    ),
    Setting(
        "CRIME_LSOA_COUNTS",
        "",
        "Crimes counted by LSOA already (`month`, `lsoa_code`, `crime_type`, `crimes`; Parquet or "
        "CSV). Given one, `lsoa_counts` is made of it, and not of `street_crimes`. Empty: none.",
    ),
    Setting(
        "CRIME_LSOA_LOOKUP",
        "",
        "The ONS lookup of LSOAs (`lsoa11cd`, `lsoa21cd`), for codes of 2011 in "
        "CRIME_LSOA_COUNTS. Empty: such codes belong to no area.",
    ),
    Setting(
        "CRIME_LSOA_ATTRIBUTES",
        "",
        "What is known of LSOAs beside crime (`lsoa21cd`, `population`, and `imd_rank`, the rank "
        "in the Index of Multiple Deprivation, 1 the most deprived; Parquet or CSV; either column "
        "may be missing). They are taken for any cut-off: give none that was not known by then. "
        "Empty: nothing.",
    ),
    Setting(
        "CRIME_BIVARIATE",
        "Theft from the person, Violence and sexual offences",
        "The two crime types of the nine bivariate classes of areas, separated by a comma.",
    ),
    Setting(
        "CRIME_MPS_HISTORICAL",
        "",
        "The Metropolitan Police's `MPS LSOA Level Crime (Historical)`, a CSV file, for the London "
        "study. Empty: the study says where to find it.",
    ),
    Setting(
        "CRIME_MPS_RECENT",
        "",
        "Its sequel, `MPS LSOA Level Crime (most recent 24 months)`, a CSV file.",
    ),
    Setting(
        "CRIME_STREETS",
        "openstreetmap",
        "Streets: a GeoPackage, GeoParquet or GeoJSON file of lines (OS Open Roads, OpenStreetMap "
        "ways, OSMnx edges); `{force}` in its name stands for a force. `openstreetmap`: what can "
        "be driven on, fetched for each force with OSMnx (extra `osm`).",
    ),
    Setting(
        "CRIME_STREET_LIMIT_M",
        "100",
        "Metres from a street beyond which a crime lies on none.",
    ),
    Setting(
        "CRIME_INCIDENTS",
        "",
        "A folder on this machine with the incident files of cities, as their publishers offer "
        "them: `san-francisco.csv.gz`, `seattle_2016.csv`, or a folder `seattle/` of several; and "
        "with the `<city>.yaml` of cities that the register does not have. Empty: `incidents` "
        "below CRIME_DATA_DIR.",
    ),
    Setting(
        "CRIME_TRAINER",
        "local",
        "Where neural networks are trained: `local`, a process on this machine, or `ray`, a job "
        "on a Ray cluster (extra `ray`).",
    ),
    Setting(
        "CRIME_RAY_ADDRESS",
        "http://127.0.0.1:8265",
        "The Ray cluster's dashboard, which takes jobs.",
    ),
    Setting(
        "CRIME_TRAINER_GPUS",
        "1",
        "GPUs that Ray gives to each training; 0 for a cluster without, 0.5 to share one.",
    ),
    Setting(
        "CRIME_TRAINER_JOBS",
        "",
        "Trainings of one run at a time. Empty: 1 on this machine, 8 on a Ray cluster.",
    ),
    Setting(
        "CRIME_MAP_URL",
        "http://127.0.0.1:8300",
        "Where the folder `maps/` can be opened in a browser; the UI links there. `make map` and "
        "`make dev` serve it at the default.",
    ),
    Setting(
        "CRIME_BASEMAP",
        "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
        "Tiles under the map, as pictures of 256 pixels, fetched by whoever looks at it; `none`: "
        "the outlines of forces and LSOAs alone.",
    ),
    Setting(
        "CRIME_BASEMAP_ATTRIBUTION",
        "© OpenStreetMap contributors",
        "The line by which the map names the source of the tiles.",
    ),
    Setting(
        "CRIME_MEMORY_LIMIT", "4GB", "The memory that DuckDB may use in one step, such as `4GB`."
    ),
    Setting("CRIME_THREADS", "", "The threads that DuckDB uses in one step. Empty: one a core."),
)


AUTOMATION = ("off", "sensors", "schedules")
"""What starts by itself."""

TRAINERS = {"local": 1, "ray": 8}
"""Where networks are trained, and how many at a time unless CRIME_TRAINER_JOBS says."""


@dataclass(frozen=True)
class Settings:
    """The settings of one deployment, checked.

    ``forces`` are the slugs of the expected forces; ``scopes`` and ``weights`` are ``None``
    where the deployment names none, as is every path of a file that is not given; ``bivariate`` are
    two crime types; ``threads`` and ``trainer_jobs`` are counts of at least one; ``street_limit_m``
    is in metres.
    """

    archive_url: str
    api_url: str
    automation: str
    release_interval_s: int
    alert_webhook: str | None
    data_dir: Folder
    lsoa_boundaries: str
    force_boundaries: str
    forces: tuple[str, ...]
    scopes: str | None
    weights: str | None
    lsoa_counts: str | None
    lsoa_lookup: str | None
    lsoa_attributes: str | None
    bivariate: tuple[str, str]
    mps_historical: str | None
    mps_recent: str | None
    streets: str
    street_limit_m: float
    incidents: Path
    trainer: str
    ray_address: str
    trainer_gpus: float
    trainer_jobs: int
    map_url: str
    basemap: str | None
    basemap_attribution: str
    memory_limit: str
    threads: int

    @property
    def work_dir(self) -> Path:
        """Where programs work that need real files: ``data_dir``, where it is on this machine."""
        return work_folder(self.data_dir)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from ``environment`` (default: that of the process).

        Raises :class:`SettingError` for a force that police.uk does not know, a list of forces
        without any, a data folder that cannot be one, a limit that is no amount of memory, or
        a count of threads that is not one.
        """
        given = os.environ if environment is None else environment
        value = {s.name: given.get(s.name, "").strip() or s.default for s in SETTINGS}
        threads = value["CRIME_THREADS"] or str(os.cpu_count() or 1)
        if not threads.isdecimal() or int(threads) < 1:
            raise SettingError(f"CRIME_THREADS is {threads!r}; it must be a count, such as 2")
        if value["CRIME_AUTOMATION"] not in AUTOMATION:
            raise SettingError(
                f"CRIME_AUTOMATION is {value['CRIME_AUTOMATION']!r}; it must be one of "
                f"{', '.join(AUTOMATION)}"
            )
        interval = value["CRIME_RELEASE_INTERVAL_S"]
        if not interval.isdecimal() or int(interval) < 1:
            raise SettingError(
                f"CRIME_RELEASE_INTERVAL_S is {interval!r}; it must be whole seconds, such as 3600"
            )
        trainer = value["CRIME_TRAINER"]
        if trainer not in TRAINERS:
            raise SettingError(
                f"CRIME_TRAINER is {trainer!r}; it must be one of {', '.join(TRAINERS)}"
            )
        jobs = value["CRIME_TRAINER_JOBS"] or str(TRAINERS[trainer])
        if not jobs.isdecimal() or int(jobs) < 1:
            raise SettingError(f"CRIME_TRAINER_JOBS is {jobs!r}; it must be a count, such as 4")
        return cls(
            archive_url=value["CRIME_ARCHIVE_URL"],
            api_url=value["CRIME_API_URL"].rstrip("/"),
            automation=value["CRIME_AUTOMATION"],
            release_interval_s=int(interval),
            alert_webhook=value["CRIME_ALERT_WEBHOOK"] or None,
            data_dir=_data_dir(value["CRIME_DATA_DIR"]),
            lsoa_boundaries=value["CRIME_LSOA_BOUNDARIES"],
            force_boundaries=value["CRIME_FORCE_BOUNDARIES"],
            forces=_expected_forces(value["CRIME_FORCES"]),
            scopes=value["CRIME_SCOPES"] or None,
            weights=value["CRIME_WEIGHTS"] or None,
            mps_historical=value["CRIME_MPS_HISTORICAL"] or None,
            mps_recent=value["CRIME_MPS_RECENT"] or None,
            lsoa_counts=value["CRIME_LSOA_COUNTS"] or None,
            lsoa_lookup=value["CRIME_LSOA_LOOKUP"] or None,
            lsoa_attributes=value["CRIME_LSOA_ATTRIBUTES"] or None,
            bivariate=_pair_of_types(value["CRIME_BIVARIATE"]),
            streets=value["CRIME_STREETS"],
            street_limit_m=_amount("CRIME_STREET_LIMIT_M", value, "metres above nought", above=0),
            incidents=incidents_folder(given),
            trainer=trainer,
            ray_address=value["CRIME_RAY_ADDRESS"],
            trainer_gpus=_amount("CRIME_TRAINER_GPUS", value, "a number of nought or more"),
            trainer_jobs=int(jobs),
            map_url=value["CRIME_MAP_URL"].rstrip("/"),
            basemap=_basemap(value["CRIME_BASEMAP"]),
            basemap_attribution=value["CRIME_BASEMAP_ATTRIBUTION"],
            memory_limit=_memory_limit(value["CRIME_MEMORY_LIMIT"]),
            threads=int(threads),
        )


def incidents_folder(environment: Mapping[str, str] | None = None) -> Path:
    """The folder of cities' incidents, whatever the other settings are.

    Which cities there are must be known before anything else, for they are partitions.
    """
    given = os.environ if environment is None else environment
    if text := given.get("CRIME_INCIDENTS", "").strip():
        return Path(text).expanduser().absolute()
    default = next(s.default for s in SETTINGS if s.name == "CRIME_DATA_DIR")
    try:
        data_dir = _data_dir(given.get("CRIME_DATA_DIR", "").strip() or default)
        return work_folder(data_dir) / "incidents"
    except (SettingError, NoStorage):  # which the settings, when they are read, will say
        return Path(default).absolute() / "incidents"


def _data_dir(text: str) -> Folder:
    """A folder on this machine, or in object storage."""
    if "=" in text:
        raise SettingError(
            f"CRIME_DATA_DIR is {text!r}; a folder with an equals sign would be taken for a "
            "partition of the lake"
        )
    if "://" not in text:
        return Path(text).expanduser().absolute()
    try:
        return object_folder(text)
    except NoStorage as error:
        raise SettingError(f"CRIME_DATA_DIR is {text!r}; {error}") from error


def _expected_forces(text: str) -> tuple[str, ...]:
    """The slugs named in ``text``, in the register's order; the real forces where it is empty."""
    if not text:
        return force_slugs(kinds=("territorial", "transport"))
    named = [name.strip() for name in text.split(",") if name.strip()]
    if not named:
        raise SettingError(f"CRIME_FORCES is {text!r}; it names no force")
    unknown = [name for name in named if name not in FORCES]
    if unknown:
        raise SettingError(
            f"CRIME_FORCES names {', '.join(unknown)}, which is no known force (Northern Ireland "
            f"lies outside the grid); known are {', '.join(FORCES)}"
        )
    return tuple(force for force in FORCES if force in named)


def _pair_of_types(text: str) -> tuple[str, str]:
    """Two different crime types that police.uk uses."""
    named = tuple(name.strip() for name in text.split(","))
    in_use = [t.crime_type for t in CRIME_TYPES.values() if not t.last_month]
    if len(named) != 2 or named[0] == named[1] or not {*named} <= {*in_use}:
        raise SettingError(
            f"CRIME_BIVARIATE is {text!r}; it must be two of {'; '.join(in_use)}, separated by a "
            "comma"
        )
    return named[0], named[1]


def _amount(
    name: str, value: Mapping[str, str], words: str, above: float = -math.ulp(0.0)
) -> float:
    """A number above a limit."""
    try:
        amount = float(value[name])
    except ValueError:
        amount = math.nan
    if not (above < amount < math.inf):
        raise SettingError(f"{name} is {value[name]!r}; it must be {words}")
    return amount


def _basemap(text: str) -> str | None:
    """A template of addresses of tiles, or ``None``."""
    if text.lower() == "none":
        return None
    if missing := [part for part in ("{z}", "{x}", "{y}") if part not in text]:
        raise SettingError(
            f"CRIME_BASEMAP is {text!r}, without {', '.join(missing)}; it must be an address of "
            "tiles, such as https://tile.openstreetmap.org/{z}/{x}/{y}.png, or none"
        )
    return text


def _memory_limit(text: str) -> str:
    """``text`` where DuckDB understands it as an amount of memory."""
    try:
        if text.startswith("-"):
            raise ValueError("DuckDB takes a negative amount for no limit")
        with duckdb.connect(config={"memory_limit": text}) as connection:
            connection.execute("select distinct range from range(10)").fetchall()
    except (duckdb.Error, ValueError) as error:
        raise SettingError(
            f"CRIME_MEMORY_LIMIT is {text!r}; it must be an amount of memory, such as 4GB"
        ) from error
    return text
