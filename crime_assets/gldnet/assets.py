"""Assets of GLDNet: the search for its settings, its training, and what it says of the next month.

By force and cut-off. Each hands a folder to the trainer, which trains in a process of its own, on
this machine or on a cluster: TensorFlow is never imported here. What a training is made of, its
seed included, names its folder: asked again after a crash, it goes on where it was.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
from pydantic import Field

from crime_assets import DataError
from crime_assets.gldnet import history as histories
from crime_assets.gldnet import pictures
from crime_assets.gldnet.history import (
    LEAST_MONTHS,
    MOST_MONTHS,
    STATEMENTS,
    History,
    read_history,
)
from crime_assets.hexes.pictures import as_markdown
from crime_assets.lake import DuckDB, Lake, MissingPartition
from crime_assets.models import search, task, windows
from crime_assets.models.gldnet_parameters import (
    SEARCH_SPACE,
    SOURCE,
    USUAL,
    GldnetParameters,
)
from crime_assets.models.search import best_of
from crime_assets.models.task import Results, Training, read_results, write_task
from crime_assets.partitions import (
    SAME_FORCE,
    months_back,
    months_of_force,
    months_x_forces,
)
from crime_assets.publication import (
    Result,
    audit,
    code_of,
    markdown_table,
    preview,
    publish_each,
    table_asset,
    table_metadata,
)
from crime_assets.register import ALL_CRIME, FORCES, type_column
from crime_assets.settings import Settings
from crime_assets.storage import Folder, atomic, on_disk
from crime_assets.streets.assets import segment_steps, street_graph, street_segments
from crime_assets.streets.pictures import hottest_map
from crime_assets.tables import GLDNET, GLDNET_FORECASTS, GLDNET_TRIALS, Table
from crime_assets.trainer import Trainer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

GROUP = "gldnet"
POOL = "gpu"
"""The pool that bounds how many steps train at once."""

VALID_MONTHS = 12
"""A model, and the settings that a search found, serve the cut-offs of so many months."""

LEAST_TO_ASK = 15
"""Months in a row that a trained model must have to look back on: M of any search, and one."""


CODE = (code_of(histories, search, task), task.code_of_program())
"""The Python that all three tables depend on."""


class Targets(dg.Config):
    """What is forecast: one model a crime type."""

    crime_types: list[str] = Field(
        default=[ALL_CRIME, "Violence and sexual offences"],
        description="The crime types that are forecast, a model each.",
    )
    seed: int = Field(default=1, description="Of the first weights and of the order of steps.")


class Search(Targets):
    """What is searched for, and how long."""

    trials: int = Field(
        default=24, ge=1, description="Settings that are tried for each crime type."
    )
    at_a_time: int = Field(
        default=4,
        ge=1,
        description="Trials in one training process; after each such batch the search is saved.",
    )


def _deps(back: int) -> list[dg.AssetDep]:
    """What is learnt from: the crimes of so many months before, and the network."""
    return [
        dg.AssetDep(segment_steps, partition_mapping=months_of_force(back)),
        dg.AssetDep(street_segments, partition_mapping=SAME_FORCE),
        dg.AssetDep(street_graph, partition_mapping=SAME_FORCE),
    ]


def _targets(config: Targets, history: History) -> list[str]:
    """The crime types that are asked for; raises where one of them is none."""
    if not config.crime_types:
        raise DataError("crime_types is empty: name at least one crime type")
    if unknown := [name for name in config.crime_types if name not in history.features]:
        raise DataError(
            f"{', '.join(unknown)}: police.uk had no such type from {history.months[0]} to "
            f"{history.months[-1]}; there are {', '.join(history.features)}"
        )
    return list(dict.fromkeys(config.crime_types))


def _train(
    context: dg.AssetExecutionContext,
    trainer: Trainer,
    settings: Settings,
    history: History,
    trainings: Sequence[Training],
    *,
    seed: int,
    origins: Sequence[int] = (),
    save: bool = False,
) -> tuple[Results, Path]:
    """Have networks trained (or asked), and return what came of it and the folder it lies in.

    The folder's name is made of all that the training depends on: the same again goes on from the
    last checkpoint.
    """
    if trainer.where == "ray" and not isinstance(settings.data_dir, Path):
        raise DataError(
            f"a Ray cluster trains in a folder that all its machines see, and {settings.data_dir} "
            "is none: set CRIME_TRAINER=local"
        )
    key = task.digest_of(_made_of(history), trainings, seed, list(origins), task.code_of_program())
    folder = settings.work_dir / "training" / key
    network = history.network
    write_task(
        folder,
        history.counts,
        features=history.features,
        steps=history.months,
        one=network.one,
        other=network.other,
        weight=network.weight,
        length=network.length,
        trainings=trainings,
        split=windows.split_steps(len(history.months)),
        origins=origins,
        save=save,
        seed=seed,
    )
    trainer.train(context, folder)
    return read_results(folder), folder


def _made_of(history: History) -> str:
    """A hash of the counts and streets: on others, trials and checkpoints are worth nothing."""
    counts = history.counts
    parts = (*history.network.parts, counts.data, counts.indices, counts.indptr)
    return task.digest_of(history.months, history.features, *parts)


def _view_rows(connection: duckdb.DuckDBPyConnection, table: Table, rows: "pd.DataFrame") -> None:
    """Let the table's name be a temporary table of ``rows``, in their order."""
    connection.register("rows_made", rows)
    connection.execute(f"create or replace temp table {table.name} as from rows_made")
    connection.unregister("rows_made")


# --- Search -----------------------------------------------------------------------------------


@dg.asset(
    **table_asset(
        GLDNET_TRIALS,
        group=GROUP,
        statements=STATEMENTS,
        constants=(LEAST_MONTHS, CODE),
        partitions_def=months_x_forces,
        deps=_deps(MOST_MONTHS - 1),
        pool=POOL,
        audits={
            "one_trial_is_best": "Each trial stands once, and of each crime type the best is the "
            "one with the highest value."
        },
    )
)
def gldnet_trials(
    context: dg.AssetExecutionContext,
    config: Search,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
    trainer: dg.ResourceParam[Trainer],
) -> Iterator[dg.Output]:
    """A trial of the search for the settings of GLDNet: what was tried, and how well it did.

    From `segment_steps` of the 18 to 36 months up to the cut-off. The first seven tenths of the
    months are learnt from, the next tenth judges the trial, and the last two tenths are not looked
    at. The first trial has the settings of the source, the second the usual ones; the others are
    chosen by Optuna (tree of Parzen estimators) from those before. `gldnet` of the next twelve
    cut-offs takes the best. Asked again, a search goes on where it was stopped.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        import pandas as pd

        history = read_history(connection, lake, **partition, least=LEAST_MONTHS)
        rows: list[dict[str, Any]] = []
        split = windows.split_steps(len(history.months))
        targets = _targets(config, history)
        for name in targets:
            if not task.validation_crimes(history.counts, history.features, name, split):
                span = f"{history.months[split[0]]} to {history.months[split[1] - 1]}"
                raise DataError(
                    f"no crime of {name} from {span}, the months that are to judge the trials: "
                    "name other crime types, or train it with the usual settings"
                )
        for crime_type in targets:

            def run(
                batch: list[GldnetParameters], crime_type: str = crime_type
            ) -> list[float | None]:
                trainings = [
                    Training(f"trial-{at}", crime_type, parameters.to_dict())
                    for at, parameters in enumerate(batch)
                ]
                results, folder = _train(
                    context, trainer, settings, history, trainings, seed=config.seed
                )
                shutil.rmtree(folder)
                return [task.hit_rate(results.trainings[t.name]) for t in trainings]

            made_of = f"{_made_of(history)}-{task.code_of_program()}"
            name = "-".join([*partition.values(), type_column(crime_type), made_of])
            tried = search.search(
                run,
                config.trials,
                settings.work_dir / "gldnet" / "trials" / f"{name}.log",
                seed=config.seed,
                space=SEARCH_SPACE | {"steps": ("int", 1, _most_steps(history))},
                first=[_fitting(SOURCE, history), _fitting(USUAL, history)],
                batch=config.at_a_time,
            )
            best = best_of(tried)
            rows += [
                {
                    "crime_type": crime_type,
                    "trial": trial.number,
                    "state": "failed" if trial.value is None else "complete",
                    "value": trial.value,
                    "best": trial == best,
                    "parameters": json.dumps(trial.parameters.to_dict()),
                }
                for trial in tried
            ]
        _view_rows(connection, GLDNET_TRIALS, pd.DataFrame(rows))
        audit(connection, "gldnet/audits/one_trial_is_best")
        published = lake.publish(connection, GLDNET_TRIALS.name, GLDNET_TRIALS.name, partition)
        found = {row["crime_type"]: row for row in rows if row["best"]}
        values = {
            crime_type: [(r["trial"], r["value"]) for r in rows if r["crime_type"] == crime_type]
            for crime_type in found
        }
        metadata = table_metadata(connection, GLDNET_TRIALS.name, published)
        metadata |= {
            "best": markdown_table(
                ["crime type", "validation hit rate", "of the source's settings", "settings"],
                [
                    [name, _share(row["value"]), _share(values[name][0][1]), row["parameters"]]
                    for name, row in found.items()
                ],
            ),
            "picture": dg.MetadataValue.md(as_markdown(pictures.trials_picture(values))),
            "seed": config.seed,
        }
        figures = {"trials": published.rows, "crime_types": len(found)}
        return Result(published.sha256, metadata, {"one_trial_is_best": figures})

    yield from publish_each(context, engine, publish, workers=trainer.jobs, cancel=trainer.cancel)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _settings_found(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, force: str
) -> tuple[str, dict[str, GldnetParameters]]:
    """The newest search that was made in the last twelve cut-offs, and its best settings."""
    for cut_off in months_back(month, VALID_MONTHS)[::-1]:
        place = {"month": cut_off, "force": force}
        if lake.view(connection, GLDNET_TRIALS.name, [place], skip_missing=True):
            found = connection.execute(
                "select crime_type, parameters from gldnet_trials where best"
            ).fetchall()
            return cut_off, {t: GldnetParameters.of(json.loads(p)) for t, p in found}
    return "", {}


# --- Training ---------------------------------------------------------------------------------


def models_folder(data_dir: Folder, month: str, force: str) -> Folder:
    """Where the models of one force lie that were trained at one cut-off."""
    return data_dir / "gldnet" / month / force


@dg.asset(
    **table_asset(
        GLDNET,
        group=GROUP,
        statements=STATEMENTS,
        constants=(LEAST_MONTHS, CODE),
        partitions_def=months_x_forces,
        deps=[
            *_deps(MOST_MONTHS - 1),
            dg.AssetDep(gldnet_trials, partition_mapping=months_of_force(VALID_MONTHS - 1)),
        ],
        pool=POOL,
        audits={
            "losses_are_numbers": "Epochs are 1 to n, each loss is finite, and the weights of one "
            "epoch were kept."
        },
    )
)
def gldnet(
    context: dg.AssetExecutionContext,
    config: Targets,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
    trainer: dg.ResourceParam[Trainer],
) -> Iterator[dg.Output]:
    """An epoch of the training of a GLDNet: gated layers, then diffusion along the streets.

    The Gated Localised Diffusion Network (Zhang and Cheng 2020, Computers, Environment and Urban
    Systems 79:101403), one a crime type, trained on `segment_steps` of the 18 to 36 months up to
    the cut-off, in time: seven tenths to learn from, one to choose the epoch, two that it never
    sees. Its settings are the best of the newest `gldnet_trials`, or the usual ones. The
    trained models lie in `gldnet/` of the data folder, as Keras saves them. Where it is trained,
    CRIME_TRAINER says; the pool `gpu` bounds how many steps train at a time.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        import pandas as pd

        history = read_history(connection, lake, **partition, least=LEAST_MONTHS)
        targets = _targets(config, history)
        searched, found = _settings_found(connection, lake, **partition)
        trainings = [
            Training(type_column(name), name, _fitting(found.get(name, USUAL), history).to_dict())
            for name in targets
        ]
        started = time.monotonic()
        results, made = _train(
            context, trainer, settings, history, trainings, seed=config.seed, save=True
        )
        wall_seconds = time.monotonic() - started
        trained = {t.target: results.trainings[t.name] for t in trainings}
        if failed := [f"{name}: {of['failed']}" for name, of in trained.items() if of["failed"]]:
            raise DataError(f"no GLDNet came of it: {'; '.join(failed)}")
        rows = [
            {
                "crime_type": name,
                **{column: epoch[column] for column in EPOCH_COLUMNS},
                "kept": epoch["epoch"] == of["kept_epoch"],
            }
            for name, of in trained.items()
            for epoch in of["epochs"]
        ]
        frame = pd.DataFrame(rows)
        for column in EPOCH_COLUMNS[1:]:
            frame[column] = frame[column].astype(float)
        _view_rows(connection, GLDNET, frame)
        audit(connection, "gldnet/audits/losses_are_numbers")
        folder = models_folder(settings.data_dir, **partition)
        for training in trainings:
            told = {
                "crime_type": training.target,
                "parameters": training.parameters,
                "features": list(history.features),
                "months": [history.months[0], history.months[-1]],
                "made_on": made_on(history),
                "seed": config.seed,
                "metrics": results.trainings[training.name]["metrics"],
                "machine": results.machine,
            }
            name = f"{training.name}.keras"
            with atomic(folder / name) as temporary:
                shutil.copyfile(made / name, temporary)
            with atomic(folder / f"{training.name}.json") as temporary:
                temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        published = lake.publish(connection, GLDNET.name, GLDNET.name, partition)
        shutil.rmtree(made)
        metadata = table_metadata(connection, GLDNET.name, published)
        metadata |= {
            "learning": dg.MetadataValue.md(as_markdown(pictures.learning_curves(trained))),
            "hit_rates": _hit_rates(trained),
            "settings": markdown_table(
                ["crime type", "from", "settings"],
                [
                    [
                        t.target,
                        f"gldnet_trials {searched}" if t.target in found else USUAL_ONES,
                        json.dumps(t.parameters),
                    ]
                    for t in trainings
                ],
            ),
            "models": dg.MetadataValue.path(str(folder)),
            "months": len(history.months),
            "segments": len(history.network.ids),
            "seed": config.seed,
            "devices": ", ".join(results.machine["devices"]),
            "wall_seconds": wall_seconds,
            "training_seconds": sum(of["seconds"] for of in trained.values()),
            "peak_memory_bytes": max(of["peak_memory_bytes"] for of in trained.values()),
        }
        figures = {"epochs": published.rows, "models": len(trained)}
        return Result(published.sha256, metadata, {"losses_are_numbers": figures})

    yield from publish_each(context, engine, publish, workers=trainer.jobs, cancel=trainer.cancel)


USUAL_ONES = "the usual ones: no gldnet_trials of the last twelve cut-offs"
EPOCH_COLUMNS = ("epoch", "loss", "validation_loss", "hit_rate", "validation_hit_rate")


def _most_steps(history: History) -> int:
    """How many months may be looked back on: half of those that are learnt from, at most 14."""
    return min(14, windows.split_steps(len(history.months))[0] // 2)


def _fitting(parameters: GldnetParameters, history: History) -> GldnetParameters:
    """The same; where there are few months, they look back on fewer."""
    return replace(parameters, steps=min(parameters.steps, _most_steps(history)))


def made_on(history: History) -> str:
    """A hash of the streets and the crime types, in their order, that a model was trained on."""
    return task.digest_of(history.features, *history.network.parts)


def _hit_rates(trained: Mapping[str, Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """The shares of crimes that were captured, by crime type and part of the months."""
    names = {
        "hit_rate_length_10": "10 % of length",
        "hit_rate_length_20": "20 % of length",
        "hit_rate_segments_10": "10 % of segments",
        "hit_rate_segments_20": "20 % of segments",
    }
    return markdown_table(
        ["crime type", "months", *names.values()],
        [
            [name, part, *(_share(of["metrics"][part][metric]) for metric in names)]
            for name, of in trained.items()
            for part in ("validation", "test")
        ],
    )


# --- Forecasts --------------------------------------------------------------------------------


@dg.asset(
    **table_asset(
        GLDNET_FORECASTS,
        group=GROUP,
        statements=STATEMENTS,
        constants=(VALID_MONTHS, CODE),
        partitions_def=months_x_forces,
        deps=[
            *_deps(MOST_MONTHS - 1),
            dg.AssetDep(gldnet, partition_mapping=months_of_force(VALID_MONTHS - 1)),
        ],
        pool=POOL,
        audits={
            "each_segment_scored": "Each segment of the network has one finite score for each "
            "crime type."
        },
    )
)
def gldnet_forecasts(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
    trainer: dg.ResourceParam[Trainer],
) -> Iterator[dg.Output]:
    """A segment and how hot GLDNet says it will be in the month after the cut-off.

    By the newest `gldnet` of the last twelve cut-offs, from `segment_steps` up to the cut-off. The
    score is in crimes per mean length of a segment where the loss was Poisson's; that of the
    weighted loss, which exaggerates, only orders segments. `forecasts/gldnet` and
    `evaluations/gldnet` are made of it, so that GLDNet stands on the leaderboard beside the rules
    that need no training.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        import pandas as pd

        month, force = partition["month"], partition["force"]
        history = read_history(connection, lake, month, force, least=LEAST_TO_ASK)
        trained_at = next(
            (
                m
                for m in months_back(month, VALID_MONTHS)[::-1]
                if lake.has(GLDNET.name, {"month": m, "force": force})
            ),
            None,
        )
        if trained_at is None:
            raise MissingPartition(
                f"no gldnet of {force} is in the lake that was trained at {month} or in the "
                f"{VALID_MONTHS - 1} months before: materialise it first, with `dagster asset "
                "materialize -m crime_assets.definitions --select gldnet --partition "
                f"'{force}|{month}'`"
            )
        if trained_at != month:
            context.log.info(
                f"{force}|{month}: asks the model of {trained_at}, the newest there is"
            )
        lake.view(connection, GLDNET.name, [{"month": trained_at, "force": force}])
        folder = models_folder(settings.data_dir, trained_at, force)
        names = connection.execute("select distinct crime_type from gldnet order by all").fetchall()
        told: dict[str, dict[str, Any]] = {}
        for (name,) in names:
            path = folder / f"{type_column(name)}.json"
            if not path.is_file():
                raise MissingPartition(
                    f"{path} is gone, the model of {name} that was trained at {trained_at}: "
                    f"materialise gldnet {force}|{trained_at} again"
                )
            told[name] = json.loads(path.read_text(encoding="utf-8"))
            if told[name]["made_on"] != made_on(history):
                raise DataError(
                    f"the streets of {force}, or the crime types, changed since GLDNet was trained "
                    f"at {trained_at}: materialise gldnet {force}|{month}"
                )
        trainings = [
            Training(
                type_column(name),
                name,
                of["parameters"],
                on_disk(folder / f"{type_column(name)}.keras"),
            )
            for name, of in told.items()
        ]
        results, made = _train(
            context, trainer, settings, history, trainings, seed=1, origins=[len(history.months)]
        )
        frames = [
            pd.DataFrame(
                {
                    "segment_id": history.network.ids,
                    "crime_type": training.target,
                    "step": "month",
                    "score": task.scores_of(
                        results.forecasts[training.name][0],
                        history.network.length,
                        training.parameters["loss"],
                    ),
                    "trained_at": trained_at,
                }
            )
            for training in trainings
        ]
        _view_rows(connection, GLDNET_FORECASTS, pd.concat(frames, ignore_index=True))
        audit(connection, "gldnet/audits/each_segment_scored")
        published = lake.publish(
            connection, GLDNET_FORECASTS.name, GLDNET_FORECASTS.name, partition
        )
        shutil.rmtree(made)
        metadata = table_metadata(connection, GLDNET_FORECASTS.name, published)
        metadata |= {
            "preview": preview(connection, "gldnet/previews/hottest_segments"),
            "map": dg.MetadataValue.md(as_markdown(_map(connection, force, month))),
            "trained_at": trained_at,
            "devices": ", ".join(results.machine["devices"]),
        }
        figures = {"scores": published.rows, "crime_types": len(told)}
        return Result(published.sha256, metadata, {"each_segment_scored": figures})

    yield from publish_each(context, engine, publish, workers=trainer.jobs, cancel=trainer.cancel)


def _map(connection: duckdb.DuckDBPyConnection, force: str, month: str) -> "Figure":
    """The hottest segments of the first crime type, all crime where it is forecast."""
    connection.execute(
        "create or replace temp view segment_scores as select * from gldnet_forecasts where "
        "crime_type = (select min(crime_type) from gldnet_forecasts)"
    )
    (crime_type,) = connection.execute(
        "select any_value(crime_type) from segment_scores"
    ).fetchone()  # type: ignore[misc]
    return hottest_map(connection, f"{FORCES[force].name}, after {month}: {crime_type}")
