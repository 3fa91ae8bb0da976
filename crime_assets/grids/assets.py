"""Assets of the grid study: what each method says of a city, how it is judged, and who is best.

One asset a method, by grid and city. Networks are trained through the trainer, in a process of
their own; naive rules are methods like the others, and every method is judged against them.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import datetime
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
import numpy as np
from pydantic import Field

from crime_assets import DataError
from crime_assets.cities.assets import incident_days, incident_maps
from crime_assets.cities.city import City, find_city
from crime_assets.cities.samples import CHANNELS, Samples
from crime_assets.forecasting import metrics
from crime_assets.grids import inputs, judging, published
from crime_assets.grids.inputs import digest_of_maps, samples_in_lake
from crime_assets.grids.judging import compared, judge
from crime_assets.grids.methods import (
    CODE,
    METHODS,
    NAIVE,
    Learning,
    Method,
    Prediction,
    predict,
)
from crime_assets.hexes.pictures import as_markdown
from crime_assets.lake import DuckDB, Lake, MissingPartition, create
from crime_assets.models.incident_task import PROGRAM, Results, read_results
from crime_assets.models.task import digest_of
from crime_assets.partitions import SAME_CITY, cells_x_cities
from crime_assets.publication import (
    Result,
    audit,
    code_of,
    markdown_table,
    publish_each,
    table_asset,
    table_metadata,
)
from crime_assets.settings import Settings
from crime_assets.tables import GRID_EVALUATIONS, GRID_FORECASTS, GRID_LEADERBOARD
from crime_assets.trainer import Trainer

if TYPE_CHECKING:
    import pandas as pd

    from crime_assets.forecasting.metrics import Figure

GROUP = "grids"
POOL = "gpu"


class Asked(dg.Config):
    """What is foretold. All methods of a city and grid must be asked the same, to be compared."""

    crime_types: list[str] = Field(
        default=["All crime"], description=f"Crime types, of {', '.join(CHANNELS)}."
    )
    mapping: str = Field(
        default="study", description="Of categories to crime types: study, or corrected."
    )
    active: str = Field(
        default="study",
        description="Which cells are in the study: those with an incident in all four years, as "
        "the study has it (it looks into the year of the test), or `training`: in the three to "
        "learn from.",
    )
    first_day: str = Field(
        default="",
        description="The first day of the four years, such as 2010-06-01; empty: the study's, or "
        "else the last four years.",
    )
    seed: int = Field(default=1, description="Of what is drawn.")


class AskedOfNetworks(Asked):
    """The same, and how long networks learn."""

    stride: int = Field(default=1, ge=1, description="Days between origins to learn on.")
    epochs: int = Field(default=50, ge=1, description="The most epochs.")


# --- Forecasts --------------------------------------------------------------------------------


def _forecasts(method: Method) -> dg.AssetsDefinition:
    is_network = method.kind == "network"
    asked_type = AskedOfNetworks if is_network else Asked

    @dg.asset(
        **table_asset(
            GRID_FORECASTS,
            part=method.name,
            group=GROUP,
            statements=["grids/grid_forecasts", "cities/map_entries"],
            constants=(method, CODE, code_of(inputs)),
            partitions_def=cells_x_cities,
            deps=[incident_maps, dg.AssetDep(incident_days, partition_mapping=SAME_CITY)],
            audits={
                "probabilities_are_whole": "Each active cell has one probability of 0 to 1 at each "
                "of the twelve origins."
            },
            description=_description(
                "A cell of a grid and how likely it has a crime in the 30 days from an origin on.",
                method,
                "From `incident_maps` and `incident_days` before each of twelve origins, the first "
                "days of the months of one year; learned, if anything is, on the three years "
                "before it.",
            ),
            **({"pool": POOL} if is_network else {}),
        )
    )
    def forecasts(
        context: dg.AssetExecutionContext,
        config: asked_type,  # type: ignore[valid-type]
        engine: DuckDB,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
        trainer: dg.ResourceParam[Trainer],
    ) -> Iterator[dg.Output]:
        asked: Any = config

        def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
            import pandas as pd

            city = find_city(partition["city"], settings.incidents)
            p = int(partition["cells"])
            samples = samples_in_lake(connection, lake, city, p, asked.mapping, asked.first_day)
            cells = samples.active_cells(asked.active)
            folder = _training_folder(settings, method, samples, cells, asked)
            found: dict[str, Prediction] = dict(
                predict(
                    method,
                    samples,
                    asked.crime_types,
                    cells,
                    _learning(asked),
                    folder=folder,
                    train=lambda folder: _train(context, trainer, settings, folder),
                )
            )
            rows = [
                pd.DataFrame(_rows(samples, cells, crime_type, prediction))
                for crime_type, prediction in found.items()
            ]
            frame = pd.concat(rows).assign(mapping=asked.mapping)
            _register(connection, "predicted_rows", frame)
            active = pd.DataFrame({"cell": np.flatnonzero(cells)})
            _register(connection, "active_cells", active)
            create(connection, "grids/grid_forecasts")
            origins = len(samples.test_origins())
            audit(connection, "grids/audits/probabilities_are_whole", origins=origins)
            place = {**partition, "model": method.name}
            told = {
                "asked": asked.model_dump(),
                "first_day": samples.period.first_day.isoformat(),
                "maps": digest_of_maps(samples.maps),
                "seconds": {name: round(p.seconds, 3) for name, p in found.items()},
                "parameters": next(iter(found.values())).parameters,
            }
            file = lake.publish(connection, "grid_forecasts", GRID_FORECASTS.name, place, told)
            shutil.rmtree(folder, ignore_errors=True)
            metadata = table_metadata(connection, "grid_forecasts", file)
            metadata |= {
                "active_cells": int(cells.sum()),
                "seconds_to_learn": sum(p.seconds for p in found.values()),
                "map": dg.MetadataValue.md(_map(samples, cells, found, city, method)),
            }
            if told["parameters"]:
                metadata["parameters"] = told["parameters"]
            figures = {"rows": file.rows, "active_cells": int(cells.sum()), "origins": origins}
            return Result(file.sha256, metadata, {"probabilities_are_whole": figures})

        if is_network:
            yield from publish_each(
                context, engine, publish, workers=trainer.jobs, cancel=trainer.cancel
            )
        else:
            yield from publish_each(context, engine, publish)

    return forecasts


def _description(row: str, method: Method, rest: str) -> str:
    """What the UI shows of an asset of one method."""
    return (
        f"{row}\n\n**{method.title}** (`{method.name}`), a {method.kind}.\n\nSource: "
        f"{method.source}. {method.substitution}\n\n{rest}"
    )


def _learning(asked: Any) -> Learning:
    if isinstance(asked, AskedOfNetworks):
        return Learning(asked.stride, {"epochs": asked.epochs}, asked.seed)
    return Learning(seed=asked.seed)


def _training_folder(
    settings: Settings, method: Method, samples: Samples, cells: np.ndarray, asked: Any
) -> Path:
    """A folder whose name tells of all that a training depends on: the same goes on from there."""
    key = digest_of(method, CODE, digest_of_maps(samples.maps), cells, samples.period, asked)
    return settings.work_dir / "training" / key


def _train(
    context: dg.AssetExecutionContext, trainer: Trainer, settings: Settings, folder: Path
) -> Results:
    if trainer.where == "ray" and not isinstance(settings.data_dir, Path):
        raise DataError(
            f"a Ray cluster trains in a folder that all its machines see, and {settings.data_dir} "
            "is none: set CRIME_TRAINER=local"
        )
    trainer.train(context, folder, PROGRAM)
    return read_results(folder)


def _rows(
    samples: Samples, cells: np.ndarray, crime_type: str, found: Prediction
) -> dict[str, Any]:
    """The columns of one crime type."""
    n = int(cells.sum())
    days = [datetime.date.fromisoformat(samples.maps.days[at]) for at in samples.test_origins()]
    counted = found.expected is not None
    return {
        "crime_type": crime_type,
        "origin": np.repeat(np.array(days, dtype="datetime64[s]"), n),
        "cell": np.tile(np.flatnonzero(cells), len(days)),
        "probability": found.probability.ravel(),
        "expected": found.expected.ravel() if counted else np.full(n * len(days), np.nan),  # type: ignore[union-attr]
    }


def _register(connection: duckdb.DuckDBPyConnection, name: str, rows: "pd.DataFrame") -> None:
    """Let the name be a temporary table of ``rows``; nan becomes null."""
    connection.register("rows_made", rows)
    columns = ", ".join(
        f'case when not isnan("{c}") then "{c}" end as "{c}"'
        if rows[c].dtype.kind == "f"
        else f'"{c}"'
        for c in rows.columns
    )
    connection.execute(f"create or replace temp table {name} as select {columns} from rows_made")
    connection.unregister("rows_made")


def _map(
    samples: Samples,
    cells: np.ndarray,
    found: Mapping[str, Prediction],
    city: City,
    method: Method,
) -> str:
    """The last prediction of the first crime type, beside what then happened."""
    from crime_assets.grids.pictures import prediction_map

    crime_type, prediction = next(iter(found.items()))
    origin = samples.test_origins()[-1]
    channel = samples.maps.crime_types.index(crime_type)
    figure = prediction_map(
        samples.maps.p,
        np.flatnonzero(cells),
        prediction.probability[-1],
        samples.targets(origin)[0, cells, channel],
        f"{city.title}, {method.title}: {crime_type}, 30 days from {samples.maps.days[origin]}",
    )
    return as_markdown(figure)


# --- Evaluations ------------------------------------------------------------------------------


def _evaluations(method: Method) -> dg.AssetsDefinition:
    beside = [name for name in NAIVE if name != method.name]

    @dg.asset(
        **table_asset(
            GRID_EVALUATIONS,
            part=method.name,
            group=GROUP,
            statements=["grids/grid_evaluations", "cities/map_entries"],
            constants=(method, code_of(judging, metrics, inputs)),
            partitions_def=cells_x_cities,
            deps=[
                incident_maps,
                dg.AssetDep(incident_days, partition_mapping=SAME_CITY),
                *(dg.AssetKey([GRID_FORECASTS.name, name]) for name in (method.name, *beside)),
            ],
            audits={
                "figures_fit": "Each figure stands once, finite, within the range of its metric."
            },
            description=_description(
                "A figure by which the method's predictions for a city's grid are judged.",
                method,
                "From `grid_forecasts` of the method and of the naive rules, and what then "
                "happened by `incident_maps`: F1 at one half, AUCPR, AUROC, PAI and PEI* at 5 % "
                "of the cells, PAI by what is expected where the method counts; of each month, "
                "their mean with its interval, and the difference of that to persistence and to "
                "the rolling mean on the same months.",
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
            import pandas as pd

            place = {**partition, "model": method.name}
            asked, samples = _asked_of(connection, lake, settings, place)
            own = _judged(connection, lake, place, samples)
            naive = {
                name: _judged(connection, lake, {**partition, "model": name}, samples)
                for name in beside
            }
            for name, of_rule in naive.items():
                other, _ = _asked_of(connection, lake, settings, {**partition, "model": name})
                same = [of_rule.get(c, (None, []))[0] for c in own] == [c for c, _ in own.values()]
                if other != asked or not same:
                    raise DataError(
                        f"{name} was asked something else than {method.name} (crime types, "
                        "mapping, cells, or years): materialise grid_forecasts of both with the "
                        "same configuration"
                    )
            origins = [
                datetime.date.fromisoformat(samples.maps.days[at]) for at in samples.test_origins()
            ]
            rows = [
                {"mapping": asked["mapping"], "crime_type": crime_type, **row}
                for crime_type, (_, figures) in own.items()
                for row in compared(
                    figures, {name: of[crime_type][1] for name, of in naive.items()}, origins
                )
            ]
            if not rows:
                raise DataError(
                    f"no crime of {', '.join(own)} in the year of the test: nothing to judge"
                )
            frame = pd.DataFrame(rows).astype({"coverage": float, "low": float, "high": float})
            frame["origin"] = pd.to_datetime(frame["origin"])
            frame["against"] = frame["against"].astype("string")
            _register(connection, "judged_rows", frame)
            create(connection, "grids/grid_evaluations")
            audit(connection, "grids/audits/figures_fit")
            file = lake.publish(connection, "grid_evaluations", GRID_EVALUATIONS.name, place)
            metadata = table_metadata(connection, "grid_evaluations", file)
            metadata["figures"] = _figures(rows)
            return Result(file.sha256, metadata, {"figures_fit": {"figures": file.rows}})

        yield from publish_each(context, engine, publish)

    return evaluations


def _asked_of(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    settings: Settings,
    place: Mapping[str, str],
) -> tuple[dict[str, Any], Samples]:
    """What the forecasts of a method were asked, and the samples that they are judged by."""
    told = lake.provenance(connection, GRID_FORECASTS.name, place)
    asked = {name: told["asked"][name] for name in ("mapping", "active")}
    asked["first_day"] = told["first_day"]
    city = find_city(place["city"], settings.incidents)
    p, first_day = int(place["cells"]), told["first_day"]
    samples = samples_in_lake(connection, lake, city, p, asked["mapping"], first_day)
    if told["maps"] != digest_of_maps(samples.maps):
        raise MissingPartition(
            f"incident_maps were made anew since grid_forecasts/{place['model']} of {p}|"
            f"{city.slug}: materialise the latter again"
        )
    return asked, samples


def _judged(
    connection: duckdb.DuckDBPyConnection, lake: Lake, place: Mapping[str, str], samples: Samples
) -> dict[str, tuple[list[int], "list[list[Figure]]"]]:
    """The cells, and the figures of each origin, by crime type."""
    lake.view(connection, GRID_FORECASTS.name, [place])
    frame = connection.execute(
        "select crime_type, cell, probability, expected from grid_forecasts "
        "order by crime_type, origin, cell"
    ).df()
    origins = samples.test_origins()
    crimes = samples.targets(origins)
    found = {}
    for crime_type, rows in frame.groupby("crime_type", sort=True):
        shape = (len(origins), len(rows) // len(origins))
        cells = rows["cell"].to_numpy()[: shape[1]]
        counts = rows["expected"].to_numpy(dtype=float).reshape(shape)
        truth = crimes[:, cells, samples.maps.crime_types.index(str(crime_type))]
        probability = rows["probability"].to_numpy().reshape(shape)
        expected = None if np.isnan(counts).all() else counts
        found[str(crime_type)] = cells.tolist(), judge(probability, expected, truth)
    return found


def _figures(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """The means and the differences, as the UI shows them."""
    return markdown_table(
        ["crime type", "figure", "less that of", "mean", "95 % interval"],
        [
            [
                row["crime_type"],
                judging.METRICS[row["metric"]],
                row["against"] or "",
                f"{row['value']:.3f}",
                "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}",
            ]
            for row in rows
            if row["origin"] is None
        ],
    )


# --- Leaderboard ------------------------------------------------------------------------------


@dg.asset(
    **table_asset(
        GRID_LEADERBOARD,
        group=GROUP,
        statements=["grids/grid_leaderboard"],
        constants=(published.PUBLISHED, [(m.name, m.kind) for m in METHODS.values()]),
        partitions_def=cells_x_cities,
        deps=[dg.AssetKey([GRID_EVALUATIONS.name, name]) for name in METHODS],
        audits={
            "places_fit": "Each method stands once in a ranking, and persistence in each of them."
        },
    )
)
def grid_leaderboard(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The place of one method by one metric, for one crime type on a city's grid.

    From `grid_evaluations` of all methods that are there. Beside each stands its difference to
    persistence and to the rolling mean, and what the study printed, where it did: for
    Philadelphia, all crimes.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        import pandas as pd

        places = [{**partition, "model": name} for name in METHODS]
        there = [place["model"] for place in places if lake.has(GRID_EVALUATIONS.name, place)]
        if not there:
            raise MissingPartition(
                f"no grid_evaluations of {partition['cells']}|{partition['city']} are in the lake: "
                "materialise those of the methods that are to be ranked first"
            )
        lake.view(connection, GRID_EVALUATIONS.name, places, skip_missing=True)
        kinds = [(m.name, m.kind) for m in METHODS.values()]
        _register(connection, "method_kinds", pd.DataFrame(kinds, columns=["model", "kind"]))
        printed = [
            (method, published.CRIME_TYPE, metric, value)
            for (method, p, metric), value in published.PUBLISHED.items()
            if str(p) == partition["cells"] and partition["city"] == published.CITY
        ]
        frame = pd.DataFrame(printed, columns=["model", "crime_type", "metric", "value"])
        _register(connection, "published_figures", frame.astype({"value": float}))
        create(connection, "grids/grid_leaderboard")
        audit(connection, "grids/audits/places_fit")
        file = lake.publish(connection, "grid_leaderboard", GRID_LEADERBOARD.name, partition)
        board = connection.execute("from grid_leaderboard").df()
        title = find_city(partition["city"], settings.incidents).title
        metadata = table_metadata(connection, "grid_leaderboard", file)
        metadata |= {
            "methods": len(there),
            "not_judged": ", ".join(name for name in METHODS if name not in there) or "none",
            "board": _board(board),
            "picture": dg.MetadataValue.md(_picture(board, title, partition["cells"])),
        }
        return Result(file.sha256, metadata, {"places_fit": {"methods": len(there)}})

    yield from publish_each(context, engine, publish)


def _first_ranking(board: "pd.DataFrame") -> "pd.DataFrame":
    """All crimes, or else the first crime type, in the first mapping."""
    types = list(dict.fromkeys(board["crime_type"]))
    crime_type = published.CRIME_TYPE if published.CRIME_TYPE in types else types[0]
    rows = board[board["crime_type"] == crime_type]
    return rows[rows["mapping"] == rows["mapping"].iloc[0]]


def _board(board: "pd.DataFrame") -> dg.MarkdownMetadataValue:
    """The first ranking, methods down and metrics across, the published figure in brackets."""
    rows = _first_ranking(board).set_index(["model", "metric"])
    order: Sequence[str] = [
        str(name) for name in rows.xs("f1", level="metric").sort_values("rank").index
    ]

    def cell(name: str, metric: str) -> str:
        if (name, metric) not in rows.index:
            return ""
        row = rows.loc[(name, metric)]
        printed = "" if row["published"] != row["published"] else f" [{row['published']:.2f}]"
        apart = "" if row["difference"] != row["difference"] else f" ({row['difference']:+.3f})"
        return f"{row['value']:.3f}{apart}{printed}"

    return markdown_table(
        ["method", *(f"{what} (to persistence) [published]" for what in judging.METRICS.values())],
        [[METHODS[name].title, *(cell(name, m) for m in judging.METRICS)] for name in order],
    )


def _picture(board: "pd.DataFrame", title: str, cells: str) -> str:
    from crime_assets.grids.pictures import metric_picture

    rows = _first_ranking(board).rename(columns={"model": "method"})
    named = f"{title}, {cells} x {cells}: {rows['crime_type'].iloc[0]}"
    return as_markdown(metric_picture(rows, METHODS, named))


grid_forecast_assets = [_forecasts(method) for method in METHODS.values()]
grid_evaluation_assets = [_evaluations(method) for method in METHODS.values()]
