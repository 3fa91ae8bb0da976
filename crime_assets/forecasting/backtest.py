"""One forecast judged by what then happened, and many of them: rolling origins.

A forecaster is handed a history that ends with the cut-off and nothing else, so it cannot look
ahead. The outcome is put beside its ranking afterwards.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import Counts, HistoryTooShort, Units
from crime_assets.forecasting.forecaster import Forecaster, NoForecast
from crime_assets.forecasting.forecasters.rolling import PerfectForesight
from crime_assets.forecasting.metrics import (
    RESAMPLINGS,
    Figure,
    Judgement,
    NotAScore,
    Outcome,
    Ranking,
    judge,
    judge_stability,
)

HOTTEST_SHARE = 0.01
LEAST_STORED = 100
LEAST_COMPARED = 10
"""Forecasts of cells, LSOAs and segments are kept for the hottest 1 %, at least a hundred; the list
that is compared with that of a step earlier is 1 % long, at least ten."""

SPLIT = "time"


@dataclass(frozen=True)
class Ask:
    """What is asked of forecasters, and how they are judged.

    ``horizons`` are numbers of steps; a history has ``least_months`` to ``most_months``;
    ``resamplings`` of the units with crimes make the intervals, from ``seed``.
    """

    horizons: tuple[int, ...] = (1, 3, 12)
    least_months: int = 24
    most_months: int = 36
    resamplings: int = RESAMPLINGS
    seed: int = 1


Lists = dict[tuple[str, int], NDArray]
"""The hottest units of each crime type and horizon: ids, hottest first."""


@dataclass
class Judged:
    """One model at one cut-off: rows of the table ``evaluations``, and its lists of hot units.

    ``reasons`` say, by crime type, why it could not be asked of some.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    lists: Lists = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


COLUMNS = (
    "crime_type", "step", "horizon_steps", "split", "metric", "coverage", "value", "low", "high",
    "tie_best", "tie_worst", "units", "crimes",
)  # fmt: skip
"""Of :attr:`Judged.rows`: those of the table ``evaluations``, but for the scope."""


def can_forecast(forecaster: Forecaster, history: Counts) -> None:
    """Raise :class:`NoForecast` where ``history`` is too short or too large for the forecaster."""
    months = len(history.steps) / history.month_steps
    if months < forecaster.least_months:
        raise NoForecast(
            f"needs {forecaster.least_months} months of history; there are {math.floor(months)}"
        )
    if forecaster.most_units is not None and len(history.units) > forecaster.most_units:
        raise NoForecast(
            f"is for areas of at most {forecaster.most_units:,} units; this one has "
            f"{len(history.units):,}"
        )


def rank_units(
    forecaster: Forecaster, history: Counts, crime_type: str, horizons: Sequence[int]
) -> list[Ranking]:
    """The rankings that a forecaster gives at the end of ``history``, one for each horizon.

    The same object stands for horizons that have the same scores. Where the scores are expected
    crimes and units have unequal sizes, they are divided by the relative size. Raises
    :class:`NoForecast`, or :class:`~crime_assets.forecasting.metrics.NotAScore` that says which
    forecaster gave what.
    """
    can_forecast(forecaster, history)
    units = history.units
    try:
        scores = np.asarray(forecaster.forecast(history, crime_type, horizons))
    except HistoryTooShort as error:
        raise NoForecast(str(error)) from error
    if scores.shape not in ((len(units),), (len(horizons), len(units))):
        raise NotAScore(
            f"{forecaster!r} gave scores of shape {scores.shape} for {len(horizons)} horizons and "
            f"{len(units):,} units"
        )
    if forecaster.expects_crimes and not units.equal:
        scores = scores / units.relative_size
    size = None if units.equal else units.size
    try:
        if forecaster.expects_crimes and (below := int((scores < 0).sum())):
            raise NotAScore(f"{below:,} of {scores.size:,} scores expect fewer than no crimes")
        if scores.ndim == 1:
            return [Ranking(scores, size)] * len(horizons)
        return [Ranking(row, size) for row in scores]
    except NotAScore as error:
        raise NotAScore(f"{forecaster!r}, {crime_type}, {history.cut_off}: {error}") from error


def stored(units: Units) -> int:
    """How many of the hottest units a forecast keeps: 1 %, at least a hundred; of squares all."""
    n = len(units)
    return n if units.kind == "square" else min(n, max(LEAST_STORED, _one_percent(n)))


def _compared(units: Units) -> int:
    return min(len(units), max(LEAST_COMPARED, _one_percent(len(units))))


def _one_percent(units: int) -> int:
    return math.ceil(HOTTEST_SHARE * units)


def forecast(
    forecaster: Forecaster, history: Counts, crime_types: Sequence[str], ask: Ask, threads: int = 1
) -> dict[str, NDArray]:
    """The rows of the table ``forecasts`` (but for the scope) as columns.

    A crime type that the forecaster knows nothing of is left out. Raises :class:`NoForecast` where
    it cannot be asked of any.
    """
    units = history.units
    positions = range(len(crime_types))
    unable: list[NoForecast] = []

    def of_type(position: int) -> list[tuple[NDArray, ...]]:
        try:
            rankings = rank_units(forecaster, history, crime_types[position], ask.horizons)
        except NoForecast as error:
            unable.append(error)
            return []
        found: list[tuple[NDArray, ...]] = []
        for at, (horizon, ranking) in enumerate(zip(ask.horizons, rankings, strict=True)):
            hot = ranking.hottest(stored(units))
            score = ranking.scores[hot]
            expected = np.full(len(hot), np.nan)
            if forecaster.expects_crimes:
                expected = horizon * score * units.relative_size[hot]
            found.append(
                (
                    hot,
                    np.full(len(hot), position),
                    np.full(len(hot), at),
                    np.arange(1, len(hot) + 1),
                    score,
                    expected,
                )
            )
        return found

    blocks = [block for found in _each(of_type, positions, threads) for block in found]
    if not blocks:
        raise unable[0]
    hot, type_at, horizon_at, rank, score, expected = (
        np.concatenate(column) for column in zip(*blocks, strict=True)
    )
    return {
        "unit_id": units.ids[hot].astype(str),
        "crime_type": np.array(crime_types)[type_at],
        "step": np.full(len(hot), history.step),
        "horizon_steps": np.array(ask.horizons)[horizon_at],
        "rank": rank,
        "score": score,
        "expected_crimes": expected,
    }


def judge_cut_off(
    forecasters: Mapping[str, Forecaster],
    counts: Counts,
    cut_off: str,
    crime_types: Sequence[str],
    ask: Ask,
    threads: int = 1,
) -> dict[str, Judged]:
    """Judge forecasters at one cut-off, on those horizons whose steps are all in ``counts``.

    A forecaster has no rows of a crime type that it knows nothing of, and a reason instead.
    Raises :class:`~crime_assets.forecasting.counts.HistoryTooShort` where not even the first
    horizon can be judged, :class:`NoForecast` where a forecaster cannot be asked.
    """
    history = counts.until(cut_off, ask.most_months * counts.month_steps)
    known = len(counts.steps) - 1 - counts.steps.index(cut_off)
    horizons = [h for h in ask.horizons if h <= max(known, min(ask.horizons))]
    for forecaster in forecasters.values():
        can_forecast(forecaster, history)

    judged = {name: Judged() for name in forecasters}

    def of_type(crime_type: str) -> list[tuple[str, list[tuple[Any, ...]], Lists]]:
        size = None if history.units.equal else history.units.size
        outcomes = [Outcome(counts.after(cut_off, h, crime_type), size) for h in horizons]
        pasts = [
            Outcome(history.recent(crime_type, h), size) if h <= len(history.steps) else None
            for h in horizons
        ]
        found = []
        for name, forecaster in forecasters.items():
            if isinstance(forecaster, PerfectForesight):
                rankings = [_foreseen(o, h) for o, h in zip(outcomes, horizons, strict=True)]
            else:
                try:
                    rankings = rank_units(forecaster, history, crime_type, horizons)
                except NoForecast as error:
                    judged[name].reasons[crime_type] = str(error)
                    continue
            rows: list[tuple[Any, ...]] = []
            lists: Lists = {}
            for horizon, ranking, outcome, past in zip(
                horizons, rankings, outcomes, pasts, strict=True
            ):
                figures = judge(
                    Judgement(ranking, outcome),
                    past,
                    horizon,
                    expects_crimes=forecaster.expects_crimes,
                    seed=_seed(ask.seed, cut_off, crime_type, horizon),
                    resamplings=ask.resamplings,
                )
                if not isinstance(forecaster, PerfectForesight):
                    hot = history.units.ids[ranking.hottest(_compared(history.units))]
                    lists[crime_type, horizon] = hot
                about = (crime_type, history.step, horizon)
                rows += _rows(about, figures, len(ranking), int(outcome.total))
            found.append((name, rows, lists))
        return found

    for of_one_type in _each(of_type, crime_types, threads):
        for name, rows, lists in of_one_type:
            judged[name].rows += rows
            judged[name].lists |= lists
    return judged


def _rows(
    about: tuple[str, str, int], figures: Sequence[Figure], units: int, crimes: int
) -> list[tuple[Any, ...]]:
    """Figures as rows of :data:`COLUMNS`; ``about`` are crime type, step and horizon."""
    return [
        (*about, SPLIT, f.metric, f.coverage, f.value, f.low, f.high, f.tie_best, f.tie_worst,
         units, crimes)
        for f in figures
    ]  # fmt: skip


def compare_lists(judged: Judged, before: Lists) -> None:
    """Add how stable the lists of ``judged`` are, against the model's own of a step earlier."""
    known = {row[:3]: row[-2:] for row in judged.rows}
    for about, (units, crimes) in known.items():
        crime_type, _, horizon = about
        now, earlier = judged.lists.get((crime_type, horizon)), before.get((crime_type, horizon))
        if now is not None and earlier is not None:
            figures = judge_stability(now, earlier[: len(now)])
            judged.rows += _rows(about, figures, units, crimes)


def _foreseen(outcome: Outcome, horizon: int) -> Ranking:
    """The outcome as a ranking: crimes a step, by area where units have unequal sizes."""
    relative = 1.0 if outcome.size is None else outcome.size / outcome.size.mean()
    return Ranking(outcome.every / relative / horizon, outcome.size)


def _seed(*parts: object) -> int:
    """A seed of its own for each cut-off, crime type and horizon, the same for every model."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8])


def _each(function: Any, items: Iterable[Any], threads: int) -> Iterator[Any]:
    """``map``, in threads: NumPy and SciPy let go of the interpreter while they work.

    Each thread computes by itself: were BLAS to split its small matrices over the cores too, the
    nation would take five times as long.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), ThreadPoolExecutor(max_workers=threads) as pool:
        yield from pool.map(function, items)
