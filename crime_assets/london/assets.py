"""Assets of the London study: the Metropolitan Police's counts by year, and the study made of them.

Both need files that a user downloads; no job materialises them unless it is asked to.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import duckdb

from crime_assets import DataError
from crime_assets.lake import DuckDB, Lake, code_version, create
from crime_assets.london.mps import CITY_OF_LONDON, WHERE_FROM
from crime_assets.lsoa.assets import lsoa_areas
from crime_assets.lsoa.labels import LABELS
from crime_assets.publication import (
    AuditFailed,
    Result,
    asset_options,
    audit,
    publish_each,
    table_asset,
    table_metadata,
)
from crime_assets.settings import Settings
from crime_assets.storage import Folder, atomic
from crime_assets.tables import MPS_LSOA_YEARS

if TYPE_CHECKING:
    from crime_assets.london.study import Study

GROUP = "london_study"
HERE = Path(__file__).parent


def _code(*files: str) -> str:
    """A hash of files beside this one: a change of them is a change of the asset."""
    return hashlib.sha256(b"".join((HERE / file).read_bytes() for file in files)).hexdigest()


@dg.asset(
    **table_asset(
        MPS_LSOA_YEARS,
        group=GROUP,
        statements=["london/london_areas", "london/mps_lsoa_years"],
        constants=_code("mps.py", "categories.csv"),
        deps=[lsoa_areas],
        audits={
            "grid_is_whole": "Each area, year and type stands there exactly once.",
            "nothing_lost": "Crimes of the files = sum of the counts + crimes in other areas.",
        },
    )
)
def mps_lsoa_years(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The crimes of one type in one area of London in one year; none is nought.

    From the two files of CRIME_MPS_HISTORICAL and CRIME_MPS_RECENT. Kept are the years of which all
    months are published. Left out: four areas of the City of London, which has a police of its own.
    What is odd about the files stands in the metadata.
    """
    from crime_assets.london.mps import findings_as_markdown, mps_years, read_wide

    def publish(connection: duckdb.DuckDBPyConnection, _: dict[str, str]) -> Result:
        if not (settings.mps_historical and settings.mps_recent):
            unset = "CRIME_MPS_RECENT" if settings.mps_historical else "CRIME_MPS_HISTORICAL"
            raise DataError(
                f"{unset} is not set: {WHERE_FROM}, and let CRIME_MPS_HISTORICAL and "
                "CRIME_MPS_RECENT be their paths"
            )
        _london_areas(connection, lake)
        areas = connection.execute("select lsoa21cd from london_areas where in_study").fetchall()
        found = mps_years(
            read_wide(settings.mps_historical),
            read_wide(settings.mps_recent),
            [code for (code,) in areas],
        )
        counted = int(found.table["crimes"].sum())
        figures = {"published": found.published, "counted": counted, "outside": found.outside}
        if found.published != counted + found.outside:
            raise AuditFailed(
                "nothing_lost",
                f"{found.published:,} crimes in the files, but {counted:,} counted and "
                f"{found.outside:,} in other areas: the merge loses crimes; please report it",
                **figures,
            )
        connection.register("merged_years", found.table)
        create(connection, "london/mps_lsoa_years")
        audit(connection, "london/audits/grid_is_whole")
        made_from = {"findings": {what: list(where) for what, where in found.findings.items()}}
        published = lake.publish(
            connection, "mps_lsoa_years", MPS_LSOA_YEARS.name, provenance=made_from
        )
        metadata = table_metadata(connection, "mps_lsoa_years", published) | figures
        metadata["areas"] = len(areas)
        metadata["findings"] = dg.MetadataValue.md(findings_as_markdown(found.findings))
        metadata["files"] = f"{settings.mps_historical}, {settings.mps_recent}"
        return Result(
            published.sha256,
            metadata,
            {"grid_is_whole": {"rows": published.rows}, "nothing_lost": figures},
        )

    yield from publish_each(context, engine, publish)


@dg.asset(
    **asset_options(
        "london_study",
        row="a page, its pictures, and a CSV of what each method said of each area",
        group=GROUP,
        kinds={"scikitlearn", "csv"},
        version=code_version(
            ["london/london_areas"],
            _code(
                *("study.py", "report.py", "pictures.py", "published.py"),
                *("../lsoa/labels.py", "../lsoa/clusters.py"),
            ),
        ),
        deps=[mps_lsoa_years, lsoa_areas],
        audits={
            "each_area_foretold": "Each area has a class by each method and for each label, once.",
        },
    )
)
def london_study(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The London study of 2011 to 2024, reproduced: three random forests and what they are worth.

    From `mps_lsoa_years`. Each published figure stands beside ours, beside the same forest split
    in time, and beside persistence. Written below `london_study/` of the data folder: `report.md`,
    `predictions.csv` and the pictures.
    """
    from crime_assets.hexes.pictures import png
    from crime_assets.london import report
    from crime_assets.london.pictures import pictures
    from crime_assets.london.study import panel, run_study
    from crime_assets.lsoa.pictures import Outlines

    def publish(connection: duckdb.DuckDBPyConnection, _: dict[str, str]) -> Result:
        _london_areas(connection, lake)
        lake.view(connection, MPS_LSOA_YEARS.name)
        sizes = connection.execute("select lsoa21cd, area_km2 from london_areas").df()
        of_areas = panel(
            connection.execute("select * from mps_lsoa_years").df(),
            sizes.set_index("lsoa21cd")["area_km2"],
        )
        study = run_study(of_areas)
        told = study.predictions
        figures = {
            "rows": len(told),
            "areas": len(of_areas.areas),
            "repeated": int(told.duplicated(["label", "lsoa21cd"]).sum()),
            "without_class": int(told.isna().any(axis=1).sum()),
        }
        if (
            figures["repeated"]
            or figures["without_class"]
            or figures["rows"] != len(LABELS) * figures["areas"]
        ):
            raise AuditFailed(
                "each_area_foretold",
                f"{figures['rows']:,} classes of {figures['areas']:,} areas and {len(LABELS)} "
                f"labels, {figures['repeated']:,} twice, {figures['without_class']:,} without one: "
                "please report it",
                **figures,
            )
        found = lake.provenance(connection, MPS_LSOA_YEARS.name).get("findings", {})
        folder = settings.data_dir / "london_study"
        page = report.as_markdown(study, {what: tuple(where) for what, where in found.items()})
        page += "\n## Pictures\n"
        for name, figure in pictures(study, Outlines.read(connection, of_areas.areas)):
            page += f"\n![{name}]({name}.png)\n"
            _write(folder / f"{name}.png", png(figure))
        _write(folder / "report.md", page.encode())
        predictions = study.predictions.to_csv(index=False, lineterminator="\n").encode()
        _write(folder / "predictions.csv", predictions)
        return Result(
            hashlib.sha256(predictions + page.encode()).hexdigest(),
            {
                "comparison": dg.MetadataValue.md(report.comparison(study)),
                "report": dg.MetadataValue.path(str(folder / "report.md")),
                "predictions": dg.MetadataValue.path(str(folder / "predictions.csv")),
                **_figures(study),
            },
            {"each_area_foretold": figures},
        )

    yield from publish_each(context, engine, publish)


def _london_areas(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """The table ``london_areas``; raises :class:`crime_assets.DataError` where it is empty."""
    lake.view(connection, "lsoa_areas")
    create(connection, "london/london_areas", left_out=list(CITY_OF_LONDON))
    if not connection.execute("select 1 from london_areas limit 1").fetchone():
        raise DataError(
            "lsoa_areas holds no area of London: let CRIME_LSOA_BOUNDARIES and "
            "CRIME_FORCE_BOUNDARIES be those of England and Wales, and materialise lsoa_areas"
        )


def _figures(study: "Study") -> dict[str, object]:
    """What the UI plots over runs: the accuracies."""
    return {f"{v.label}, {v.method}": v.accuracy for v in study.verdicts if v.rows == "test"} | {
        "features": study.features.shape[1]
    }


def _write(path: Folder, content: bytes) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(content)
