"""Which forecaster is best, by how much, and whether that could be chance.

**Why cut-offs are what is resampled.** A forecaster's figure for one cut-off is one draw: the
crimes that then came fell where they fell, and its hit rate already carries that chance. The
spread of the figures over the cut-offs therefore holds both the chance of crimes within a month
and the change from month to month. To resample cells within the months as well would count the
first of them twice. The intervals of the single evaluations answer another question: how sure is
the figure of one month.

**Why in blocks.** The 12 months after one cut-off and after the next have 11 months in common, and
what favours a forecaster in one month tends to favour it in the next. Neighbouring cut-offs are
resampled together, in the circular blocks of Politis and Romano 1992 (in LePage and Billard,
Exploring the Limits of Bootstrap, 263-270). All forecasters get the same blocks, so that a
difference between two of them is a paired one.

**Few blocks know little.** The spread of block means is too small by (n - l) / n for n cut-offs in
blocks of l, and is itself uncertain. Deviations are stretched by sqrt(n / (n - l)) and by the
quantile of Student's t with n / l - 1 degrees of freedom over that of the normal distribution.
Without it, 95 % intervals of 24 independent cut-offs cover 90 %, and those of 36 cut-offs with 12
months each cover 65 %; with it, 96 % and 93 % (simulated; see the tests).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.forecasting.counts import MONTH
from crime_assets.forecasting.forecasters import NAIVE_RULE
from crime_assets.forecasting.metrics import LESS_IS_BETTER
from crime_assets.register import ALL_CRIME

if TYPE_CHECKING:
    import pandas as pd

LEADERBOARD_METRICS = (
    "hit_rate",
    "pai",
    "pei_star",
    "recapture_rate_index",
    "f1",
    "auroc",
    "aucpr",
    "hit_rate_area",
    "brier",
    "poisson_deviance",
    "jaccard",
    "spearman",
    "rank_biased_overlap",
)
"""The metrics of a forecast. Gini and counts are none of them: they describe the outcome."""

HEADLINE = ("hit_rate", 0.05)
"""What pages, cards and sentences are of where nothing else is said."""

UNRANKED = ("recapture_rate_index", "jaccard", "spearman", "rank_biased_overlap")
"""Those of which more is not better, so that no model is ranked by them. A list that never changes
is perfectly stable; and by recapture rate chance has 1, while a rule that learnt from the very
months before the cut-off must fall below it."""

SHARES = frozenset(
    {
        "hit_rate", "pei_star", "f1", "auroc", "aucpr", "hit_rate_area", "brier", "jaccard",
        "rank_biased_overlap",
    }
)  # fmt: skip
"""The metrics from 0 to 1. The others have no upper limit, and all but Spearman's none below 0."""

LEAST_CUT_OFFS = 6
LEAST_BLOCKS = 3
"""Below either nothing is said of chance: two outcomes of 12 months each have no spread to speak
of, however many cut-offs share their months."""

LEVEL = 0.05
BETTER, WORSE, EQUAL, TOO_FEW = "better", "worse", "no difference", "too few cut-offs"

GROUP = ("unit", "scope", "crime_type", "step", "horizon_steps", "metric", "coverage")
"""What one ranking is for."""

COLUMNS = (
    *GROUP, "rank", "model", "role", "cut_offs", "first_cut_off", "last_cut_off", "value", "low",
    "high", "tie_best", "tie_worst", "against", "difference", "difference_low", "difference_high",
    "p_value", "verdict", "naive_difference", "naive_low", "naive_high", "naive_verdict",
)  # fmt: skip

_DAYS_A_MONTH = 30
_CHUNK = 4_000_000
"""Numbers that are held at once: 32 MB a matrix."""


# --- The table ------------------------------------------------------------------------------


def rank_models(
    evaluations: pd.DataFrame,
    roles: Mapping[str, str],
    *,
    naive: str = NAIVE_RULE,
    resamplings: int = 1000,
    seed: int = 1,
) -> pd.DataFrame:
    """The leaderboard: one row for each model in each ranking; see the table ``leaderboard``.

    ``evaluations`` has the columns of the table of that name and ``month`` (the cut-off),
    ``model`` and ``unit``; rows without a value and of other metrics than
    :data:`LEADERBOARD_METRICS` play no part. ``roles`` says of every model in it whether it is a
    floor, a baseline, a model or a ceiling.

    A ranking is judged on the cut-offs that all its models have; where they have none in common
    there is no ranking (recapture rates of a rare crime, say). A model with less than half the
    cut-offs of the fullest one would shrink them for all, so it is left out of that: its row is its
    mean on its own cut-offs, has no rank (another month is another task), and is compared with the
    best baseline over the cut-offs that both have.

    ``against`` is the best other baseline by its mean on the common cut-offs; where there is none,
    it and what follows from it are null. Being chosen with hindsight, it is a little harder to beat
    than a baseline named beforehand. Intervals are quantiles of ``resamplings`` means of resampled
    blocks, stretched as the module says. A block is as many cut-offs as have outcomes that share a
    step, at least the cube root of n. The p value is that of Student's t for the difference over
    its resampled standard error, adjusted by Holm 1979 (Scandinavian Journal of Statistics 6:65)
    over all models of the ranking: it may leave open what the interval of one difference alone
    would not. Below :data:`LEAST_CUT_OFFS` cut-offs or :data:`LEAST_BLOCKS` blocks there is no
    interval, and the verdict is ``too few cut-offs``. Each model is compared with the model
    ``naive`` too, in the same way: that one was named beforehand.

    The same rows in any order give the same table, ordered by the ranking (null coverage first),
    by rank (unranked last), by model. Raises :class:`DataError` for a model without a role and for
    two values of one model in one ranking at one cut-off.
    """
    import pandas as pd

    field_ = _Field.of(evaluations, roles)
    parts = [
        _judge(field_, groups, naive=naive, resamplings=resamplings, seed=seed)
        for groups in field_.chunks()
    ]
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    # what differs between two codes stands in the columns only now: strings are heavy
    for name, names in (("model", field_.models), ("against", field_.models)):
        columns[name] = _named(columns[name], names)
    columns["role"] = np.asarray(field_.roles, dtype=object)[columns["role"]]
    for name in ("first_cut_off", "last_cut_off"):
        columns[name] = _named(columns[name], field_.cut_offs)
    verdicts = np.array([BETTER, WORSE, EQUAL, TOO_FEW], dtype=object)
    for name in ("verdict", "naive_verdict"):
        columns[name] = _named(columns[name], verdicts)
    ranking = columns.pop("group")
    for name, levels in field_.levels.items():
        columns[name] = levels[field_.group_codes[name][ranking]]
    rank = pd.array(columns["rank"], dtype="Int32")
    rank[columns["rank"] == 0] = pd.NA
    columns["rank"] = rank
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def skill_over_time(
    evaluations: pd.DataFrame, roles: Mapping[str, str], metric: str, coverage: float | None
) -> pd.DataFrame:
    """How far each model was from the best other baseline at each cut-off, by one metric.

    Returns unit, scope, crime_type, step, horizon_steps, month (the cut-off), model, role, value,
    against and difference (value - that of ``against``, with the sign of the metric). ``against``
    is the same for all cut-offs of a ranking: the one that :func:`rank_models` compares with.
    Cut-offs that a model does not share with it are left out.
    """
    import pandas as pd

    at = evaluations["coverage"]
    there = at.isna() if coverage is None else np.isclose(at.astype(float), coverage)
    field_ = _Field.of(evaluations[(evaluations["metric"] == metric) & there], roles)
    parts = []
    for groups in field_.chunks():
        cube = field_.cube(groups, "value")
        paired = _paired(cube, field_, groups)
        group, model, cut_off = np.nonzero(paired.shared)
        parts.append(
            {
                "group": group + groups.start,
                "month": cut_off,
                "model": model,
                "value": cube[paired.shared],
                "against": paired.against[group, model],
                "difference": paired.difference[paired.shared],
            }
        )
    if not parts:
        names = (*GROUP[:5], "month", "model", "role", "value", "against", "difference")
        return pd.DataFrame({name: [] for name in names})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    group = columns["group"]
    return pd.DataFrame(
        {name: field_.levels[name][field_.group_codes[name][group]] for name in GROUP[:5]}
        | {
            "month": _named(columns["month"], field_.cut_offs),
            "model": _named(columns["model"], field_.models),
            "role": np.asarray(field_.roles, dtype=object)[columns["model"]],
            "value": columns["value"],
            "against": _named(columns["against"], field_.models),
            "difference": columns["difference"],
        }
    )


def _named(codes: NDArray, names: NDArray) -> NDArray:
    """Names (m,) of codes (n,), ``None`` where a code is -1."""
    known = np.empty(len(names) + 1, dtype=object)  # the last one, at -1, is None
    known[:-1] = names
    return known[codes]


# --- Evaluations as numbers -----------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    """Evaluations as codes, sorted by ranking, model and cut-off.

    ``levels`` are the values of each column of :data:`GROUP`, ascending, null first;
    ``group_codes`` say which of them a ranking has (rankings,), ``group``, ``model`` and
    ``cut_off`` (rows,) which ranking, model and cut-off a row is of.
    """

    levels: Mapping[str, NDArray]
    group_codes: Mapping[str, NDArray]
    models: NDArray
    roles: list[str]
    cut_offs: NDArray
    group: NDArray
    model: NDArray
    cut_off: NDArray
    values: Mapping[str, NDArray[np.float64]]
    _blocks: dict[tuple[bytes, str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, evaluations: pd.DataFrame, roles: Mapping[str, str]) -> _Field:
        metric, metrics = _codes(evaluations["metric"])
        ranked = np.isin(metrics.astype(str), LEADERBOARD_METRICS)[metric]
        value = evaluations["value"].to_numpy(dtype=float, na_value=np.nan)
        kept = np.flatnonzero(ranked & np.isfinite(value))
        rows = evaluations if len(kept) == len(evaluations) else evaluations.iloc[kept]

        coded = {name: _codes(rows[name]) for name in GROUP}
        key = np.zeros(len(rows), dtype=np.int64)
        for codes, levels in coded.values():
            key *= max(1, len(levels))
            key += codes
        model, models = _codes(rows["model"])
        cut_off, cut_offs = _codes(rows["month"])
        unknown = [str(name) for name in models if name not in roles]
        if unknown:
            raise DataError(
                f"evaluations of {', '.join(unknown)}, whose role is not known: give each model a "
                "role in `roles`"
            )
        every, group = np.unique(key, return_inverse=True)
        place = (group * len(models) + model) * len(cut_offs) + cut_off
        order = np.argsort(place, kind="stable")
        place = place[order]
        twice = np.flatnonzero(place[1:] == place[:-1])
        if len(twice):
            row = rows.iloc[order[twice[0]]]
            raise DataError(
                f"{len(twice):,} evaluations are there twice, such as "
                + ", ".join(f"{name} {row[name]}" for name in (*GROUP, "model", "month"))
            )
        group_codes = {}
        for name, (_, levels) in reversed(coded.items()):
            group_codes[name] = every % max(1, len(levels))
            every = every // max(1, len(levels))
        return cls(
            levels={name: levels for name, (_, levels) in coded.items()},
            group_codes=group_codes,
            models=models,
            roles=[roles[name] for name in models],
            cut_offs=cut_offs,
            group=group[order],
            model=model[order],
            cut_off=cut_off[order],
            values={
                name: rows[name].to_numpy(dtype=float, na_value=np.nan)[order]
                for name in ("value", "tie_best", "tie_worst")
            },
        )

    @property
    def rankings(self) -> int:
        return len(self.group_codes[GROUP[0]])

    def chunks(self) -> Iterator[range]:
        """Runs of rankings that are worked on at once."""
        size = max(1, _CHUNK // max(1, len(self.models) * len(self.cut_offs)))
        for start in range(0, self.rankings, size):
            yield range(start, min(start + size, self.rankings))

    def cube(self, groups: range, column: str) -> NDArray[np.float64]:
        """A column as (rankings, models, cut-offs), ``nan`` where there is no value."""
        first, end = np.searchsorted(self.group, [groups.start, groups.stop])
        cube = np.full((len(groups), len(self.models), len(self.cut_offs)), np.nan)
        part = slice(first, end)
        place = (self.group[part] - groups.start, self.model[part], self.cut_off[part])
        cube[place] = self.values[column][part]
        return cube

    def direction(self, groups: range) -> NDArray[np.float64]:
        """1 where more is better, -1 where less is: (rankings,)."""
        metric = self.levels["metric"][self.group_codes["metric"][groups.start : groups.stop]]
        return np.where(np.isin(metric.astype(str), list(LESS_IS_BETTER)), -1.0, 1.0)

    def block(self, used: NDArray[np.bool_], ranking: int) -> int:
        """The cut-offs of a block, where the cut-offs ``used`` of a ranking are resampled."""
        step = str(self.levels["step"][self.group_codes["step"][ranking]])
        horizon = int(self.levels["horizon_steps"][self.group_codes["horizon_steps"][ranking]])
        key = (used.tobytes(), step, horizon)
        if key not in self._blocks:
            at = [_position(str(cut_off), step) for cut_off in self.cut_offs[used]]
            self._blocks[key] = block_length(at, horizon)
        return self._blocks[key]


def _codes(column: pd.Series) -> tuple[NDArray[np.intp], NDArray]:
    """Codes (n,) and the values they stand for, ascending, ``None`` or ``nan`` first."""
    import pandas as pd

    codes, found = pd.factorize(column)
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = np.asarray(found)
    else:
        values = np.array([str(name) for name in found], dtype=object)
    order = np.argsort(values, kind="stable")
    place = np.empty(len(order) + 1, dtype=np.intp)
    place[order] = np.arange(len(order))
    values = values[order]
    if (codes < 0).any():
        place[:-1] += 1
        place[-1] = 0
        missing = np.nan if values.dtype.kind in "fiu" else None
        values = np.concatenate([np.array([missing], dtype=values.dtype), values])
    return place[codes], values


def _position(cut_off: str, step: str) -> int:
    """Where a cut-off such as ``2025-09`` or ``2025-09-30`` lies, in steps."""
    from datetime import date

    parts = [int(part) for part in cut_off.split("-")]
    months = 12 * parts[0] + parts[1] - 1
    if step == MONTH:
        return months
    return date(*parts).toordinal() if len(parts) == 3 else _DAYS_A_MONTH * months


def block_length(positions: list[int], horizon: int) -> int:
    """How many cut-offs a block is: at least the cube root of n (Hall, Horowitz and Jing 1995).

    ``positions`` are the steps at which the cut-offs lie, ascending. A block is no shorter than the
    longest run of cut-offs whose outcomes of ``horizon`` steps all share a step.
    """
    n = len(positions)
    at = np.asarray(positions)
    run = (np.searchsorted(at, at + horizon, side="left") - np.arange(n)).max(initial=1)
    return int(min(max(run, math.ceil(n ** (1 / 3) - 1e-9)), max(n, 1)))


# --- One chunk of rankings ------------------------------------------------------------------


@dataclass(frozen=True)
class _Paired:
    """What is compared with what: ``used``, ``shared`` and ``difference`` are (g, m, t)."""

    full: NDArray[np.bool_]
    used: NDArray[np.bool_]
    mean: NDArray[np.float64]
    against: NDArray[np.intp]
    shared: NDArray[np.bool_]
    difference: NDArray[np.float64]


def _paired(cube: NDArray[np.float64], field_: _Field, groups: range) -> _Paired:
    """Common cut-offs, means, and differences to the best baseline, of values (g, m, t).

    A model without half of the cut-offs is not compared, and shrinks nobody else's. A Poisson
    deviance is missing where it is infinite (crimes where none at all were expected): there it
    takes every cut-off, or months too hard for one model would be left out for all.
    """
    there = ~np.isnan(cube)
    count = there.sum(axis=2)
    metrics = field_.levels["metric"][field_.group_codes["metric"][groups.start : groups.stop]]
    share = np.where(metrics.astype(str) == "poisson_deviance", 1, 2)[:, None]
    full = (count > 0) & (share * count >= count.max(axis=1, keepdims=True))
    common = (there | ~full[:, :, None]).all(axis=1)
    used = np.where(full[:, :, None], common[:, None, :], there)
    mean = _mean(cube, used)

    baseline = full & (np.array(field_.roles) == "baseline")
    goodness = np.where(
        baseline & ~np.isnan(mean), mean * field_.direction(groups)[:, None], -np.inf
    )
    rows = np.arange(len(cube))
    best = goodness.argmax(axis=1)
    first = np.where(np.isfinite(goodness[rows, best]), best, -1)
    goodness[rows, best] = -np.inf
    next_best = goodness.argmax(axis=1)
    second = np.where(np.isfinite(goodness[rows, next_best]), next_best, -1)
    against = np.where(np.arange(cube.shape[1]) == first[:, None], second[:, None], first[:, None])
    against[~(count > 0)] = -1
    other = np.take_along_axis(cube, np.maximum(against, 0)[:, :, None], axis=1)
    difference = cube - other
    shared = used & ~np.isnan(difference) & (against >= 0)[:, :, None]
    return _Paired(full, used, mean, against, shared, difference)


def _mean(cube: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Means over the cut-offs used, ``nan`` where there is none or one has no value."""
    n = used.sum(axis=2)
    total = np.where(used, cube, 0.0).sum(axis=2)
    return np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)


def _judge(
    field_: _Field, groups: range, *, naive: str, resamplings: int, seed: int
) -> dict[str, NDArray]:
    """The columns of the leaderboard for a run of rankings, names as codes."""
    cube = field_.cube(groups, "value")
    paired = _paired(cube, field_, groups)
    there = ~np.isnan(cube).all(axis=2)
    group, model = np.nonzero(there)

    used = paired.used[there]
    value = paired.mean[there]
    spread = _resample(cube[there], used, field_, group + groups.start, resamplings, seed)
    metric = field_.levels["metric"][field_.group_codes["metric"]][group + groups.start]
    lowest = np.where(metric == "spearman", -1.0, 0.0)
    highest = np.where(np.isin(metric.astype(str), [*SHARES, "spearman"]), 1.0, np.inf)

    def compared(
        difference: NDArray[np.float64], shared: NDArray[np.bool_]
    ) -> tuple[_Resampled, NDArray[np.float64], NDArray[np.intp]]:
        """Differences (g, m, t) over the cut-offs ``shared``, p values, verdicts as codes."""
        apart = _resample(
            difference[there], shared[there], field_, group + groups.start, resamplings, seed
        )
        p_value = np.full(cube.shape[:2], np.nan)
        p_value[there] = apart.p_value
        p_value = holm(p_value)[there]
        good = apart.mean * field_.direction(groups)[group]
        verdict = np.where(p_value < LEVEL, np.where(good > 0, 0, 1), 2)
        verdict[np.isnan(p_value)] = 3
        verdict[~shared[there].any(axis=1)] = -1
        return apart, p_value, verdict

    described = np.isin(metric.astype(str), UNRANKED)
    apart, p_value, verdict = compared(paired.difference, paired.shared)
    rule = np.flatnonzero(field_.models == naive)
    over_naive = cube - cube[:, rule] if len(rule) else np.full_like(cube, np.nan)
    over_naive[:, rule] = np.nan
    naively, _, naive_verdict = compared(over_naive, paired.used & ~np.isnan(over_naive))
    verdict[described] = naive_verdict[described] = -1

    columns = {
        "group": group + groups.start,
        "rank": np.where(described, 0, _ranks(paired, field_, groups)[there]),
        "model": model,
        "role": model,
        "cut_offs": used.sum(axis=1).astype(np.int32),
        "first_cut_off": np.where(used.any(axis=1), used.argmax(axis=1), -1),
        "last_cut_off": np.where(
            used.any(axis=1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=1), -1
        ),
        "value": value,
        "low": np.maximum(spread.low, lowest),
        "high": np.minimum(spread.high, highest),
        "against": paired.against[there],
        "difference": apart.mean,
        "difference_low": apart.low,
        "difference_high": apart.high,
        "p_value": p_value,
        "verdict": verdict,
        "naive_difference": naively.mean,
        "naive_low": naively.low,
        "naive_high": naively.high,
        "naive_verdict": naive_verdict,
    }
    for name in ("tie_best", "tie_worst"):
        columns[name] = _mean(field_.cube(groups, name), paired.used)[there]
    rank = columns["rank"]
    order = np.lexsort((model, rank, rank == 0, group))
    order = order[columns["cut_offs"][order] > 0]
    return {name: column[order] for name, column in columns.items()}


def _ranks(paired: _Paired, field_: _Field, groups: range) -> NDArray[np.int32]:
    """Places (g, m) by the mean, equal means share one; 0 is unranked."""
    contends = np.isin(np.array(field_.roles), ["baseline", "model"])
    ranked = paired.full & contends & ~np.isnan(paired.mean)
    goodness = np.where(ranked, paired.mean * field_.direction(groups)[:, None], -np.inf)
    better = (goodness[:, None, :] > goodness[:, :, None]).sum(axis=2)
    return np.where(ranked, better + 1, 0).astype(np.int32)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P values (g, m) adjusted within each row by Holm 1979; ``nan`` are no tests."""
    tests = (~np.isnan(p_values)).sum(axis=1, keepdims=True)
    order = np.argsort(p_values, axis=1, kind="stable")  # nan last
    sorted_ = np.take_along_axis(p_values, order, axis=1)
    left = np.maximum(tests - np.arange(p_values.shape[1]), 1)
    adjusted = np.minimum(np.maximum.accumulate(sorted_ * left, axis=1), 1.0)
    found = np.empty_like(p_values)
    np.put_along_axis(found, order, adjusted, axis=1)
    return found


# --- Resampling -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Resampled:
    """Means (rows,), their intervals, and the p values of a mean of nought, before Holm."""

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: NDArray[np.float64]


def _resample(
    series: NDArray[np.float64],
    used: NDArray[np.bool_],
    field_: _Field,
    ranking: NDArray[np.intp],
    resamplings: int,
    seed: int,
) -> _Resampled:
    """Means of the cut-offs ``used`` (rows, t) of ``series`` (rows, t), by ``ranking`` (rows,)."""
    rows = len(series)
    mean = _mean(series[:, None, :], used[:, None, :])[:, 0]
    found = {name: np.full(rows, np.nan) for name in ("low", "high", "p_value")}
    n = used.sum(axis=1)
    block = np.ones(rows, dtype=int)
    kinds = np.column_stack(
        [
            np.packbits(used, axis=1),
            field_.group_codes["step"][ranking].astype(np.uint8),
            field_.group_codes["horizon_steps"][ranking].astype(np.uint8),
        ]
    )
    packed = np.ascontiguousarray(kinds).view(f"V{kinds.shape[1]}")[:, 0]
    _, first, kind = np.unique(packed, return_index=True, return_inverse=True)
    block = np.array([field_.block(used[row], int(ranking[row])) for row in first])[kind]
    enough = (n >= LEAST_CUT_OFFS) & (n >= LEAST_BLOCKS * block)
    for size, length in sorted(set(zip(n[enough].tolist(), block[enough].tolist(), strict=True))):
        alike = np.flatnonzero(enough & (n == size) & (block == length))
        at_once = max(1, _CHUNK // resamplings)
        for start in range(0, len(alike), at_once):
            part = alike[start : start + at_once]
            x = series[part][used[part]].reshape(len(part), size)
            low, high, p_value = _interval(x, length, resamplings, seed)
            found["low"][part], found["high"][part], found["p_value"][part] = low, high, p_value
    return _Resampled(mean, **found)


def _interval(
    x: NDArray[np.float64], block: int, resamplings: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """95 % intervals of the means of ``x`` (rows, n), and p values of a mean of nought."""
    from scipy.stats import norm, t

    n = x.shape[1]
    mean = x.mean(axis=1)
    deviation = (x - mean[:, None]) @ block_weights(n, block, resamplings, seed).T
    freedom = n / block - 1
    spread = math.sqrt(n / (n - block))
    stretch = spread * float(t.ppf(0.975, freedom) / norm.ppf(0.975))
    error = spread * deviation.std(axis=1)
    # an error of nought: all cut-offs agree on a difference, or on none
    ratio = np.divide(np.abs(mean), error, out=np.where(mean == 0, 0.0, np.inf), where=error > 0)
    low, high = _quantiles(deviation, (0.025, 0.975))
    return mean + stretch * low, mean + stretch * high, 2 * t.sf(ratio, freedom)


def _quantiles(x: NDArray[np.float64], shares: tuple[float, float]) -> list[NDArray[np.float64]]:
    """Quantiles of each row, interpolated; ``x`` is reordered. NumPy's own copies and is slower."""
    places = [share * (x.shape[1] - 1) for share in shares]
    ends = [(math.floor(place), math.ceil(place)) for place in places]
    x.partition(sorted({end for pair in ends for end in pair}), axis=1)
    return [
        x[:, below] + (place - below) * (x[:, above] - x[:, below])
        for place, (below, above) in zip(places, ends, strict=True)
    ]


@lru_cache(maxsize=64)
def block_weights(n: int, block: int, resamplings: int, seed: int) -> NDArray[np.float64]:
    """What each of n cut-offs weighs in each resampled mean: (resamplings, n), rows sum to 1.

    A row is as many blocks of ``block`` consecutive cut-offs as fill n, the last one cut; after
    the last cut-off comes the first.
    """
    chance = np.random.default_rng([seed, n, block])
    starts = chance.integers(0, n, (resamplings, math.ceil(n / block)))
    drawn = (starts[:, :, None] + np.arange(block)) % n
    drawn = drawn.reshape(resamplings, -1)[:, :n]
    place = drawn + n * np.arange(resamplings)[:, None]
    counts = np.bincount(place.ravel(), minlength=resamplings * n).reshape(resamplings, n)
    weights = counts / n
    weights.flags.writeable = False
    return weights


# --- In words -------------------------------------------------------------------------------


def verdict_sentence(
    leaderboard_group: pd.DataFrame, titles: Mapping[str, str] | None = None
) -> str:
    """What won one ranking and by how much, in a sentence that claims no more than the verdict.

    ``leaderboard_group`` are the rows of one ranking of :func:`rank_models`; ``titles`` are names
    to be used for the models' own. Raises ``ValueError`` for rows of more than one ranking.
    """
    rows = leaderboard_group
    kinds = rows[list(GROUP)].drop_duplicates()
    if len(kinds) > 1:
        raise ValueError(f"rows of {len(kinds)} rankings, not of one")
    ranked = rows[rows["rank"].notna()].sort_values(["rank", "model"])
    if not len(ranked):
        return "No forecaster could be ranked."

    def called(name: str) -> str:
        return (titles or {}).get(name) or label(name)

    first = ranked.iloc[0]
    level = [called(name) for name in ranked.loc[ranked["rank"] == 1, "model"]]
    names = level[0] if len(level) == 1 else f"{', '.join(level[:-1])} and {level[-1]}"
    opening = f"{names} {_achieved(first, len(level) > 1)}"
    opening = opening[0].upper() + opening[1:]
    if len(level) > 1:
        return f"{opening}; there is no telling them apart."
    few = "1 cut-off is" if first["cut_offs"] == 1 else f"{first['cut_offs']} cut-offs are"
    if not isinstance(first["against"], str):
        return f"{opening}; there is no other baseline to compare it with."
    compared = f"{opening}, {_margin(first)} than {called(first['against'])}"
    over_naive = first.get("naive_difference", math.nan)
    if math.isfinite(over_naive) and first["against"] != NAIVE_RULE:
        margin = difference(first["metric"], over_naive)
        real = {BETTER: ", which is real", WORSE: ", which is real"}.get(first["naive_verdict"], "")
        compared += f" ({margin} against {called(NAIVE_RULE)}{real})"
    if first["verdict"] == TOO_FEW:
        return f"{compared}; {few} too few to say whether the difference is real."
    if first["verdict"] == EQUAL:
        return f"{compared}; the difference may be chance."
    return f"{compared}; the difference is real."


def headlines(leaderboard: pd.DataFrame, metric: str, coverage: float | None) -> list[str]:
    """A sentence for each unit, scope and horizon: what won for all crime, and by how much.

    Without all crime, for each crime type that there is.
    """
    rows = of_all_crime(leaderboard, metric, coverage)
    if not len(rows):
        rows = at_coverage(leaderboard, metric, coverage)
    groups = rows.groupby(
        ["unit", "scope", "crime_type", "step", "horizon_steps"], sort=True, observed=True
    )
    return [
        f"{scope}, {crime_type}, {horizon} {step}{'s' * (horizon > 1)}: {verdict_sentence(group)}"
        for (_, scope, crime_type, step, horizon), group in groups
    ]


def of_all_crime(leaderboard: pd.DataFrame, metric: str, coverage: float | None) -> pd.DataFrame:
    """The rows of all crime by one metric at one coverage."""
    rows = at_coverage(leaderboard, metric, coverage)
    return rows[rows["crime_type"] == ALL_CRIME]


def at_coverage(leaderboard: pd.DataFrame, metric: str, coverage: float | None) -> pd.DataFrame:
    """The rows by one metric at one coverage; ``None`` for metrics that have none."""
    at = leaderboard["coverage"].isna()
    if coverage is not None:
        at = (leaderboard["coverage"] - coverage).abs() < 1e-9
    return leaderboard[at & (leaderboard["metric"] == metric)]


def label(model: str) -> str:
    """A model's name as words: ``rolling_mean_12`` is ``rolling mean 12``."""
    return model.replace("_", " ").replace("-", " ")


METRIC_TITLES = {
    "hit_rate": "hit rate",
    "pai": "PAI",
    "pei_star": "PEI*",
    "recapture_rate_index": "recapture rate index",
    "f1": "F1",
    "auroc": "AUROC",
    "aucpr": "AUCPR",
    "hit_rate_area": "area under the hit rate curve",
    "brier": "Brier score",
    "poisson_deviance": "Poisson deviance",
    "jaccard": "Jaccard index",
    "spearman": "Spearman correlation",
    "rank_biased_overlap": "rank-biased overlap",
}

_PERCENT = frozenset({"hit_rate", "pei_star"})


def figure(metric: str, value: float) -> str:
    """A value of a metric as people write it: ``31.2 %`` or ``6.24``; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f} %" if metric in _PERCENT else _significant(value)


def difference(metric: str, value: float, *, signed: bool = True) -> str:
    """A difference of two values of a metric: ``+0.4 points`` or ``−0.012``; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if metric in _PERCENT:
        text = f"{100 * abs(value):.1f}"
        if value and text == "0.0":
            text = f"{100 * abs(value):.2f}"
        text = f"{text} points"
    else:
        text = _significant(abs(value))
    if not signed or not text.strip("0. points"):
        return text
    return f"{'−' if value < 0 else '+'}{text}"


def share(coverage: float) -> str:
    """A coverage as people write it: ``0.5 %``."""
    return f"{100 * coverage:.4g} %"


def area_word(unit: str) -> str:
    """What a coverage is a share of: street length, the number of segments, else the area."""
    return {"segment": "street length", "equal-segment": "street segments"}.get(unit, "area")


def _significant(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _range(text: str, low: str, high: str) -> str:
    """A value with its interval; the unit stands once."""
    low, high = low.partition(" ")[0], high.partition(" ")[0]
    if low == "–":
        return text
    return f"{text} ({low} to {high})"


def _achieved(row: pd.Series, many: bool) -> str:
    """``captured 31.2 % (29.8 to 32.5) of the crimes in 5 % of the area``."""
    metric = str(row["metric"])
    text = _range(
        figure(metric, row["value"]), figure(metric, row["low"]), figure(metric, row["high"])
    )
    at = ""
    if row["coverage"] == row["coverage"]:  # not null
        at = f" {share(float(row['coverage']))} of the {area_word(str(row['unit']))}"
    if metric == "hit_rate":
        return f"captured {text} of the crimes in{at}{' each' if many else ''}"
    best = "lowest" if metric in LESS_IS_BETTER else "highest"
    where = f" in{at}" if at else ""
    return f"{'have' if many else 'had'} the {best} {METRIC_TITLES[metric]}{where}, {text}"


def _margin(row: pd.Series) -> str:
    """``0.4 points (0.1 to 0.7) more``; ends of the interval keep their signs."""
    metric = str(row["metric"])
    sign = -1.0 if row["difference"] < 0 else 1.0
    ends = sorted((sign * row["difference_low"], sign * row["difference_high"]))
    text = _range(
        difference(metric, abs(row["difference"]), signed=False),
        *(
            ("−" if end < 0 else "") + difference(metric, abs(end), signed=False)
            if end == end
            else "–"
            for end in ends
        ),
    )
    return f"{text} {'less' if row['difference'] < 0 else 'more'}"
