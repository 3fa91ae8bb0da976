"""Experiments as data: which forecasters, units, crime types, horizons and cut-offs.

    python -m crime_assets.forecasting.experiment gwent.yaml --out results/gwent

A run writes its leaderboard, its evaluations, its report and a manifest: the configuration, the
versions of data and code. The same configuration and data give the same tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import yaml

import crime_assets
from crime_assets import DataError
from crime_assets.forecasting import inputs
from crime_assets.forecasting.backtest import (
    COLUMNS,
    Ask,
    Judged,
    Lists,
    can_forecast,
    compare_lists,
    judge_cut_off,
)
from crime_assets.forecasting.counts import DAY, MONTH, Counts
from crime_assets.forecasting.forecaster import Forecaster, NoForecast
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.forecasting.forecasters.gldnet import Gldnet
from crime_assets.forecasting.metrics import COVERAGES
from crime_assets.forecasting.trained import Asked, train
from crime_assets.lake import sql_folder
from crime_assets.register import ALL_CRIME, crime_types_since
from crime_assets.settings import SettingError, Settings
from crime_assets.storage import Folder

if TYPE_CHECKING:
    import pandas as pd


class ExperimentError(DataError):
    """A configuration that is none; the message says what may stand there."""


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_step(value: object) -> bool:
    pattern = r"\d{4}-(0[1-9]|1[0-2])(-\d{2})?"
    return isinstance(value, str) and bool(re.fullmatch(pattern, value))


def _is_headline(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and value[0] in ("hit_rate", "pai", "pei_star", "f1")
        and value[1] in COVERAGES
    )


def _dates_as_text(value: Any) -> Any:
    """What YAML reads as a date is a text as it stands there."""
    if isinstance(value, dict):
        return {name: _dates_as_text(of_name) for name, of_name in value.items()}
    return value.isoformat() if isinstance(value, date) else value


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "title": (lambda v: isinstance(v, str), "a text"),
    "counts": (
        lambda v: isinstance(v, dict),
        "{lake: ...}, {points: ...}, {areas: ...}, {streets: ...} or {incidents: ...}",
    ),
    "forecasters": (_are_names, "a list of names"),
    "crime_types": (_are_names, "a list of names"),
    "first_cut_off": (_is_step, "a month such as 2025-09, or a day"),
    "last_cut_off": (_is_step, "a month such as 2025-09, or a day"),
    "last_share": (
        lambda v: isinstance(v, int | float) and 0 < v <= 1,
        "a share of the steps, such as 0.2",
    ),
    "every": (lambda v: _is_number(v, 1), "a number of steps"),
    "coverage_of": (lambda v: v in ("length", "units"), "length or units"),
    "gldnet": (lambda v: isinstance(v, dict), "{targets: [...], ...}"),
    "headline": (
        _is_headline,
        "hit_rate, pai, pei_star or f1 and one of the coverages "
        f"{', '.join(map(str, COVERAGES))}, such as [hit_rate, 0.05]",
    ),
    "horizons": (
        lambda v: (
            isinstance(v, list)
            and bool(v)
            and all(_is_number(h, 1) for h in v)
            and sorted(set(v)) == v
        ),
        "a list of numbers of steps, each more than the one before, such as [1, 3]",
    ),
    "least_months": (lambda v: _is_number(v, 1), "a number of months"),
    "most_months": (lambda v: _is_number(v, 1), "a number of months"),
    "resamplings": (lambda v: _is_number(v, 0), "a number"),
    "seed": (lambda v: _is_number(v, 0), "a number"),
}
"""What each setting must be: a test, and the words for it."""

_COUNTS: Mapping[str, tuple[set[str], set[str]]] = {
    "lake": ({"last_month"}, set()),
    "points": ({"areas"}, {"columns", "crime_types"}),
    "areas": (set(), {"columns", "crime_types", "lookup"}),
    "incidents": (
        {"streets", "crs"},
        {"columns", "crime_types", "step", "first", "last", "limit_m"},
    ),
    "streets": ({"last_month"}, set()),
}
"""What must and what may stand beside each kind of counts; incidents have streets too."""


@dataclass(frozen=True)
class Experiment:
    """What is compared, on which counts.

    ``counts`` is one of ``{lake: scope, last_month: 2025-12}``, ``{points: file, areas: pattern of
    LSOA names, columns: {...}, crime_types: {...}}``, ``{areas: file, columns: {...}, crime_types:
    {...}, lookup: file}``, ``{streets: force, last_month: 2025-12}`` and ``{incidents: file,
    streets: file, crs: EPSG:26985, columns: {...}, crime_types: {...}, step: day, first: ..., last:
    ..., limit_m: 100}``, as :mod:`~crime_assets.forecasting.inputs` says; files are sought below
    the folder of the configuration, or that of ``--data``.

    Empty ``forecasters`` and ``crime_types`` mean all. Every step with enough history and an
    outcome is a cut-off, unless ``first_cut_off``, ``last_cut_off`` or ``last_share`` (those whose
    next step is among that share of all, at their end) say less, of which each ``every``-th is
    taken. ``coverage_of`` segments is a share of their length, or of their number (``units``).
    ``headline`` is the metric, and its coverage, of the report's first table. ``gldnet`` says what
    is trained to be compared with the others: see :class:`~crime_assets.forecasting.trained.Asked`.
    """

    title: str
    counts: Mapping[str, Any]
    forecasters: tuple[str, ...] = ()
    crime_types: tuple[str, ...] = ()
    first_cut_off: str = ""
    last_cut_off: str = ""
    last_share: float = 1.0
    every: int = 1
    coverage_of: str = "length"
    headline: tuple[str, float] = ("hit_rate", 0.05)
    gldnet: Mapping[str, Any] = field(default_factory=dict)
    ask: Ask = field(default_factory=Ask)

    @classmethod
    def read(cls, path: Path) -> Experiment:
        """From a YAML file, where the fields of :class:`Ask` stand beside the others.

        Raises :class:`ExperimentError` that names what is unknown or missing.
        """
        try:
            content = _dates_as_text(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError) as error:
            raise ExperimentError(f"{path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise ExperimentError(f"{path} holds no settings of an experiment")
        asked = {f.name for f in fields(Ask)}
        own = {f.name for f in fields(cls)} - {"ask"}
        if unknown := sorted(map(str, set(content) - own - asked)):
            raise ExperimentError(
                f"{path}: {', '.join(unknown)} unknown; there are {', '.join(sorted(own | asked))}"
            )
        if missing := sorted({"title", "counts"} - set(content)):
            raise ExperimentError(f"{path}: {', '.join(missing)} missing")
        for name, value in content.items():
            fits, words = _KINDS[name]
            if not fits(value):
                raise ExperimentError(f"{path}: {name} is {value!r}; it must be {words}")
        content = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        ask = Ask(**{k: content.pop(k) for k in list(content) if k in asked})
        found = cls(**content, ask=ask)
        if wrong := sorted(set(found.forecasters) - set(FORECASTERS)):
            raise ExperimentError(
                f"{path}: no forecaster {', '.join(wrong)}; there are {', '.join(FORECASTERS)}"
            )
        if "gldnet" in found.models and not found.gldnet:
            raise ExperimentError(f"{path}: say in `gldnet` what is to be trained")
        try:
            if found.gldnet:
                Asked.of(found.gldnet)
        except ValueError as error:
            raise ExperimentError(f"{path}: gldnet: {error}") from error
        return found

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the forecasters that are compared; GLDNet where it is to be trained."""
        chosen = self.forecasters or tuple(m for m in FORECASTERS if m != "gldnet")
        return (*chosen, "gldnet") if self.gldnet and "gldnet" not in chosen else chosen

    def load(self, settings: Settings, folder: Path) -> tuple[Counts, dict[str, str]]:
        """The counts, and the versions of what they were made from."""
        source = dict(self.counts)
        kind = next((kind for kind in _COUNTS if kind in source), None)
        if kind is None:
            raise ExperimentError(f"counts are of {', '.join(_COUNTS)}, not {source}")
        must, may = _COUNTS[kind]
        if missing := sorted(must - set(source)):
            raise ExperimentError(f"counts of {kind}: {', '.join(missing)} missing")
        if unknown := sorted(set(source) - must - may - {kind}):
            raise ExperimentError(
                f"counts of {kind}: {', '.join(unknown)} unknown; there are "
                f"{', '.join(sorted(must | may))}"
            )
        for name, value in source.items():
            if name == "limit_m":
                if not isinstance(value, int | float) or value <= 0:
                    raise ExperimentError(f"limit_m is {value!r}; it must be metres above nought")
                continue
            nested = name == "columns" or (name == "crime_types")
            words = "names by name" if nested else "a text"
            texts = list(value.values()) if nested and isinstance(value, dict) else [value]
            if (nested and not isinstance(value, dict)) or not all(
                isinstance(text, str) for text in texts
            ):
                raise ExperimentError(f"counts of {kind}: {name} is {value!r}; it must be {words}")
        if kind == "lake":
            return inputs.from_lake(settings, source["lake"], source["last_month"])
        if kind == "points":
            return inputs.from_points(
                settings,
                folder / source["points"],
                source["areas"],
                source.get("columns", {}),
                source.get("crime_types", {}),
            )
        if kind == "streets":
            return inputs.from_streets(settings, source["streets"], source["last_month"])
        if kind == "incidents":
            step = source.get("step", DAY)
            if step not in (DAY, MONTH):
                raise ExperimentError(f"step is {step!r}; it must be {DAY} or {MONTH}")
            return inputs.from_incidents(
                settings,
                folder / source["incidents"],
                folder / source["streets"],
                source["crs"],
                source.get("columns", {}),
                source.get("crime_types", {}),
                step,
                source.get("first", ""),
                source.get("last", ""),
                source.get("limit_m"),
            )
        lookup = source.get("lookup")
        return inputs.from_areas(
            settings,
            folder / source["areas"],
            source.get("columns", {}),
            source.get("crime_types", {}),
            folder / lookup if lookup else None,
        )

    def train(self, counts: Counts, folder: Path) -> tuple[Gldnet, Mapping[str, Any]] | None:
        """What :func:`~crime_assets.forecasting.trained.train` gives, if it is asked for."""
        if not self.gldnet:
            return None
        return train(
            Asked.of(self.gldnet),
            counts,
            self.cut_offs(counts),
            folder,
            each_alike=self.coverage_of == "units",
        )

    def cut_offs(self, counts: Counts) -> list[str]:
        """Every step with enough history and at least the first horizon known, as asked."""
        steps = len(counts.steps)
        least = self.ask.least_months * counts.month_steps
        least = max(least, math.ceil((1 - self.last_share) * steps - 1e-9))
        last = steps - min(self.ask.horizons)
        found = [
            step
            for step in counts.steps[least - 1 : max(last, 0)]
            if step >= self.first_cut_off
            and step[: len(self.last_cut_off)] <= (self.last_cut_off or step)
        ][:: self.every]
        if not found:
            within = f" from {self.first_cut_off}" * bool(self.first_cut_off)
            within += f" to {self.last_cut_off}" * bool(self.last_cut_off)
            raise ExperimentError(
                f"no cut-off{within}: there are {len(counts.steps)} {counts.step}s, "
                f"{counts.steps[0]} to {counts.steps[-1]}; {self.ask.least_months} months of "
                "history and one to be judged by are needed"
            )
        return found


@dataclass(frozen=True)
class Results:
    """What a run gives: rows as in the tables, and the manifest that says what they rest on."""

    evaluations: pd.DataFrame
    leaderboard: pd.DataFrame
    manifest: dict[str, Any]


def run(
    experiment: Experiment,
    counts: Counts,
    versions: Mapping[str, str],
    *,
    scope: str,
    gldnet: tuple[Gldnet, Mapping[str, Any]] | None = None,
    workers: int = 1,
    advance: Callable[[str], None] = lambda _: None,
) -> Results:
    """Judge every forecaster at every cut-off, and rank them.

    ``versions`` go into the manifest, ``scope`` into the tables; ``gldnet`` is what
    :meth:`Experiment.train` gave, without which it says nothing; ``workers`` cut-offs are judged at
    a time, each in a process of its own; ``advance`` is called with each that is done. A forecaster
    that cannot be asked at a cut-off is left out there, and the manifest says why. Raises
    :class:`ExperimentError` where there is no cut-off, no such crime type, or nobody to be asked.
    """
    import pandas as pd

    from crime_assets.forecasting.leaderboard import rank_models

    crime_types = experiment.crime_types or counts.crime_types
    if unknown := sorted(set(crime_types) - set(counts.crime_types)):
        raise ExperimentError(
            f"no crimes of {', '.join(unknown)} in these counts; there are "
            f"{', '.join(counts.crime_types)}"
        )
    cut_offs = experiment.cut_offs(counts)
    if experiment.coverage_of == "units":
        counts = inputs.each_alike(counts)
    forecasters = {model: FORECASTERS[model] for model in experiment.models}
    if gldnet:
        forecasters["gldnet"] = gldnet[0]
    named = not {"incidents"} & {*experiment.counts}
    work = _Work(forecasters, counts, tuple(crime_types), experiment.ask, named)
    frames: list[pd.DataFrame] = []
    left_out: dict[str, dict[str, str]] = {}
    before: dict[str, Lists] = {}
    for cut_off, (judged, reasons) in zip(cut_offs, work.each(cut_offs, workers), strict=True):
        if reasons:
            left_out[cut_off] = reasons
        for model, of_model in judged.items():
            if experiment.every == 1:
                compare_lists(of_model, before.get(model, {}))
            before[model] = of_model.lists
            frame = pd.DataFrame(of_model.rows, columns=list(COLUMNS))
            frames.append(frame.assign(month=cut_off, model=model))
        advance(cut_off)
    if not frames:
        why = "; ".join(f"{model} {reason}" for model, reason in left_out[cut_offs[0]].items())
        raise ExperimentError(f"no forecaster can be asked at any cut-off; first: {why}")
    evaluations = pd.concat(frames, ignore_index=True).assign(unit=counts.units.kind, scope=scope)
    leaderboard = rank_models(evaluations, {m: FORECASTERS[m].role for m in experiment.models})
    manifest = {
        "experiment": asdict(experiment),
        "forecasters": {m: repr(FORECASTERS[m]) for m in experiment.models},
        "data": dict(versions),
        "units": {"kind": counts.units.kind, "number": len(counts.units)},
        "steps": [counts.steps[0], counts.steps[-1], len(counts.steps)],
        "cut_offs": [cut_offs[0], cut_offs[-1], len(cut_offs)],
        "left_out": left_out,
        "gldnet": dict(gldnet[1]) if gldnet else {},
        "code": code_hash(),
        "python": platform.python_version(),
        "packages": {p: version(p) for p in ("numpy", "scipy", "scikit-learn", "duckdb")},
    }
    return Results(evaluations, leaderboard, manifest)


def code_hash() -> str:
    """The SHA-256 of the package and its SQL: whatever a result could depend on."""
    digest = hashlib.sha256()
    package = Path(crime_assets.__file__).parent
    files = [*package.rglob("*.py"), *package.rglob("*.csv"), *sql_folder().rglob("*.sql")]
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Work:
    """What each process needs to judge one cut-off after the other.

    ``police_uk`` says that the crime types are those of police.uk, of which some began late.
    """

    forecasters: Mapping[str, Forecaster]
    counts: Counts
    crime_types: tuple[str, ...]
    ask: Ask
    police_uk: bool = True

    def at(self, cut_off: str) -> tuple[dict[str, Judged], dict[str, str]]:
        """The models judged at a cut-off, and the reasons why others are not."""
        history = self.counts.until(cut_off, self.ask.most_months * self.counts.month_steps)
        able, reasons = {}, {}
        for model, forecaster in self.forecasters.items():
            try:
                can_forecast(forecaster, history)
            except NoForecast as error:
                reasons[model] = str(error)
            else:
                able[model] = forecaster
        crime_types = list(self.crime_types)
        if self.police_uk:
            since = (*crime_types_since(history.steps[0][:7]), ALL_CRIME)
            crime_types = [name for name in self.crime_types if name in since]
        for name in set(self.crime_types) - set(crime_types):
            reasons[name] = f"police.uk had no such type in {history.steps[0]}"
        judged = judge_cut_off(able, self.counts, cut_off, crime_types, self.ask)
        for model in [model for model, found in judged.items() if found.reasons and not found.rows]:
            reasons[model] = next(iter(judged.pop(model).reasons.values()))
        return judged, reasons

    def each(
        self, cut_offs: Sequence[str], workers: int
    ) -> Iterator[tuple[dict[str, Judged], dict[str, str]]]:
        """The cut-offs in their order, so many at a time."""
        if workers == 1:
            yield from map(self.at, cut_offs)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _take, (self,)) as pool:
            yield from pool.map(_judge, cut_offs)


_work: _Work


def _take(work: _Work) -> None:
    global _work
    _work = work


def _judge(cut_off: str) -> tuple[dict[str, Judged], dict[str, str]]:
    return _work.at(cut_off)


def write(results: Results, experiment: Experiment, folder: Path) -> Folder:
    """Write tables, report and manifest into ``folder``; returns the page."""
    from crime_assets.forecasting.model_card import write_cards
    from crime_assets.forecasting.report import write_report

    folder.mkdir(parents=True, exist_ok=True)
    duckdb.from_df(results.evaluations).write_parquet(str(folder / "evaluations.parquet"))
    results.leaderboard.to_csv(folder / "leaderboard.csv", index=False)
    manifest = json.dumps(results.manifest, indent=1, sort_keys=True, default=str)
    (folder / "manifest.json").write_text(manifest + "\n", encoding="utf-8")
    models = {m: FORECASTERS[m] for m in experiment.models}
    write_cards(folder, models, results.leaderboard, results.manifest)
    return write_report(
        folder,
        results.leaderboard,
        results.evaluations,
        models,
        results.manifest,
        experiment.headline,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiments of the command line; settings are those of the environment."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from crime_assets.forecasting.leaderboard import headlines

    parser = argparse.ArgumentParser(
        prog="python -m crime_assets.forecasting.experiment", description=main.__doc__
    )
    parser.add_argument("experiment", type=Path, nargs="+", help="a YAML file")
    parser.add_argument("--data", type=Path, help="the folder that its files are sought in")
    parser.add_argument("--out", type=Path, default=Path("results"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    try:
        settings = Settings.from_environment()
        for path in options.experiment:
            experiment = Experiment.read(path)
            console.rule(escape(experiment.title))
            counts, versions = experiment.load(settings, options.data or path.parent)
            with Progress(console=console, transient=True) as progress:
                cut_offs = experiment.cut_offs(counts)
                out = options.out / path.stem
                gldnet = experiment.train(counts, out / "gldnet")
                task = progress.add_task(f"{len(cut_offs)} cut-offs", total=len(cut_offs))

                def advance(_: str, progress: Progress = progress, task: Any = task) -> None:
                    progress.advance(task)

                results = run(
                    experiment,
                    counts,
                    versions,
                    scope=path.stem,
                    gldnet=gldnet,
                    workers=settings.threads,
                    advance=advance,
                )
            page = write(results, experiment, out)
            for sentence in headlines(results.leaderboard, *experiment.headline):
                console.print(sentence, markup=False)
            console.print(f"\n{page}", markup=False, soft_wrap=True)
    except (DataError, SettingError) as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
