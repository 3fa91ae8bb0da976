"""No forecaster sees the future, each keeps to the protocol, and the judge adds nothing."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from crime_assets.forecasting.backtest import (
    COLUMNS,
    Ask,
    Judged,
    compare_lists,
    forecast,
    judge_cut_off,
    rank_units,
    stored,
)
from crime_assets.forecasting.cells import hex_units
from crime_assets.forecasting.counts import Counts, HistoryTooShort, Units
from crime_assets.forecasting.forecaster import Forecaster, NoForecast, Role
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.forecasting.forecasters.gldnet import Gldnet
from crime_assets.forecasting.forecasters.rolling import Chance, PerfectForesight, RollingMean
from crime_assets.forecasting.metrics import (
    COVERAGES,
    CURVE,
    Judgement,
    NotAScore,
    jaccard,
    rank_biased_overlap,
    spearman,
)
from crime_assets.lsoa.neighbours import link
from crime_assets.tables import FORECASTS
from crime_assets_tests.forecasting.test_cells import block

MODELS = [
    name
    for name, forecaster in FORECASTERS.items()
    if forecaster.role != "ceiling" and not isinstance(forecaster, Gldnet)
]
"""All but perfect foresight, which is told the outcome, and GLDNet, which is told its forecasts: a
new one is here by its registration."""

TYPES = ("Burglary", "Drugs")
HORIZONS = (1, 3, 12)


def spelled(step: str, count: int) -> list[str]:
    """So many consecutive months or days."""
    if step == "month":
        return [f"{2020 + i // 12}-{i % 12 + 1:02d}" for i in range(count)]
    return [str(day) for day in np.datetime64("2020-01-01") + np.arange(count)]


def areas(n: int, seed: int = 5) -> Units:
    """LSOAs of unequal size, in rows of nine that touch; the last one touches none."""
    at = np.arange(n)
    beside = at[(at % 9 < 8) & (at < n - 2)]
    above = at[: max(0, n - 10)]
    pairs = np.concatenate([beside, above]), np.concatenate([beside + 1, above + 9])
    size = np.random.default_rng(seed).uniform(0.2, 3.0, n) * 4e5
    ids = np.array([f"E01{i:06d}" for i in range(n)])
    return Units("lsoa", ids, size, link(n, *pairs))


FORECAST_COLUMNS = [column.name for column in FORECASTS.columns if column.name != "scope"]

UNITS = {"hex": hex_units(block(6, 7)), "areas of unequal size": areas(77)}
PAST = {"month": 40, "day": 30 * 25}
"""Steps up to the cut-off: more than any forecaster asks for."""
FUTURE = 13


@cache
def crimes_of(n: int, steps: int, mean: float = 1.0) -> Mapping[str, NDArray[np.float64]]:
    """Poisson crimes (n, steps) by type, some units much hotter than most, with a season."""
    rng = np.random.default_rng(n + steps)
    rates = mean * rng.gamma(0.4, 2.5, n)
    season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(steps) / 12)
    return {
        name: rng.poisson(rates[:, None] * season * share).astype(float)
        for name, share in zip(TYPES, (1.0, 0.3), strict=True)
    }


def counts_of(units: Units, crimes: Mapping[str, NDArray], step: str = "month") -> Counts:
    rows = {name: (*np.nonzero(c), c[np.nonzero(c)]) for name, c in crimes.items()}
    steps = next(iter(crimes.values())).shape[1]
    return Counts.of(units, spelled(step, steps), rows, step)


def world(step: str = "month", unit: str = "hex", steps: int | None = None) -> Counts:
    units = UNITS[unit]
    mean = 1.0 if step == "month" else 0.15
    steps = PAST[step] + FUTURE if steps is None else steps
    return counts_of(units, crimes_of(len(units), steps, mean), step)


def scores_of(model: str, history: Counts, crime_type: str = "Burglary") -> NDArray[np.float64]:
    """What is ranked: (horizons, n)."""
    ranked = rank_units(FORECASTERS[model], history, crime_type, HORIZONS)
    return np.stack([ranking.scores for ranking in ranked])


# --- The poisoned future --------------------------------------------------------------------


def poisoned(step: str, unit: str) -> dict[str, Counts]:
    """The same counts up to the cut-off, with other futures after it."""
    units, past = UNITS[unit], PAST[step]
    true = world(step, unit)
    dense = {name: matrix.toarray().astype(float) for name, matrix in true.crimes.items()}
    rng = np.random.default_rng(9)
    huge = {name: crimes.copy() for name, crimes in dense.items()}
    lost = {name: crimes.copy() for name, crimes in dense.items()}
    for name in dense:
        huge[name][:, past:] = rng.integers(1, 10**6, (len(units), FUTURE))
        lost[name][:, past:] = np.nan
    removed = {name: crimes[:, :past] for name, crimes in dense.items()}
    futures = {"removed": removed, "huge": huge, "nan": lost}
    return {"true": true} | {
        name: counts_of(units, crimes, step) for name, crimes in futures.items()
    }


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("step", PAST)
@pytest.mark.parametrize("model", MODELS)
def test_a_poisoned_future_changes_no_score(model: str, step: str, unit: str) -> None:
    cut_off = spelled(step, PAST[step])[-1]
    found = {}
    for future, counts in poisoned(step, unit).items():
        history = counts.until(cut_off)
        rows = forecast(FORECASTERS[model], history, TYPES[:1], Ask())
        scores = scores_of(model, history).tobytes()
        found[future] = [scores, *(rows[column].tobytes() for column in FORECAST_COLUMNS)]
    assert found["removed"] == found["true"]
    assert found["huge"] == found["true"]
    assert found["nan"] == found["true"]


def test_the_poison_would_be_seen() -> None:
    """The futures differ indeed: a forecaster that is handed them gives other scores."""
    counts = poisoned("month", "hex")
    scores = {
        name: Peeking().forecast(with_future, "Burglary", HORIZONS)
        for name, with_future in counts.items()
    }
    assert not np.array_equal(scores["true"], scores["huge"])
    assert not np.isfinite(scores["nan"]).all()
    assert not np.array_equal(scores["true"], scores["removed"])


SEEN: list[Counts] = []


@dataclasses.dataclass(frozen=True)
class Peeking:
    """It cheats: takes the last column there is, and keeps what it was handed."""

    title: ClassVar[str] = "Peeking"
    source: ClassVar[str] = "none"
    role: ClassVar[Role] = "model"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = "It cheats."

    least_months: int = 1
    most_units: int | None = None

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        SEEN.append(history)
        return history.crimes[crime_type].toarray()[:, -1].astype(float)


def memory_behind(array: NDArray) -> list[NDArray]:
    """The array, and what it is a view of."""
    chain: list[NDArray] = []
    at: Any = array
    while isinstance(at, np.ndarray):
        chain.append(at)
        at = at.base
    return chain


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("step", PAST)
def test_a_cheat_is_handed_nothing_that_leads_to_the_future(step: str, unit: str) -> None:
    counts = world(step, unit)
    cut_off = counts.steps[PAST[step] - 1]
    SEEN.clear()
    judged = judge_cut_off({"peeking": Peeking()}, counts, cut_off, TYPES, Ask())["peeking"]
    assert judged.rows
    assert SEEN
    for history in SEEN:
        assert history.cut_off == history.steps[-1] == cut_off
        for name, matrix in history.crimes.items():
            whole = counts.crimes[name]
            assert matrix.shape == (len(counts.units), len(history.steps))
            for part in ("data", "indices", "indptr"):
                for memory in memory_behind(getattr(matrix, part)):
                    assert memory.size <= max(matrix.nnz, len(history.steps) + 1)
                    assert not np.shares_memory(memory, getattr(whole, part))
    # so what it finds in the last column is the last month, and no more
    naive = Peeking().forecast(counts.until(cut_off), "Burglary", (1,))
    assert np.array_equal(naive, counts.until(cut_off).recent("Burglary", 1))


def test_a_cheat_that_spoils_its_history_spoils_no_outcome() -> None:
    @dataclasses.dataclass(frozen=True)
    class Spoiling(Peeking):
        def forecast(
            self, history: Counts, crime_type: str, horizons: Sequence[int]
        ) -> NDArray[np.floating]:
            scores = super().forecast(history, crime_type, horizons)
            history.crimes[crime_type].data[:] = 1e9
            return scores

    counts = world()
    cut_off = counts.steps[PAST["month"] - 1]
    before = {name: matrix.toarray() for name, matrix in counts.crimes.items()}
    judge_cut_off({"spoiling": Spoiling()}, counts, cut_off, TYPES, Ask())
    for name, matrix in counts.crimes.items():
        assert np.array_equal(matrix.toarray(), before[name])


@pytest.mark.parametrize("unit", UNITS)
def test_perfect_foresight_does_follow_the_future_and_cannot_be_beaten(unit: str) -> None:
    futures = poisoned("month", unit)
    cut_off = futures["removed"].cut_off
    found = {
        name: judge_cut_off(
            {"perfect_foresight": PerfectForesight()}, futures[name], cut_off, TYPES, Ask()
        )["perfect_foresight"]
        for name in ("true", "huge")
    }
    for judged in found.values():
        pei = [row for row in rows_of(judged) if row["metric"] == "pei_star"]
        assert len(pei) == len(TYPES) * len(HORIZONS) * len(COVERAGES)
        assert [row["value"] for row in pei] == pytest.approx([1.0] * len(pei))
        assert not judged.lists  # it forecasts nothing
    assert found["true"].rows != found["huge"].rows
    with pytest.raises(TypeError, match="no history holds it"):
        rank_units(PerfectForesight(), futures["true"], "Burglary", HORIZONS)


# --- Every forecaster keeps to the protocol --------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("step", PAST)
@pytest.mark.parametrize("model", MODELS)
def test_scores_are_finite_of_the_shape_agreed_and_the_same_again(
    model: str, step: str, unit: str
) -> None:
    history = world(step, unit, PAST[step])
    before = {name: matrix.toarray() for name, matrix in history.crimes.items()}
    raw = np.asarray(FORECASTERS[model].forecast(history, "Burglary", HORIZONS))
    n = len(history.units)
    assert raw.shape in ((n,), (len(HORIZONS), n))
    assert np.isfinite(raw).all()
    again = dataclasses.replace(FORECASTERS[model])  # type: ignore[type-var]
    assert again.forecast(history, "Burglary", HORIZONS).tobytes() == raw.tobytes()
    for name, matrix in history.crimes.items():
        assert np.array_equal(matrix.toarray(), before[name])  # it is not the forecaster's own
    one = np.asarray(FORECASTERS[model].forecast(history, "Burglary", HORIZONS[1:2]))
    assert np.array_equal(np.broadcast_to(raw, (3, n))[1], one.reshape(-1, n)[0])


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("step", PAST)
@pytest.mark.parametrize("model", [m for m in MODELS if FORECASTERS[m].expects_crimes])
def test_expected_crimes_are_crimes_a_step(model: str, step: str, unit: str) -> None:
    history = world(step, unit, PAST[step])
    raw = np.asarray(FORECASTERS[model].forecast(history, "Burglary", HORIZONS))
    assert raw.min() >= 0
    usual = history.recent("Burglary", history.year_steps).sum() / history.year_steps
    totals = raw.reshape(-1, len(history.units)).sum(axis=1)
    assert totals == pytest.approx([usual] * len(totals), rel=0.6)  # a season of 0.3, and chance


def permuted(history: Counts, order: NDArray[np.intp]) -> Counts:
    """The same places under other ids: the unit at place i is the one that was at order[i]."""
    units = history.units
    neighbours = units.neighbours[order][:, order].tocsr()
    neighbours.sort_indices()
    moved = Units(units.kind, units.ids, units.size[order], neighbours)
    crimes = {name: m.toarray()[order].astype(float) for name, m in history.crimes.items()}
    return counts_of(moved, crimes, history.step)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("model", sorted(set(MODELS) - {"chance"}))
def test_the_names_of_units_play_no_part(model: str, unit: str) -> None:
    units = UNITS[unit]
    crimes = {"Burglary": crimes_of(len(units), PAST["month"])["Burglary"].copy()}
    # hotspots break ties by the unit, as published: here one unit is the hottest in each window
    crimes["Burglary"][7] += 90
    history = counts_of(units, crimes)
    order = np.random.default_rng(2).permutation(len(units))
    scores, moved = scores_of(model, history), scores_of(model, permuted(history, order))
    # sums in another order are rounded otherwise, and an iteration may end a turn sooner
    assert moved == pytest.approx(scores[:, order], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("model", MODELS)
def test_the_order_of_rows_within_a_month_plays_no_part(model: str, unit: str) -> None:
    # in the lake they stand in whatever order the threads of the database leave them
    history = world("month", unit, PAST["month"])
    rng = np.random.default_rng(6)
    shuffled = {}
    for name, matrix in history.crimes.items():
        mixed = matrix.copy()
        for first, end in itertools.pairwise(matrix.indptr):
            order = first + rng.permutation(end - first)
            mixed.data[first:end], mixed.indices[first:end] = (
                matrix.data[order],
                matrix.indices[order],
            )
        mixed.has_sorted_indices = False
        assert not np.array_equal(mixed.indices, matrix.indices)
        shuffled[name] = mixed
    other = dataclasses.replace(history, crimes=shuffled)
    assert scores_of(model, other).tobytes() == scores_of(model, history).tobytes()


@pytest.mark.parametrize("step", PAST)
@pytest.mark.parametrize("model", MODELS)
def test_without_a_crime_there_is_still_a_finite_score(model: str, step: str) -> None:
    units = UNITS["areas of unequal size"]
    none = {"Burglary": np.zeros((len(units), PAST[step]))}
    scores = scores_of(model, counts_of(units, none, step))
    assert np.isfinite(scores).all()
    if model != "chance":
        assert np.ptp(scores) == 0  # and no place is hotter than another


@pytest.mark.parametrize("step", PAST)
@pytest.mark.parametrize("model", MODELS)
def test_one_unit_alone_has_a_score(model: str, step: str) -> None:
    alone = Units("lsoa", np.array(["E01000001"]), np.array([3e5]), link(1, [], []))
    history = counts_of(alone, crimes_of(1, PAST[step]), step)
    assert scores_of(model, history).shape == (3, 1)


@pytest.mark.parametrize("step", PAST)
@pytest.mark.parametrize("model", MODELS)
def test_units_that_touch_no_other_have_scores(model: str, step: str) -> None:
    n = 30
    scattered = Units("segment", np.arange(n), np.linspace(20, 900, n), link(n, [], []))
    history = counts_of(scattered, crimes_of(n, PAST[step], 0.3), step)
    assert np.isfinite(scores_of(model, history)).all()


@pytest.mark.parametrize("step", PAST)
@pytest.mark.parametrize("model", MODELS)
def test_the_shortest_history_it_claims_is_enough_and_a_step_less_is_refused(
    model: str, step: str
) -> None:
    forecaster = FORECASTERS[model]
    steps = forecaster.least_months * (1 if step == "month" else 30)
    horizons = [h for h in (1, 3, 12) if h <= forecaster.least_months]
    history = world(step, "areas of unequal size", steps)
    assert len(rank_units(forecaster, history, "Burglary", horizons)) == len(horizons)
    if steps > 1:
        shorter = history.until(history.steps[-2])
        least = forecaster.least_months
        with pytest.raises(
            NoForecast, match=f"needs {least} months of history; there are {least - 1}"
        ):
            rank_units(forecaster, shorter, "Burglary", horizons)


@pytest.mark.parametrize("model", FORECASTERS)
def test_a_forecaster_says_what_it_is_and_all_that_its_result_depends_on(model: str) -> None:
    forecaster = FORECASTERS[model]
    assert isinstance(forecaster, Forecaster)
    assert dataclasses.is_dataclass(forecaster)
    fields = dataclasses.fields(forecaster)
    for field in fields:
        if field.repr:
            assert f"{field.name}={getattr(forecaster, field.name)!r}" in repr(forecaster)
    assert {f.name for f in fields} == set(vars(forecaster))  # nothing is hidden beside them
    with pytest.raises(dataclasses.FrozenInstanceError):
        forecaster.most_units = 3  # type: ignore[misc]
    assert forecaster.role in ("floor", "baseline", "model", "ceiling")
    assert forecaster.title
    assert forecaster.source
    assert forecaster.limits.endswith(".")
    assert (type(forecaster).__doc__ or "").strip()


def test_repr_tells_forecasters_apart() -> None:
    assert len({repr(forecaster) for forecaster in FORECASTERS.values()}) == len(FORECASTERS)


# --- The judge ------------------------------------------------------------------------------


def rows_of(judged: Judged) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in judged.rows]


def judge_one(forecaster: Any, counts: Counts, cut_off: str, ask: Ask | None = None) -> Judged:
    return judge_cut_off({"it": forecaster}, counts, cut_off, TYPES, ask or Ask())["it"]


def test_only_horizons_whose_steps_are_all_known_are_judged() -> None:
    counts = world()
    for known, expected in ((1, {1}), (2, {1}), (3, {1, 3}), (11, {1, 3}), (12, {1, 3, 12})):
        judged = judge_one(RollingMean(), counts, counts.steps[-1 - known])
        assert {row["horizon_steps"] for row in rows_of(judged)} == expected
        assert {horizon for _, horizon in judged.lists} == expected


def test_a_cut_off_without_a_step_after_it_cannot_be_judged() -> None:
    counts = world()
    with pytest.raises(HistoryTooShort, match=f"1 months after {counts.steps[-1]} are asked for"):
        judge_one(RollingMean(), counts, counts.steps[-1])
    with pytest.raises(HistoryTooShort, match=f"3 months after {counts.steps[-2]}"):
        judge_one(RollingMean(), counts, counts.steps[-2], Ask(horizons=(3, 12)))


def test_a_horizon_longer_than_the_history_is_no_forecast_rather_than_the_end_of_all() -> None:
    counts = world()
    cut_off = counts.steps[12]
    history = counts.until(cut_off)
    with pytest.raises(HistoryTooShort):
        FORECASTERS["same_month_last_year"].forecast(history, "Burglary", [18])
    with pytest.raises(NoForecast):
        rank_units(FORECASTERS["same_month_last_year"], history, "Burglary", [18])


def test_a_forecaster_is_not_asked_of_more_units_or_less_history_than_it_is_for() -> None:
    counts = world()
    with pytest.raises(NoForecast, match="at most 83 units; this one has 84"):
        judge_one(RollingMean(most_units=83), counts, counts.steps[-2])
    with pytest.raises(NoForecast, match="needs 12 months of history; there are 11"):
        judge_one(RollingMean(), counts, counts.steps[10])
    with pytest.raises(NoForecast, match="needs 12 months of history; there are 6"):
        judge_one(RollingMean(), counts, counts.steps[30], Ask(most_months=6))


def test_a_history_is_no_longer_than_asked() -> None:
    for step, unit in (("month", "hex"), ("day", "areas of unequal size")):
        counts = world(step, unit)
        SEEN.clear()
        ask = Ask(most_months=14)
        judge_cut_off({"it": Peeking()}, counts, counts.steps[-5], TYPES[:1], ask)
        assert {len(history.steps) for history in SEEN} == {14 * counts.month_steps}


@dataclasses.dataclass(frozen=True)
class Broken(Peeking):
    """It gives what is no score."""

    how: str = "nan"

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        n = len(history.units)
        scores = np.arange(n, dtype=float)
        if self.how == "one is nan":
            scores[3] = np.nan
        if self.how == "one is infinite":
            scores[3] = np.inf
        if self.how == "one is below nought":
            scores[3] = -1e-6
        if self.how == "one short":
            return scores[1:]
        if self.how == "units first":
            return np.tile(scores[:, None], len(horizons))
        if self.how == "another number of horizons":
            return np.tile(scores, (len(horizons) + 1, 1))
        return scores


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("one is nan", "1 of 84 scores are not finite"),
        ("one is infinite", "1 of 84 scores are not finite"),
        ("one is below nought", "1 of 84 scores expect fewer than no crimes"),
        ("one short", r"shape \(83,\) for 3 horizons and 84 units"),
        ("units first", r"shape \(84, 3\) for 3 horizons and 84 units"),
        ("another number of horizons", r"shape \(4, 84\) for 3 horizons and 84 units"),
    ],
)
def test_what_is_no_score_is_refused_and_says_who_gave_it(how: str, what: str) -> None:
    counts = world()
    who = rf"Broken\(.*how='{how}'\)"
    with pytest.raises(NotAScore, match=rf"{who}.*{what}"):
        judge_one(Broken(how=how), counts, counts.steps[-13])
    with pytest.raises(NotAScore, match=rf"{who}.*{what}"):
        forecast(Broken(how=how), counts, TYPES, Ask())


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("step", PAST)
def test_the_figures_are_those_of_the_metrics(step: str, unit: str) -> None:
    counts = world(step, unit)
    cut_off = counts.steps[PAST[step] - 1]
    units, history = counts.units, counts.until(cut_off)
    judged = judge_one(RollingMean(months=3), counts, cut_off)
    figures = {
        (r["crime_type"], r["horizon_steps"], r["metric"], r["coverage"]): r
        for r in rows_of(judged)
    }
    assert len(figures) == len(judged.rows)
    dense = {name: matrix.toarray() for name, matrix in counts.crimes.items()}
    for crime_type in TYPES:
        past = dense[crime_type][:, : PAST[step]]
        scores = past[:, -3 * history.month_steps :].mean(axis=1)
        for horizon in HORIZONS:
            crimes = dense[crime_type][:, PAST[step] : PAST[step] + horizon].sum(axis=1)
            judgement = Judgement.of(scores / units.size, crimes, units.size)

            def value(
                metric: str,
                coverage: float | None = None,
                about: tuple[str, int] = (crime_type, horizon),
            ) -> float:
                return figures[*about, metric, coverage]["value"]

            for coverage in CURVE:
                assert value("hit_rate", coverage) == pytest.approx(judgement.hit_rate(coverage))
                assert value("crimes", coverage) == pytest.approx(judgement.captured(coverage))
            before = past[:, -horizon:].sum(axis=1)
            for coverage in COVERAGES:
                assert value("pai", coverage) == pytest.approx(judgement.pai(coverage))
                assert value("pei_star", coverage) == pytest.approx(judgement.pei_star(coverage))
                assert value("f1", coverage) == pytest.approx(judgement.f1(coverage))
                recaptured = judgement.recapture_rate_index(coverage, before)
                if np.isfinite(recaptured):
                    assert value("recapture_rate_index", coverage) == pytest.approx(recaptured)
            assert value("auroc") == pytest.approx(judgement.auroc())
            assert value("aucpr") == pytest.approx(judgement.aucpr())
            assert value("hit_rate_area") == pytest.approx(judgement.hit_rate_area())
            assert value("crimes", 1.0) == crimes.sum()
            assert value("expected_crimes", 1.0) == pytest.approx(horizon * scores.sum())
            row = figures[crime_type, horizon, "hit_rate", 0.05]
            assert (row["step"], row["split"]) == (step, "time")
            assert (row["units"], row["crimes"]) == (len(units), crimes.sum())


def test_a_tie_at_the_limit_shows_its_worst_and_best_resolution() -> None:
    # ten equal cells; one is hot, the rest are level; the outcome lies in two of the level ones
    units = Units("square", np.arange(10), np.ones(10), link(10, [], []))
    crimes = np.zeros((10, 13))
    crimes[0, :12] = 5
    crimes[1, 12], crimes[2, 12] = 3, 1
    counts = counts_of(units, {"Burglary": crimes})
    ask = Ask(horizons=(1,))
    judged = judge_cut_off({"it": RollingMean()}, counts, counts.steps[11], ["Burglary"], ask)["it"]
    (row,) = [r for r in rows_of(judged) if (r["metric"], r["coverage"]) == ("hit_rate", 0.2)]
    # 20 % are two cells: the hot one, and one of nine level ones, which have 4 crimes together
    assert row["value"] == pytest.approx(4 / 9 / 4)
    assert row["tie_worst"] == 0
    assert row["tie_best"] == pytest.approx(3 / 4)


def test_threads_change_nothing() -> None:
    counts = world()
    some = {name: FORECASTERS[name] for name in ("rolling_mean_12", "kernel_density", "chance")}
    one = judge_cut_off(some, counts, counts.steps[-13], TYPES, Ask(), threads=1)
    two = judge_cut_off(some, counts, counts.steps[-13], TYPES, Ask(), threads=2)
    for name in some:
        assert one[name].rows == two[name].rows
        assert one[name].lists.keys() == two[name].lists.keys()
        for key, hottest in one[name].lists.items():
            assert np.array_equal(hottest, two[name].lists[key])
    single = forecast(RollingMean(), counts, TYPES, Ask(), threads=1)
    double = forecast(RollingMean(), counts, TYPES, Ask(), threads=2)
    assert all(np.array_equal(single[c], double[c], equal_nan=single[c].dtype == float)
               for c in FORECAST_COLUMNS)  # fmt: skip


def test_a_model_is_judged_the_same_alone_and_among_others() -> None:
    counts = world(unit="areas of unequal size")
    some = {name: FORECASTERS[name] for name in ("last_month", "rolling_mean_12", "prospective")}
    together = judge_cut_off(some, counts, counts.steps[-13], TYPES, Ask())
    alone = judge_cut_off(
        {"prospective": some["prospective"]}, counts, counts.steps[-13], TYPES, Ask()
    )
    assert alone["prospective"].rows == together["prospective"].rows


def test_all_models_are_resampled_alike() -> None:
    counts = world()
    twins = {"one": RollingMean(), "other": RollingMean(months=12, most_units=10**6)}
    judged = judge_cut_off(twins, counts, counts.steps[-13], TYPES, Ask())
    assert judged["one"].rows == judged["other"].rows
    rows = [r for r in rows_of(judged["one"]) if r["metric"] == "hit_rate" and r["coverage"] == 0.2]
    assert all(r["low"] < r["value"] < r["high"] for r in rows)
    otherwise = judge_one(RollingMean(), counts, counts.steps[-13], Ask(seed=2))
    again = judge_one(RollingMean(), counts, counts.steps[-13], Ask(seed=1))
    assert again.rows == judged["one"].rows
    changed = [
        [r[c] for c in ("low", "high")]
        for r in rows_of(otherwise)
        if r["metric"] == "hit_rate" and r["coverage"] == 0.2
    ]
    assert changed != [[r[c] for c in ("low", "high")] for r in rows]
    assert [r[6] for r in otherwise.rows] == [r[6] for r in again.rows]  # not the values


def test_without_resamplings_there_is_no_interval() -> None:
    counts = world()
    judged = judge_one(RollingMean(), counts, counts.steps[-13], Ask(resamplings=0))
    assert {(r["low"], r["high"]) for r in rows_of(judged)} == {(None, None)}


def test_chance_has_a_pai_of_one() -> None:
    counts = world()
    pais = [
        row["value"]
        for cut_off in counts.steps[12:-1]
        for row in rows_of(judge_one(Chance(), counts, cut_off, Ask((1,), resamplings=0)))
        if row["metric"] == "pai" and row["coverage"] == 0.2
    ]
    assert len(pais) == 2 * 40
    assert np.mean(pais) == pytest.approx(1, abs=0.12)  # four standard errors


# --- Stability ------------------------------------------------------------------------------


def test_lists_of_two_cut_offs_are_compared_as_far_as_the_later_goes() -> None:
    rows = [
        ("Burglary", "month", h, "time", "crimes", 1.0, 9.0, *[None] * 4, 84, 9) for h in (1, 3)
    ]
    judged = Judged(list(rows), {("Burglary", 1): np.array([4, 2, 9]), ("Drugs", 1): np.array([1])})
    before = {("Burglary", 1): np.array([2, 4, 7, 9]), ("Burglary", 3): np.array([1, 2])}
    compare_lists(judged, before)
    added = [dict(zip(COLUMNS, row, strict=True)) for row in judged.rows[2:]]
    # 9 was fourth before, beyond the length of the list now: 2 and 4 are in both, 7 and 9 in one
    assert {row["metric"]: row["value"] for row in added} == {
        "jaccard": 2 / 4,
        "spearman": pytest.approx(spearman([4, 2, 9], [2, 4, 7])),
        "rank_biased_overlap": pytest.approx(rank_biased_overlap([4, 2, 9], [2, 4, 7])),
    }
    for row in added:
        assert (row["crime_type"], row["horizon_steps"]) == ("Burglary", 1)
        assert (row["units"], row["crimes"], row["coverage"]) == (84, 9, None)


def test_lists_of_the_judge_are_the_hottest_units() -> None:
    counts = world()
    judged = judge_one(RollingMean(), counts, counts.steps[-13])
    mean = counts.until(counts.steps[-13]).recent("Drugs", 12)
    ids = counts.units.ids[np.argsort(-mean, kind="stable")[:10]]  # at least ten of 84
    assert np.array_equal(judged.lists["Drugs", 3], ids)
    same = Judged(list(judged.rows), judged.lists)
    compare_lists(same, judged.lists)
    added = rows_of(same)[len(judged.rows) :]
    assert len(added) == 3 * len(TYPES) * len(HORIZONS)
    assert [row["value"] for row in added] == pytest.approx([1.0] * len(added))
    nothing = Judged(list(judged.rows), judged.lists)
    compare_lists(nothing, {})
    assert nothing.rows == judged.rows
    assert jaccard(ids, ids) == 1


# --- Rows of forecasts ----------------------------------------------------------------------


def test_the_hottest_one_percent_are_stored_at_least_a_hundred_and_of_squares_all() -> None:
    assert stored(UNITS["hex"]) == 84  # all, where there are fewer than a hundred
    assert stored(hex_units(block(20, 30))) == 100
    assert stored(hex_units(block(90, 60))) == 108  # of 10,800
    assert stored(hex_units(block(91, 60))) == 110  # 109.2 of 10,920, rounded up
    assert stored(UNITS["areas of unequal size"]) == 77
    assert stored(areas(20_000)) == 200
    assert stored(dataclasses.replace(areas(20_000), kind="segment")) == 200
    assert stored(dataclasses.replace(areas(20_000), kind="square")) == 20_000


@pytest.mark.parametrize(
    "units", [hex_units(block(10, 10)), UNITS["areas of unequal size"]], ids=["hex", "lsoa"]
)
def test_a_forecast_has_a_row_for_each_unit_it_keeps(units: Units) -> None:
    history = counts_of(units, crimes_of(len(units), 24))
    ask = Ask(horizons=(1, 3))
    rows = forecast(RollingMean(months=12), history, TYPES, ask)
    kept = min(len(units), 100)
    assert set(rows) == set(FORECAST_COLUMNS)
    assert {len(column) for column in rows.values()} == {2 * 2 * kept}
    assert (rows["step"] == "month").all()
    for crime_type in TYPES:
        mean = history.recent(crime_type, 12) / 12
        hot = np.argsort(-mean / units.relative_size, kind="stable")[:kept]
        for horizon in (1, 3):
            here = (rows["crime_type"] == crime_type) & (rows["horizon_steps"] == horizon)
            assert rows["rank"][here].tolist() == list(range(1, kept + 1))
            assert rows["unit_id"][here].tolist() == units.ids[hot].astype(str).tolist()
            assert rows["score"][here] == pytest.approx((mean / units.relative_size)[hot])
            assert rows["expected_crimes"][here] == pytest.approx(horizon * mean[hot])
            product = horizon * rows["score"][here] * units.relative_size[hot]
            assert rows["expected_crimes"][here] == pytest.approx(product)


def test_what_only_ranks_expects_no_number_of_crimes() -> None:
    rows = forecast(Chance(), world(steps=24), TYPES, Ask())
    assert np.isnan(rows["expected_crimes"]).all()
    assert np.isfinite(rows["score"]).all()


def test_a_forecast_refuses_a_history_that_is_too_short() -> None:
    with pytest.raises(NoForecast, match="needs 12 months of history; there are 11"):
        forecast(RollingMean(), world(steps=11), TYPES, Ask())
