"""Every method of the grid study, and those that it lacked, in one register.

Stalidis, Semertzidis and Daras 2021, "Examining Deep Learning Architectures for Crime
Classification and Prediction", Forecasting 3:46. Each says of the cells of a grid how likely a
crime is in the 30 days from each of twelve origins on, from the days before that origin alone.
Classifiers and networks learn on origins whose 30 days end before the year of the test; rules
look at all observed days before the origin.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.cities.samples import DAYS, Samples
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.forecasting.squares import (
    GRID_RULES,
    WINDOW_DAYS,
    naive_probability,
    rule_expectation,
    square_counts,
    square_units,
    window_expectation,
)
from crime_assets.models.grid_classifiers import GRID_CLASSIFIERS, features_of
from crime_assets.models.incident_parameters import IncidentParameters
from crime_assets.models.incident_task import (
    PROGRAM_FILES,
    Results,
    Training,
    run_task,
    write_task,
)
from crime_assets.models.task import code_of_program
from crime_assets.register import type_column

CLASSIFIER_STRIDE = 30
"""Days between two origins that classifiers learn on, so that no day is foretold twice."""

DAYS_BEFORE = 366
"""Days before the period that networks may look back on; ST-ResNet looks for days of the month."""

CODE = code_of_program(
    [
        *PROGRAM_FILES,
        *("grid_classifiers.py", "ccrboost.py", "incident_task.py"),
        *("../cities/samples.py", "../grids/methods.py", "../forecasting/squares.py"),
        *("../forecasting/counts.py", "../forecasting/forecasters/__init__.py"),
        "../forecasting/forecasters/past.py",
        *("../forecasting/forecasters/rolling.py", "../forecasting/forecasters/kernel_density.py"),
    ]
)
"""A hash of the Python that predictions depend on."""

Kind = Literal["rule", "classifier", "network"]


@dataclass(frozen=True)
class Method:
    """One way to say whether a cell will be hot.

    ``source`` is where it is described, ``substitution`` what is done another way than there or
    than the study has it. Of a network ``parameters`` are fields of ``IncidentParameters``;
    ``multi_label`` says that one network foretells all crime types at once.
    """

    name: str
    title: str
    kind: Kind
    source: str
    substitution: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    multi_label: bool = False


@dataclass(frozen=True)
class Learning:
    """How networks learn: origins every ``stride`` days, and ``parameters`` of them all.

    ``parameters`` are fields of ``IncidentParameters`` that stand in for the defaults; what a
    method sets of its own goes before. ``seed`` is that of classifiers, too.
    """

    stride: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1


@dataclass(frozen=True)
class Prediction:
    """What a method says of the n cells at the twelve origins.

    ``probability`` (12, n) of a crime, ``expected`` crimes (12, n) of a method that counts.
    ``seconds`` are those of learning, or of a rule those of asking; ``parameters`` are how many a
    network learned.
    """

    probability: NDArray[np.float64]
    expected: NDArray[np.float64] | None
    seconds: float
    parameters: int | None = None


Train = Callable[[Path], Results]
"""Trains the networks of a folder that :func:`~crime_assets.models.incident_task.write_task` wrote,
and reads what came of it."""


def predict(
    method: Method,
    samples: Samples,
    crime_types: Sequence[str],
    cells: NDArray[np.bool_],
    learning: Learning = Learning(),
    *,
    folder: Path | None = None,
    train: Train = run_task,
) -> Iterator[tuple[str, Prediction]]:
    """What a method says, crime type by crime type, as it is done.

    ``cells`` (p x p,) is true for those that are in the study. Networks of all crime types are
    trained in ``folder`` together, by ``train``; what is done there is not done again. Raises
    :class:`~crime_assets.forecasting.forecaster.NoForecast` where there is too little history, and
    :class:`~crime_assets.DataError` for a crime type that is none, or a training that failed.
    """
    if unknown := sorted(set(crime_types) - set(samples.maps.crime_types)):
        raise DataError(
            f"no crime type {', '.join(unknown)}; there are {', '.join(samples.maps.crime_types)}"
        )
    at = np.flatnonzero(cells)
    if method.kind == "rule":
        yield from _by_rule(method, samples, crime_types, at)
    elif method.kind == "classifier":
        yield from _by_classifier(method, samples, crime_types, at, learning.seed)
    else:
        if folder is None:
            raise ValueError(f"{method.name} is a network: it needs a folder to be trained in")
        yield from _by_network(method, samples, crime_types, at, learning, folder, train)


Predictions = Iterator[tuple[str, Prediction]]


def _by_rule(
    method: Method, samples: Samples, crime_types: Sequence[str], at: NDArray[np.intp]
) -> Predictions:
    maps = samples.maps
    origins = samples.test_origins()
    observed_next = samples.observed_days(origins)
    units = square_units(at, maps.p)
    for crime_type in crime_types:
        started = time.monotonic()
        columns = at * len(maps.crime_types) + maps.crime_types.index(crime_type)
        # a day that was not observed says nothing, and neither do stray crimes of it
        crimes = maps.counts[:, columns].multiply(maps.observed[:, None]).tocsr()
        expected = np.empty((len(origins), len(at)))
        asked = zip(expected, map(int, origins), map(int, observed_next), strict=True)
        if window := WINDOW_DAYS.get(method.name):
            for row, origin, days in asked:
                row[:] = window_expectation(crimes, maps.observed, origin, window, days)
        else:
            counts = square_counts(units, maps.days, maps.observed, {crime_type: crimes})
            for row, origin, days in asked:
                history = counts.until(maps.days[np.flatnonzero(maps.observed[:origin])[-1]])
                row[:] = rule_expectation(GRID_RULES[method.name], history, crime_type, days)
        probability = naive_probability(expected, 1, 1)
        yield crime_type, Prediction(probability, expected, time.monotonic() - started)


def _by_classifier(
    method: Method, samples: Samples, crime_types: Sequence[str], at: NDArray[np.intp], seed: int
) -> Predictions:
    # to import them is no part of learning, and would else count in the first one's seconds
    from sklearn import (  # noqa: F401
        cluster,
        ensemble,
        model_selection,
        naive_bayes,
        neighbors,
        neural_network,
        svm,
        tree,
    )

    origins, asked = samples.training_origins(CLASSIFIER_STRIDE), samples.test_origins()
    known, told = (_features(samples, of, at) for of in (origins, asked))
    counts = samples.targets(origins)[:, at]
    for crime_type in crime_types:
        started = time.monotonic()
        hot = counts[..., samples.maps.crime_types.index(crime_type)].ravel() > 0
        fitted = GRID_CLASSIFIERS[method.name].fit(known, hot, seed=seed)
        seconds = time.monotonic() - started
        probability = fitted.probability(told).reshape(len(asked), len(at))
        yield crime_type, Prediction(probability, None, seconds)


def _features(
    samples: Samples, origins: NDArray[np.int64], at: NDArray[np.intp]
) -> NDArray[np.float32]:
    """The 30 days of each cell before each origin: (origins x n, 30 x crime types)."""
    maps = samples.inputs(origins)
    window = maps.reshape(*maps.shape[:2], -1, maps.shape[-1])[:, :, at]
    return features_of(window, samples.observed_before(origins))


def _by_network(
    method: Method,
    samples: Samples,
    crime_types: Sequence[str],
    at: NDArray[np.intp],
    learning: Learning,
    folder: Path,
    train: Train,
) -> Predictions:
    maps, parameters = samples.maps, parameters_of(method, learning)
    names = {crime_type: type_column(crime_type) for crime_type in crime_types}
    trainings = [Training(name, of, parameters.to_dict()) for of, name in names.items()]
    if method.multi_label:
        trainings = [Training("all_types", None, parameters.to_dict())]
    origins = samples.test_origins()
    # no day from the last origin on is handed over, so no network can see it
    first, end = max(0, samples.first - DAYS_BEFORE), int(origins[-1])
    results = train(
        write_task(
            folder,
            _dense(samples, first, end),
            first_day=maps.days[first],
            observed=maps.observed[first:end],
            crime_types=maps.crime_types,
            cells=at,
            trainings=trainings,
            training=(samples.training_origins(learning.stride) - first).tolist(),
            test=(origins - first).tolist(),
            days_in=DAYS,
            days_out=DAYS,
            seed=learning.seed,
        )
    )
    failed = []
    for crime_type, name in names.items():
        name = "all_types" if method.multi_label else name
        of = results.trainings[name]
        if of["failed"]:
            failed.append(f"{method.title}, {crime_type}: {of['failed']}")
            continue
        told = [results.probability[name], results.expected[name]]
        if method.multi_label:
            told = [each[..., maps.crime_types.index(crime_type)] for each in told]
        probability, expected = (each.astype(np.float64) for each in told)
        yield crime_type, Prediction(probability, expected, of["seconds"], of["parameters"])
    if failed:
        raise DataError("; ".join(failed))


def parameters_of(method: Method, learning: Learning) -> IncidentParameters:
    """The parameters of a network; raises ``ValueError`` for one that cannot be."""
    return IncidentParameters.of({**learning.parameters, **method.parameters})


def _dense(samples: Samples, first: int, end: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The maps of the days from ``first`` to ``end`` as small numbers: (days, p, p, C)."""
    maps = samples.maps
    most = maps.counts[first:end].max()
    if most > np.iinfo(np.uint16).max:
        raise DataError(f"{most:,} incidents in one cell on one day")
    kind = np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16
    found = np.empty((end - first, maps.p, maps.p, len(maps.crime_types)), dtype=kind)
    for start in range(first, end, 128):
        part = slice(start - first, min(start + 128, end) - first)
        found[part] = maps.dense(start, min(start + 128, end))
    return found


# --- The register ---------------------------------------------------------------------------

_STUDY = "Stalidis, Semertzidis and Daras 2021, Forecasting 3:46"
_UNSAID = (
    "What the study leaves unsaid (filters of the first block, optimiser, epochs) is ours: see "
    "crime_assets.models.incident_parameters. Other than in the study a network starts at what "
    "each cell's past says (its log odds of being hot, its mean count) and learns what to add; "
    "counts go in as logarithms, scaled; the squared error is in units of the counts' spread; and "
    "the last 15 % of the origins to learn from choose the epoch."
)
_STEP = (
    "How many of the next 30 days will be observed is told to it. The chance of a crime is "
    "1 - exp(-expected), as for Poisson crimes."
)
_SOURCES = {
    "persistence": FORECASTERS["last_month"], "rolling_mean": FORECASTERS["rolling_mean_12"],
    **GRID_RULES,
}  # fmt: skip


def _networks() -> Iterator[Method]:
    yield Method(
        "sftt_resnet",
        "SFTT, ResNet",
        "network",
        _STUDY,
        f"{_UNSAID} The body of the study's SFTT in its table 4 is not stated.",
        {"network": "sftt", "body": "resnet"},
    )
    for name, title, batch in (("tfts", "TFTS", 16), ("parb", "ParB", 8)):
        yield Method(
            name,
            f"{title}, ResNet",
            "network",
            _STUDY,
            f"{_UNSAID} The body of the study's {title} is not stated; ours is ResNet. Batches are "
            f"of {batch}, so that 40 x 40 cells need less than 4 GiB.",
            {"network": name, "body": "resnet", "batch_size": batch},
        )
    for body, title in (("vgg", "VGG"), ("fastmask", "FastMask"), ("fastresmask", "FastResMask")):
        yield Method(
            f"sftt_{body}",
            f"SFTT, {title}",
            "network",
            _STUDY,
            _UNSAID,
            {"network": "sftt", "body": body},
        )


def _register() -> Iterator[Method]:
    for name, of in GRID_CLASSIFIERS.items():
        yield Method(name, of.title, "classifier", of.source, of.substitution)
        if name == "ccrboost":
            yield Method(
                "st_resnet",
                "ST-ResNet",
                "network",
                "Zhang, Zheng and Qi 2017, AAAI Conference on Artificial Intelligence 31; used by "
                "the study as Wang and others 2017 have it",
                "Days of the month and of the week in the place of its hours, as in the study; our "
                "two heads in the place of its one, and all crime types in. As to levels, scales "
                "and epochs as SFTT.",
                {"network": "st-resnet", "batch_normalisation": False},
            )
    yield from _networks()
    for name, title, what in (
        ("persistence", "Persistence", "the observed ones of the last 30 days"),
        ("rolling_mean", "Rolling mean", "the observed ones of the last 360 days"),
        (
            "exponential_mean",
            "Exponential mean",
            "all observed days, each counting less than the next, by a half-life of one to 24 "
            "months that the past chooses",
        ),
        (
            "kernel_density",
            "Kernel density",
            "the last 360 observed days, spread over neighbouring cells, as far as the past says",
        ),
    ):
        yield Method(
            name, title, "rule", _SOURCES[name].source, f"Not in the study: {what}. {_STEP}"
        )


METHODS: Mapping[str, Method] = {method.name: method for method in _register()}
"""All methods by name: the ten of the study in its order, its networks, what it lacked."""

NAIVE = ("persistence", "rolling_mean")
"""The rules that every method is judged against."""
