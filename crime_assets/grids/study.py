"""Experiments of the grid study as data: which city, grids, crime types, methods and networks.

    python -m crime_assets.grids.study san-francisco-16.yaml --out results/

A run writes ``evaluations.parquet``, ``curves.parquet``, ``effort.csv``, a manifest, and a page
with the pictures of the study beside what the study printed. What is predicted is kept by all that
it depends on, so that a run which was stopped goes on, and another experiment may share it.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import yaml
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.cities.city import MAPPINGS
from crime_assets.cities.grid import GRID_SIZES
from crime_assets.cities.samples import CHANNELS, DAYS, Samples
from crime_assets.grids.inputs import digest_of_maps, read_samples
from crime_assets.grids.judging import compared, curves, judge
from crime_assets.grids.methods import (
    CLASSIFIER_STRIDE,
    CODE,
    METHODS,
    NAIVE,
    Learning,
    Method,
    Prediction,
    Train,
    parameters_of,
    predict,
)
from crime_assets.models.incident_task import run_task
from crime_assets.models.task import digest_of
from crime_assets.register import type_column
from crime_assets.settings import SettingError, Settings
from crime_assets.storage import atomic

if TYPE_CHECKING:
    import pandas as pd

    from crime_assets.forecasting.metrics import Figure


class ExperimentError(DataError):
    """A configuration that is none; the message says what may stand there."""


SAID = re.compile(r": (epoch|goes on|failed)")
"""What of the lines of a training is shown."""

ACTIVE = ("study", "training")
"""Cells with an incident in all four years, as the study has it, or in the three to learn from."""


@dataclass(frozen=True)
class Experiment:
    """What is compared.

    ``cells`` are numbers of cells along a side. ``mapping`` of the categories and ``active``, which
    cells are in the study, are :data:`~crime_assets.cities.city.MAPPINGS` and :data:`ACTIVE`.
    ``methods`` are names of the register; the naive rules are always judged with them.
    ``variants`` are networks of an experiment's own, by name: ``of`` names the one that is changed,
    ``title`` is what it is called, ``multi_label`` that it foretells all crime types at once, and
    the others are fields of ``IncidentParameters``. ``reduction`` says in words what is less here
    than in the study. ``first_day`` of the four years is the study's, unless it is given.
    """

    title: str
    city: str
    cells: tuple[int, ...] = (16,)
    mapping: str = "study"
    active: str = "study"
    first_day: str = ""
    crime_types: tuple[str, ...] = ("All crime",)
    methods: tuple[str, ...] = tuple(METHODS)
    learning: Learning = field(default_factory=Learning)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reduction: str = ""

    @classmethod
    def read(cls, path: Path) -> Experiment:
        """From a YAML file; raises :class:`ExperimentError` that names what is wrong in it."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ExperimentError(f"{path} cannot be read: {error}") from error
        try:
            return cls._of(content)
        except (ExperimentError, ValueError, TypeError) as error:
            raise ExperimentError(f"{path}: {error}") from error

    @classmethod
    def _of(cls, content: Any) -> Experiment:
        if not isinstance(content, dict):
            raise ExperimentError("no settings of an experiment")
        network = content.pop("network", None) or {}
        known = {*cls.__dataclass_fields__, "seed"} - {"learning", "variants"}
        _check(content, known, {"title", "city"}, "")
        if not isinstance(network, dict):
            raise ExperimentError(f"network is {network!r}; it must be settings by name")
        _check(network, {"stride", "parameters", "variants"}, set(), "network: ")
        if isinstance(day := content.get("first_day"), date):
            content["first_day"] = day.isoformat()
        for name in ("title", "city", "first_day", "reduction"):
            if not isinstance(content.get(name, ""), str):
                raise ExperimentError(f"{name} is {content[name]!r}; it must be text")
        variants = _mapping(network.get("variants") or {}, "variants")
        for name, changes in variants.items():
            _mapping(changes, f"variant {name}")
        for name, known_values in (
            ("cells", GRID_SIZES), ("crime_types", CHANNELS), ("methods", tuple(METHODS)),
        ):  # fmt: skip
            if name not in content:
                continue
            given = content[name]
            if not isinstance(given, list) or (
                unknown := [v for v in given if v not in known_values]
            ):
                wrong = ", ".join(map(str, unknown)) if isinstance(given, list) else repr(given)
                raise ExperimentError(
                    f"{name}: {wrong}; it must be a list of {', '.join(map(str, known_values))}"
                )
            content[name] = tuple(dict.fromkeys(given))
        for name, values in (("mapping", MAPPINGS), ("active", ACTIVE)):
            if content.get(name, values[0]) not in values:
                raise ExperimentError(
                    f"{name} is {content[name]!r}; it must be one of {', '.join(values)}"
                )
        stride, seed = network.get("stride", 1), content.pop("seed", 1)
        for name, value, least in (("stride", stride, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ExperimentError(
                    f"{name} is {value!r}; it must be a whole number from {least}"
                )
        learning = Learning(stride, _mapping(network.get("parameters") or {}, "parameters"), seed)
        found = cls(**content, learning=learning, variants=variants)
        for method in found.compared:
            if method.kind == "network":
                parameters_of(method, learning)
        if not found.cells or not found.crime_types:
            raise ExperimentError("name at least one of cells and of crime_types")
        return found

    @property
    def compared(self) -> tuple[Method, ...]:
        """All that is judged: the naive rules first, for the others are judged against them."""
        names = (*NAIVE, *(name for name in self.methods if name not in NAIVE))
        return (*(METHODS[name] for name in names), *map(self._variant, self.variants))

    def _variant(self, name: str) -> Method:
        changes = dict(self.variants[name])
        of = METHODS.get(changes.pop("of", ""))
        if of is None or of.kind != "network" or name in METHODS:
            raise ExperimentError(
                f"variant {name}: `of` must name the network that it changes, one of "
                f"{', '.join(m.name for m in METHODS.values() if m.kind == 'network')}, and its "
                "own name must be another"
            )
        if not isinstance(multi_label := changes.pop("multi_label", False), bool):
            raise ExperimentError(
                f"variant {name}: multi_label is {multi_label!r}, not true, false"
            )
        return replace(
            of,
            name=name,
            title=str(changes.pop("title", name)),
            multi_label=multi_label,
            parameters={**of.parameters, **changes},
        )


def _mapping(found: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise ExperimentError(f"{what} is {found!r}; it must be settings by name")
    return found


def _check(found: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    if unknown := sorted(map(str, set(found) - known)):
        raise ExperimentError(
            f"{where}{', '.join(unknown)} unknown; there are {', '.join(sorted(known))}"
        )
    if missing := sorted(needed - set(found)):
        raise ExperimentError(f"{where}{', '.join(missing)} missing")


@dataclass(frozen=True)
class Results:
    """What a run gives.

    ``evaluations`` have ``cells``, ``method``, ``crime_type`` and the columns of
    :func:`~crime_assets.grids.judging.compared`; ``curves`` have ``cells``, ``method``,
    ``crime_type``, ``curve`` (``roc`` or ``pr``), ``x`` and ``y``; ``effort`` has the seconds and
    the parameters of each method and crime type.
    """

    evaluations: pd.DataFrame
    curves: pd.DataFrame
    effort: pd.DataFrame
    manifest: dict[str, Any]


def run(
    experiment: Experiment,
    samples: Mapping[int, Samples],
    folder: Path,
    *,
    train: Train = run_task,
    advance: Callable[[int, Method, str], None] = lambda p, method, crime_type: None,
) -> Results:
    """Predict and judge everything; ``samples`` are those of each grid.

    ``folder`` keeps predictions and trainings, ``advance`` is called with each prediction that is
    there. A method that cannot be asked is left out, and the manifest says why; raises
    :class:`~crime_assets.DataError` where that is a naive rule, without which nothing is judged.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    drawn: list[pd.DataFrame] = []
    effort: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    data: dict[str, Any] = {}
    for p in experiment.cells:
        of_grid = samples[p]
        cells = of_grid.active_cells(experiment.active)  # type: ignore[arg-type]
        origins = of_grid.test_origins()
        crimes = of_grid.targets(origins)[:, cells]
        data[str(p)] = _told_of(of_grid, cells)
        naive: dict[str, dict[str, list[list[Figure]]]] = {}
        days = [date.fromisoformat(of_grid.maps.days[at]) for at in origins]
        for method in experiment.compared:
            try:
                for crime_type, found in _predicted(
                    experiment, method, of_grid, cells, folder / str(p), train
                ):
                    advance(p, method, crime_type)
                    truth = crimes[..., of_grid.maps.crime_types.index(crime_type)]
                    if not truth.any():
                        failed[f"{crime_type}, {p} x {p}"] = "no crime in the year of the test"
                        continue
                    figures = judge(found.probability, found.expected, truth)
                    if method.name in NAIVE:
                        naive.setdefault(crime_type, {})[method.name] = figures
                    place = {"cells": p, "method": method.name, "crime_type": crime_type}
                    against = {k: v for k, v in naive[crime_type].items() if k != method.name}
                    rows += [{**place, **row} for row in compared(figures, against, days)]
                    drawn += [
                        pd.DataFrame({**place, "curve": name, "x": x, "y": y})
                        for name, x, y in curves(found.probability, found.expected, truth)
                    ]
                    effort.append(
                        {**place, "seconds": found.seconds, "parameters": found.parameters}
                    )
            except DataError as error:
                if method.name in NAIVE:
                    raise
                failed[f"{method.name}, {p} x {p}"] = str(error)
    manifest = {
        "title": experiment.title,
        "reduction": experiment.reduction,
        "experiment": asdict(experiment),
        "methods": {m.name: asdict(m) for m in experiment.compared},
        "networks": {
            m.name: parameters_of(m, experiment.learning).to_dict()
            for m in experiment.compared
            if m.kind == "network"
        },
        "classifiers learn every": f"{CLASSIFIER_STRIDE} days",
        "data": data,
        "failed": failed,
        "code": CODE,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "packages": {
            name: version(name) for name in ("numpy", "scipy", "scikit-learn", "tensorflow")
        },
    }
    if not rows:
        raise DataError(
            f"nothing can be judged: {'; '.join(f'{k}: {v}' for k, v in failed.items())}"
        )
    evaluations = pd.DataFrame(rows).astype({"coverage": float, "low": float, "high": float})
    return Results(
        evaluations,
        pd.concat(drawn, ignore_index=True),
        pd.DataFrame(effort).astype({"parameters": "Int64"}),
        manifest,
    )


def _told_of(samples: Samples, cells: NDArray[np.bool_]) -> dict[str, Any]:
    """What the manifest says of the data on one grid."""
    maps, origins = samples.maps, samples.test_origins()
    learned = maps.observed[samples.first : samples.test_first]
    return {
        "digest": digest_of_maps(maps),
        "active_cells": int(cells.sum()),
        "days": [maps.days[samples.first], maps.days[samples.end - 1]],
        "observed_days_to_learn_from": int(learned.sum()),
        "origins": [maps.days[at] for at in origins],
        "observed_days_foretold": samples.observed_days(origins).tolist(),
        "foretold_days": DAYS,
    }


def _predicted(
    experiment: Experiment,
    method: Method,
    samples: Samples,
    cells: NDArray[np.bool_],
    folder: Path,
    train: Train,
) -> Iterator[tuple[str, Prediction]]:
    """The predictions of a method, those that are kept in ``folder`` and then the others."""
    learning = experiment.learning
    made_of: list[Any] = [CODE, digest_of_maps(samples.maps), samples.period, cells, learning.seed]
    place = folder / method.name
    if method.kind == "network":  # variants of the same parameters are one
        parameters = parameters_of(method, learning)
        made_of += [parameters, learning.stride, method.multi_label]
        place = folder / parameters.network
    kept = {
        crime_type: place / f"{type_column(crime_type)}-{digest_of(*made_of)}.npz"
        for crime_type in experiment.crime_types
    }
    for crime_type, path in kept.items():
        if path.exists():
            yield crime_type, _read(path)
    if todo := [crime_type for crime_type, path in kept.items() if not path.exists()]:
        training = place / f"training-{digest_of(*made_of)}"
        for crime_type, found in predict(
            method, samples, todo, cells, learning, folder=training, train=train
        ):
            _keep(kept[crime_type], found)
            yield crime_type, found
        shutil.rmtree(training, ignore_errors=True)  # what was predicted is kept


def _keep(path: Path, found: Prediction) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = json.dumps({"seconds": found.seconds, "parameters": found.parameters})
    arrays: dict[str, Any] = {"probability": found.probability, "told": np.array(told)}
    if found.expected is not None:
        arrays["expected"] = found.expected
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def _read(path: Path) -> Prediction:
    with np.load(path) as found:
        told = json.loads(str(found["told"]))
        return Prediction(found["probability"], found.get("expected"), **told)


def write(results: Results, folder: Path) -> Path:
    """Write tables, manifest, pictures and page into ``folder``; returns the page."""
    from crime_assets.grids.report import write_report

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("evaluations", "curves"):
        relation = duckdb.from_df(getattr(results, name))
        relation.write_parquet(str(folder / f"{name}.parquet"))
    results.effort.to_csv(folder / "effort.csv", index=False)
    manifest = json.dumps(results.manifest, indent=1, sort_keys=True, default=str)
    (folder / "manifest.json").write_text(manifest + "\n", encoding="utf-8")
    return write_report(results, folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiments of the command line; settings are those of the environment."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import MofNCompleteColumn, Progress

    from crime_assets.grids.report import sentences

    parser = argparse.ArgumentParser(
        prog="python -m crime_assets.grids.study", description=main.__doc__
    )
    parser.add_argument("experiment", type=Path, nargs="+", help="a YAML file")
    parser.add_argument("--out", type=Path, default=Path("results"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    try:
        settings = Settings.from_environment()
        for path in options.experiment:
            experiment = Experiment.read(path)
            console.rule(escape(experiment.title))
            samples = read_samples(
                settings, experiment.city, experiment.cells, experiment.mapping,
                experiment.first_day,
            )  # fmt: skip
            total = len(experiment.cells) * len(experiment.compared) * len(experiment.crime_types)
            columns = (*Progress.get_default_columns(), MofNCompleteColumn())
            with Progress(*columns, console=console, transient=True) as progress:
                task = progress.add_task("", total=total)

                def advance(
                    p: int, method: Method, crime_type: str, progress: Progress = progress,
                    task: Any = task,
                ) -> None:  # fmt: skip
                    said = f"{method.title}, {crime_type}, {p} x {p}"
                    progress.update(task, advance=1, description=escape(said))

                def train(folder: Path, progress: Progress = progress) -> Any:
                    def say(line: str) -> None:
                        if SAID.search(line):  # and not what TensorFlow prints when it starts
                            progress.console.print(line, markup=False, soft_wrap=True)

                    return run_task(folder, say)

                results = run(
                    experiment, samples, options.out / "predictions" / experiment.city,
                    train=train, advance=advance,
                )  # fmt: skip
            page = write(results, options.out / path.stem)
            for sentence in sentences(results):
                console.print(sentence, markup=False, soft_wrap=True)
            console.print(f"\n{page}", markup=False, soft_wrap=True)
    except (DataError, SettingError) as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
