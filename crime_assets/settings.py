"""The settings of a deployment: environment variables, read here and nowhere else.

Each has a default that works. The reference page of the documentation is generated from
:data:`SETTINGS`, so a setting that is not described cannot be read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from crime_assets.register import CRIME_TYPES, FORCES, force_slugs


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
        "CRIME_DATA_DIR",
        "data",
        "The folder that everything is written below: `raw/`, `lake/` and `crime.duckdb`.",
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
        "CRIME_MEMORY_LIMIT", "4GB", "The memory that DuckDB may use in one step, such as `4GB`."
    ),
    Setting("CRIME_THREADS", "", "The threads that DuckDB uses in one step. Empty: one a core."),
)


@dataclass(frozen=True)
class Settings:
    """The settings of one deployment, checked.

    ``forces`` are the slugs of the expected forces; ``scopes`` and ``weights`` are ``None``
    where the deployment names none, as is every path of a file that is not given; ``bivariate`` are
    two crime types; ``threads`` is a count of at least one.
    """

    archive_url: str
    data_dir: Path
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
    memory_limit: str
    threads: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from ``environment`` (default: that of the process).

        Raises :class:`SettingError` for a force that police.uk does not know, a list of forces
        without any, a data folder that is no local path, a limit that is no amount of memory, or
        a count of threads that is not one.
        """
        given = os.environ if environment is None else environment
        value = {s.name: given.get(s.name, "").strip() or s.default for s in SETTINGS}
        if "://" in value["CRIME_DATA_DIR"]:
            raise SettingError(
                f"CRIME_DATA_DIR is {value['CRIME_DATA_DIR']!r}; it must be a local folder"
            )
        if "=" in value["CRIME_DATA_DIR"]:
            raise SettingError(
                f"CRIME_DATA_DIR is {value['CRIME_DATA_DIR']!r}; a folder with an equals sign "
                "would be taken for a partition of the lake"
            )
        threads = value["CRIME_THREADS"] or str(os.cpu_count() or 1)
        if not threads.isdecimal() or int(threads) < 1:
            raise SettingError(f"CRIME_THREADS is {threads!r}; it must be a count, such as 2")
        return cls(
            archive_url=value["CRIME_ARCHIVE_URL"],
            data_dir=Path(value["CRIME_DATA_DIR"]).expanduser().absolute(),
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
            memory_limit=_memory_limit(value["CRIME_MEMORY_LIMIT"]),
            threads=int(threads),
        )


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
            f"CRIME_FORCES names {', '.join(unknown)}, which police.uk does not publish; "
            f"it publishes {', '.join(FORCES)}"
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
