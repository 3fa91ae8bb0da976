"""Assets of forecasts: what each model says, how it is judged, and the leaderboard of them all.

One asset a model, so that a model is added, run and read about by itself. A forecast is made once
for each cut-off; its evaluation again when later months become known.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
import numpy as np

from crime_assets.forecasting.areas import Areas, presence_of
from crime_assets.forecasting.backtest import (
    COLUMNS,
    Ask,
    Lists,
    compare_lists,
    forecast,
    judge_cut_off,
)
from crime_assets.forecasting.cells import (
    STATEMENTS,
    Presence,
    Series,
    StudyArea,
    hex_units,
    in_a_row,
    scopes_of_cells,
    study_areas,
    too_short,
)
from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.forecaster import Forecaster, NoForecast
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.forecasting.forecasters.gldnet import Gldnet
from crime_assets.forecasting.leaderboard import HEADLINE, LEADERBOARD_METRICS
from crime_assets.forecasting.segments import (
    LEAST_SEGMENTS,
    forces_with_streets,
    gldnet_scores,
    segment_presence,
    segment_series,
    segment_units,
    stale_counts,
)
from crime_assets.forecasting.segments import STATEMENTS as OF_SEGMENTS
from crime_assets.hexes.assets import hex_cells, hex_counts, scope_cells, scopes, view_covered
from crime_assets.lake import DuckDB, Lake, MissingPartition, Published, create, sql
from crime_assets.lsoa.assets import lsoa_areas, lsoa_counts
from crime_assets.lsoa.history import LEAST_AREAS
from crime_assets.partitions import SAME_MONTH, months, months_after, months_back, window
from crime_assets.publication import (
    NothingToPublish,
    Result,
    audit,
    markdown_table,
    preview,
    publish_each,
    table_asset,
    table_metadata,
)
from crime_assets.register import ALL_CRIME, FORCES
from crime_assets.settings import Settings
from crime_assets.sources.assets import coverage
from crime_assets.storage import Folder
from crime_assets.streets.assets import segment_counts, street_graph, street_segments
from crime_assets.tables import (
    COVERAGE,
    EVALUATIONS,
    FORECASTS,
    GLDNET_FORECASTS,
    HEX_COUNTS,
    LEADERBOARD,
    LSOA_AREAS,
    LSOA_COUNTS,
    SEGMENT_COUNTS,
    Table,
)

if TYPE_CHECKING:
    import pandas as pd

GROUP = "forecasting"
ASK = Ask()
BACK = ASK.most_months - 1
AHEAD = max(ASK.horizons)


# --- Units ----------------------------------------------------------------------------------


StudyAreas = Iterator[tuple[StudyArea, Counts | None]]


def _hex_areas(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, judged: bool
) -> StudyAreas:
    """Each scope with its counts up to ``month`` (and after it, if ``judged``), or without them."""
    lake.require(COVERAGE.name, {"month": month})
    before = months_back(month, ASK.most_months)
    after = [m for m in months_after(month, AHEAD) if lake.has(HEX_COUNTS.name, {"month": m})]
    covered = view_covered(
        lake, connection, HEX_COUNTS.name, [*before, *after] if judged else before
    )
    lake.view(connection, COVERAGE.name, [{"month": m} for m in covered])
    for table in ("scopes", "scope_cells", "hex_cells"):
        lake.view(connection, table)
    history = in_a_row(before[::-1], covered.__contains__)[::-1]
    there = [*history, *in_a_row(months_after(month, AHEAD), covered.__contains__)]
    scopes, presence = scopes_of_cells(connection), Presence.read(connection)
    series: Series | None = None
    for area in study_areas(scopes, presence, month, there, ASK, judged=judged):
        if area.reason:
            yield area, None
            continue
        series = series or Series.read(connection, there)
        cells = hex_units(area.cells(connection))
        yield area, series.counts(cells, area.history[0], (*area.history, *area.outcome)[-1])


def _counted(lake: Lake, table: Table, month: str) -> tuple[list[str], list[str]]:
    """The months in a row up to ``month`` that the lake holds of a table, and those after it."""

    def is_there(month: str) -> bool:
        return lake.has(table.name, {"month": month})

    before = in_a_row(months_back(month, ASK.most_months)[::-1], is_there)[::-1]
    return before, in_a_row(months_after(month, AHEAD), is_there)


def _lsoa_areas(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, judged: bool
) -> StudyAreas:
    """The same of LSOAs: the nation and the forces, of so many areas as LSOAs are described in."""
    there, after = _counted(lake, LSOA_COUNTS, month)
    if len(there) < ASK.least_months:  # before the areas are read, which takes longest
        yield StudyArea("every scope", reason=too_short(there, month, ASK)), None
        return
    there += after if judged else []
    lake.view(connection, LSOA_AREAS.name)
    lake.view(connection, LSOA_COUNTS.name, [{"month": m} for m in there])
    areas = Areas.read(connection)
    presence = presence_of(connection, lake, there, areas)
    series = Series.read(connection, there, sql("forecasting/area_counts"))
    for area in study_areas(areas.scopes, presence, month, there, ASK, judged=judged):
        inside = areas.within(area)
        if area.reason:
            yield area, None
        elif inside.sum() < LEAST_AREAS:
            few = f"{inside.sum()} areas, of the {LEAST_AREAS} that are needed"
            yield StudyArea(area.scope, reason=few), None
        else:
            last = (*area.history, *area.outcome)[-1]
            ids = np.flatnonzero(inside)
            yield area, series.counts(areas.units(inside), area.history[0], last, ids)


def _segment_areas(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, judged: bool
) -> StudyAreas:
    """The same of street segments: each force whose network is in the lake, one after the other."""
    there, after = _counted(lake, SEGMENT_COUNTS, month)
    forces = forces_with_streets(lake)
    if len(there) < ASK.least_months or not forces:
        reason = too_short(there, month, ASK) if forces else "no street_segments are in the lake"
        yield StudyArea("every scope", reason=reason), None
        return
    there += after if judged else []
    lake.view(connection, SEGMENT_COUNTS.name, [{"month": m} for m in there])
    presence = segment_presence(connection, lake, there, forces)
    scopes = [(force, (force,)) for force in forces]
    for area in study_areas(scopes, presence, month, there, ASK, judged=judged):
        if area.reason:
            yield area, None
            continue
        known = (*area.history, *area.outcome)
        if stale := stale_counts(connection, lake, known, area.scope):
            yield StudyArea(area.scope, reason=stale), None
            continue
        units = segment_units(connection, lake, area.scope)
        if len(units) < LEAST_SEGMENTS:
            few = f"{len(units)} segments, of the {LEAST_SEGMENTS} that are needed"
            yield StudyArea(area.scope, reason=few), None
        else:
            yield area, segment_series(connection, known, units)


@dataclass(frozen=True)
class UnitKind:
    """What a kind of units is counted in, what people call them, and what reads study areas."""

    counts: Table
    name: str
    areas: Callable[[duckdb.DuckDBPyConnection, Lake, str, bool], StudyAreas]


UNITS: Mapping[str, UnitKind] = {
    "hex": UnitKind(HEX_COUNTS, "cells", _hex_areas),
    "lsoa": UnitKind(LSOA_COUNTS, "LSOAs", _lsoa_areas),
    "segment": UnitKind(SEGMENT_COUNTS, "street segments", _segment_areas),
}
"""The kinds of units that are forecast, where the lake has their counts of the cut-off month."""


def _units_of(forecaster: Forecaster) -> Mapping[str, UnitKind]:
    """The kinds of units that a forecaster is asked of: all, but that GLDNet is for streets."""
    if isinstance(forecaster, Gldnet):
        return {"segment": UNITS["segment"]}
    return UNITS


def _deps(forecaster: Forecaster, ahead: int) -> list[dg.AssetDep]:
    """What forecasts are made from, and judged by: counts to the cut-off and so many months on."""
    counted = window(BACK, ahead)
    every_force = dg.AllPartitionMapping()
    streets = [
        dg.AssetDep(segment_counts, partition_mapping=counted),
        dg.AssetDep(street_segments, partition_mapping=every_force),
        dg.AssetDep(street_graph, partition_mapping=every_force),
    ]
    if isinstance(forecaster, Gldnet):
        return [*streets, dg.AssetDep(GLDNET_FORECASTS.name, partition_mapping=SAME_MONTH)]
    return [
        *streets,
        dg.AssetDep(hex_counts, partition_mapping=counted),
        dg.AssetDep(coverage, partition_mapping=counted),
        dg.AssetDep(scopes),
        dg.AssetDep(scope_cells),
        dg.AssetDep(hex_cells),
        dg.AssetDep(lsoa_counts, partition_mapping=counted),
        dg.AssetDep(lsoa_areas),
    ]


# --- Forecasts ------------------------------------------------------------------------------


def _forecasts(model: str, forecaster: Forecaster) -> dg.AssetsDefinition:
    @dg.asset(
        **table_asset(
            FORECASTS,
            part=model,
            group=GROUP,
            statements=["forecasting/forecasts", *STATEMENTS, *OF_SEGMENTS],
            constants=(forecaster, ASK, _code(forecaster)),
            partitions_def=months,
            deps=_deps(forecaster, 0),
            audits={
                "rankings_are_whole": "Each ranking has ranks 1 to n, each unit once, and finite "
                "scores that fall with the rank."
            },
            description=_description(
                "A unit and how hot the model says it will be in the next 1, 3 and 12 months.",
                model,
                forecaster,
                f"From {_counts_of(forecaster)} of the 24 to 36 months up to the cut-off, for each "
                "scope and crime type. Kept are the hottest 1 % of the units, at least a hundred.",
            ),
        )
    )
    def forecasts(
        context: dg.AssetExecutionContext,
        engine: DuckDB,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.Output]:
        def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
            month = partition["month"]
            _has_something_to_say(forecaster, lake, month)

            def rows(unit: str, area: StudyArea, counts: Counts) -> Columns:
                able = _told(forecaster, connection, lake, month, area, counts)
                return forecast(able, counts, area.crime_types, _asked(area), settings.threads)

            kinds = _units_of(forecaster)
            return _publish(
                connection, lake, kinds, FORECASTS, partition, model, rows, "rankings_are_whole"
            )

        yield from publish_each(context, engine, publish)

    return forecasts


def _code(forecaster: Forecaster, *further: str) -> str:
    """A hash of the Python that scores depend on: the forecaster's file and what it builds on.

    Constants beside a class are no part of its ``repr``.
    """
    here = Path(__file__).parent
    names = (
        "counts.py", "cells.py", "areas.py", "segments.py", "backtest.py", "forecasters/past.py",
        *further,
    )  # fmt: skip
    own = inspect.getsourcefile(type(forecaster)) or ""
    files = [Path(own), *(here / name for name in names)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _description(row: str, model: str, forecaster: Forecaster, rest: str) -> str:
    """What the UI shows of an asset of one model."""
    what = (type(forecaster).__doc__ or "").strip()
    return (
        f"{row}\n\n**{forecaster.title}** (`{model}`). {what}\n\nSource: {forecaster.source}. "
        + (f"Limits: {forecaster.limits}\n\n{rest}")
    )


def _counts_of(forecaster: Forecaster) -> str:
    """The tables of counts that it is asked of, in words."""
    if isinstance(forecaster, Gldnet):
        return "`gldnet_forecasts`, made from the `segment_counts`"
    return "`hex_counts`, `lsoa_counts` and `segment_counts`, whichever is there,"


def _told(
    forecaster: Forecaster,
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    month: str,
    area: StudyArea,
    counts: Counts,
) -> Forecaster:
    """The forecaster as it can be asked in one study area: GLDNet must be told what it said."""
    if isinstance(forecaster, Gldnet):
        return forecaster.told(gldnet_scores(connection, lake, month, area.scope, counts.units))
    return forecaster


def _has_something_to_say(forecaster: Forecaster, lake: Lake, month: str) -> None:
    """Raise :class:`NothingToPublish` where GLDNet was not asked at a cut-off, in any force."""
    if isinstance(forecaster, Gldnet) and not any(
        lake.has(GLDNET_FORECASTS.name, {"month": month, "force": force}) for force in FORCES
    ):
        raise NothingToPublish(
            f"GLDNet was not asked at {month}: there are no gldnet_forecasts of any force. To have "
            "it judged, train it (job `train_gldnet`)"
        )


def _asked(area: StudyArea) -> Ask:
    """What can be asked in one study area."""
    return replace(ASK, horizons=area.horizons)


Columns = Mapping[str, np.ndarray]


def _publish(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    units: Mapping[str, UnitKind],
    table: Table,
    partition: Mapping[str, str],
    model: str,
    rows: Callable[[str, StudyArea, Counts], Columns],
    rule: str,
) -> Result:
    """Publish what ``rows`` makes of each study area, one file a unit kind.

    A kind of ``units`` whose counts of the month are not in the lake is left out, as is a scope or
    a crime type that cannot be forecast and the units of a silent force, and the metadata say why.
    Raises
    :class:`MissingPartition` where no counts are there, :class:`NoForecast` where no scope can be
    forecast.
    """
    month = partition["month"]
    kinds = {u: kind for u, kind in units.items() if lake.has(kind.counts.name, {"month": month})}
    if not kinds:
        raise MissingPartition(
            f"no {' or '.join(kind.counts.name for kind in units.values())} of {month} are in the "
            "lake: materialise those of the units that are to be forecast first"
        )
    published: list[Published] = []
    left_out: list[tuple[str, str, str]] = []
    metadata: dict[str, Any] = {}
    done: set[tuple[str, str]] = set()
    for unit, kind in kinds.items():
        blocks: list[tuple[str, Columns]] = []
        for area, counts in kind.areas(connection, lake, month, table is EVALUATIONS):
            try:
                if counts is None:
                    raise NoForecast(area.reason)
                columns = rows(unit, area, counts)
            except NoForecast as error:
                left_out.append((unit, area.scope, str(error)))
                continue
            blocks.append((area.scope, columns))
            if lacking := sorted({*area.crime_types} - {*columns["crime_type"].tolist()}):
                left_out.append((unit, area.scope, f"it knows nothing of {', '.join(lacking)}"))
            if area.silent:
                left_out.append((unit, area.scope, _without(kind.name, area)))
        if not blocks:
            continue
        done |= {(unit, scope) for scope, _ in blocks}
        _register(connection, f"{table.name[:-1]}_rows", blocks)
        create(connection, f"forecasting/{table.name}")
        audit(connection, f"forecasting/audits/{rule}")
        place = {**partition, "model": model, "unit": unit}
        published.append(lake.publish(connection, table.name, table.name, place))
        of_unit = table_metadata(connection, table.name, published[-1])
        of_unit["preview"] = preview(connection, f"forecasting/previews/{table.name}")
        metadata = of_unit | metadata  # the first unit's file and preview are shown
    if not published:
        scopes_of: dict[str, list[str]] = {}
        for _, scope, reason in left_out:
            scopes_of.setdefault(reason, []).append(scope)
        reasons = [
            f"{reason} ({', '.join(scopes[:3])}{' ..' if len(scopes) > 3 else ''})"
            for reason, scopes in scopes_of.items()
        ]
        raise NoForecast(f"none of {len(left_out)} scopes: {'; '.join(reasons[:5])}")
    metadata["dagster/partition_row_count"] = sum(file.rows for file in published)
    metadata["bytes"] = sum(file.bytes for file in published)
    metadata["scopes"] = len(done)
    left_out += [
        (unit, "every scope", f"{kind.counts.name} {month} is not in the lake")
        for unit, kind in units.items()
        if unit not in kinds
    ]
    if left_out:
        metadata["left_out"] = markdown_table(["unit", "scope", "why"], left_out)
    figures = {"rows": metadata["dagster/partition_row_count"], "scopes": len(done)}
    return Result(_version(published), metadata, {rule: figures})


def _without(units: str, area: StudyArea) -> str:
    """Which units a study area lacks, and why."""
    span = f"{area.history[0]} to {(*area.history, *area.outcome)[-1]}"
    horizons = ", ".join(map(str, area.horizons))
    forces = ", ".join(area.silent)
    return f"the {units} of {forces}, silent in a month from {span} (horizons {horizons})"


def _register(
    connection: duckdb.DuckDBPyConnection, name: str, blocks: Sequence[tuple[str, Columns]]
) -> None:
    """Let ``name`` be a view of the columns of all scopes."""
    import pandas as pd

    columns = {
        column: np.concatenate([rows[column] for _, rows in blocks]) for column in blocks[0][1]
    }
    names = sorted({scope for scope, _ in blocks})
    codes = [names.index(scope) for scope, _ in blocks]
    lengths = [len(next(iter(rows.values()))) for _, rows in blocks]
    scope = pd.Categorical.from_codes(np.repeat(codes, lengths), names)
    connection.register(name, pd.DataFrame({"scope": scope, **columns}))


def _version(published: Sequence[Published]) -> str:
    """The data version of several files: that of one is its own hash."""
    if len(published) == 1:
        return published[0].sha256
    return hashlib.sha256("".join(file.sha256 for file in published).encode()).hexdigest()


# --- Evaluations ----------------------------------------------------------------------------


def _evaluations(model: str, forecaster: Forecaster) -> dg.AssetsDefinition:
    forecasts = dg.AssetKey([FORECASTS.name, model])
    before = (
        [dg.AssetDep(forecasts, partition_mapping=window(1))]
        if forecaster.role != "ceiling"
        else []
    )

    @dg.asset(
        **table_asset(
            EVALUATIONS,
            part=model,
            group=GROUP,
            statements=["forecasting/evaluations", *STATEMENTS, *OF_SEGMENTS],
            constants=(forecaster, ASK, _code(forecaster, "metrics.py")),
            partitions_def=months,
            deps=[*_deps(forecaster, AHEAD), *before],
            audits={
                "figures_fit": "Each figure is there once, finite, within its range and between "
                "the worst and the best resolution of ties."
            },
            description=_description(
                "A figure by which the model's forecasts of one cut-off are judged.",
                model,
                forecaster,
                "The forecast is made anew from the months up to the cut-off, for all cells, and "
                "judged on the months after it: on each horizon whose months are all known. Made "
                "again when further months come, it has further horizons.",
            ),
        )
    )
    def evaluations(
        context: dg.AssetExecutionContext,
        engine: DuckDB,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.Output]:
        def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
            month = partition["month"]
            _has_something_to_say(forecaster, lake, month)
            kinds = _units_of(forecaster)
            lists = {unit: _lists(connection, lake, month, model, unit) for unit in kinds}

            def rows(unit: str, area: StudyArea, counts: Counts) -> Columns:
                able = _told(forecaster, connection, lake, month, area, counts)
                judged = judge_cut_off(
                    {model: able},
                    counts,
                    month,
                    area.crime_types,
                    _asked(area),
                    settings.threads,
                )[model]
                if not judged.rows:
                    raise NoForecast(next(iter(judged.reasons.values())))
                compare_lists(judged, lists[unit].get(area.scope, {}))
                return dict(zip(COLUMNS, map(_column, zip(*judged.rows, strict=True)), strict=True))

            result = _publish(
                connection, lake, kinds, EVALUATIONS, partition, model, rows, "figures_fit"
            )
            if forecaster.role != "ceiling" and not any(lists.values()):
                result.metadata["stability"] = (
                    f"not judged: no forecasts/{model} of the month before are in the lake"
                )
            return result

        yield from publish_each(context, engine, publish)

    return evaluations


def _column(values: Sequence[object]) -> np.ndarray:
    """A column of numbers, with nan for ``None``, or of words."""
    if isinstance(values[0], str):
        return np.array(values, dtype=object)
    return np.array([np.nan if value is None else value for value in values])


def _lists(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, model: str, unit: str
) -> dict[str, Lists]:
    """The hottest units of each scope as forecast a month earlier; nothing where it was not."""
    place = {"month": months_back(month, 2)[0], "model": model, "unit": unit}
    if not lake.view(connection, FORECASTS.name, [place], skip_missing=True):
        return {}
    found: dict[str, Lists] = {}
    for scope, crime_type, horizon, ids in connection.execute(
        "select scope, crime_type, horizon_steps, list(unit_id order by rank) from forecasts "
        "group by all"
    ).fetchall():
        units = np.array(ids)
        if unit == "hex":
            units = units.astype(np.int64)
        found.setdefault(scope, {})[crime_type, horizon] = units
    return found


MODEL_ASSETS: dict[str, Sequence[str]] = {
    FORECASTS.name: [m for m, f in FORECASTERS.items() if f.role != "ceiling"],
    EVALUATIONS.name: [*FORECASTERS],
}
"""The models that each table by model has an asset of; perfect foresight forecasts nothing."""

forecast_assets = [_forecasts(model, FORECASTERS[model]) for model in MODEL_ASSETS[FORECASTS.name]]

evaluation_assets = [_evaluations(model, forecaster) for model, forecaster in FORECASTERS.items()]


# --- Leaderboard ----------------------------------------------------------------------------

JUDGED_MONTHS = 36
"""The cut-offs that a leaderboard looks back on, at most."""


@dg.asset(
    **table_asset(
        LEADERBOARD,
        group=GROUP,
        statements=["forecasting/leaderboard", "forecasting/judged_figures"],
        constants=(ASK, HEADLINE, LEADERBOARD_METRICS, JUDGED_MONTHS),
        partitions_def=months,
        deps=[
            *(
                dg.AssetDep(
                    dg.AssetKey([EVALUATIONS.name, model]),
                    partition_mapping=window(JUDGED_MONTHS, -1),
                )
                for model in MODEL_ASSETS[EVALUATIONS.name]
            ),
            coverage,
        ],
        audits={
            "ranks_fit": "Each model stands once in a ranking, with a finite value; floor and "
            "ceiling are not ranked."
        },
    )
)
def leaderboard(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The place of one model by one metric, over the cut-offs whose outcome was known by then.

    From `evaluations` of the 36 months before. Every model is compared with the best other
    baseline on the same cut-offs; intervals come of resampling blocks of cut-offs. Published too:
    a page with plots, and a card for each model, in the folder that the metadata name.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        month = partition["month"]
        lake.view(connection, COVERAGE.name, [partition])
        places = [
            {"month": cut_off, "model": model, "unit": unit}
            for cut_off in months_back(month, JUDGED_MONTHS + 1)[:-1]
            for model in FORECASTERS
            for unit in UNITS
        ]
        if not lake.view(connection, EVALUATIONS.name, places, skip_missing=True):
            raise MissingPartition(
                f"no evaluations of a cut-off before {month} are in the lake: materialise "
                "evaluations of the months before first"
            )
        board, drawn = _rank(connection, month)
        connection.register("leaderboard_rows", board)
        create(connection, "forecasting/leaderboard")
        audit(connection, "forecasting/audits/ranks_fit")
        published = lake.publish(connection, "leaderboard", LEADERBOARD.name, partition)
        folder = settings.data_dir / "leaderboard" / month
        made_from = _made_from(connection, lake, places, month)
        metadata = table_metadata(connection, "leaderboard", published)
        metadata |= _write_pages(folder, board, drawn, made_from)
        figures = {"rows": published.rows, "models": board["model"].nunique()}
        return Result(published.sha256, metadata, {"ranks_fit": figures})

    yield from publish_each(context, engine, publish)


def _rank(
    connection: duckdb.DuckDBPyConnection, month: str
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """The leaderboard of all units and scopes, and the figures of all crime that are drawn."""
    import pandas as pd

    from crime_assets.forecasting.leaderboard import rank_models

    roles = {model: forecaster.role for model, forecaster in FORECASTERS.items()}
    ranked, drawn = [], []
    for unit, scope in connection.execute(
        "select distinct unit, scope from evaluations order by all"
    ).fetchall():
        metrics = [*LEADERBOARD_METRICS, "crimes", "expected_crimes"]
        figures = connection.execute(
            sql("forecasting/judged_figures"),
            {"unit": unit, "scope": scope, "month": month, "metrics": metrics},
        ).df()
        if len(figures):
            ranked.append(rank_models(figures, roles))
            drawn.append(figures[figures["crime_type"] == ALL_CRIME])
    if not ranked:
        raise NoForecast(f"no cut-off has an outcome that was known by {month}")
    return pd.concat(ranked, ignore_index=True), pd.concat(drawn, ignore_index=True)


def _write_pages(
    folder: Folder, board: "pd.DataFrame", drawn: "pd.DataFrame", made_from: dict[str, object]
) -> dict[str, Any]:
    """Write the report and the cards into ``folder``; returns what the UI shows of them."""
    from crime_assets.forecasting.leaderboard import headlines, of_all_crime
    from crime_assets.forecasting.model_card import write_cards
    from crime_assets.forecasting.report import leaderboard_picture, nation_first, write_report
    from crime_assets.hexes import pictures

    page = write_report(folder, board, drawn, FORECASTERS, made_from, HEADLINE)
    write_cards(folder, FORECASTERS, board, made_from)
    metadata: dict[str, Any] = {
        "verdicts": dg.MetadataValue.md("\n".join(f"- {s}" for s in headlines(board, *HEADLINE))),
        "page": dg.MetadataValue.path(str(page)),
        "model_cards": dg.MetadataValue.path(str(folder / "cards")),
    }
    group = of_all_crime(board, *HEADLINE)
    if len(group):
        group = group[group["unit"] == group["unit"].min()]
        group = group[group["scope"] == nation_first(group["scope"].unique())[0]]
        group = group[group["horizon_steps"] == group["horizon_steps"].min()]
        picture = pictures.as_markdown(leaderboard_picture(group))
        metadata["picture"] = dg.MetadataValue.md(picture)
    return metadata


def _made_from(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    places: Sequence[Mapping[str, str]],
    month: str,
) -> dict[str, object]:
    """What a leaderboard rests on: release, cut-offs, models and the versions of evaluations."""
    there = [place for place in places if lake.has(EVALUATIONS.name, place)]
    versions = "".join(lake.sha256(EVALUATIONS.name, place) for place in there)
    cut_offs = sorted({place["month"] for place in there})
    releases = connection.execute(
        "select distinct release from coverage where release is not null order by all"
    ).fetchall()
    return {
        "month": month,
        "release": ", ".join(release for (release,) in releases),
        "cut_offs": [cut_offs[0], cut_offs[-1], len(cut_offs)],
        "forecasters": {model: repr(FORECASTERS[model]) for model in FORECASTERS},
        "asked": repr(ASK),
        "evaluations": hashlib.sha256(versions.encode()).hexdigest(),
    }
