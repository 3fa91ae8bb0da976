"""Crimes that lead to crimes: a self-exciting point process on units and steps.

Each unit has a background rate of its own. Each crime raises the rate for a while, in its own unit
and in those around it, as an earthquake is followed by others near it. The expected crimes of unit
s in step t are

    rate(s, t) = mu(s) + sum over rings r and lags l of kappa(r, l) * crimes of ring r at t - l

where ring 0 is the unit itself, ring 1 its neighbours, ring 2 their neighbours not yet counted.
The kernel kappa is a histogram: no shape is assumed, neighbouring lags may share a value. Counts
are Poisson given the past.

Fitting is expectation and maximisation, where a rate that is a sum makes each crime belong to one
of its parts. The expectation step shares each crime among background and earlier crimes, in
proportion to their parts of the rate. The maximisation step divides what each part was given by
what it was exposed to. Only bins (a unit in a step) with crimes have anything to share.

A place with many crimes in the past has many later on, whether it is a bad place or crimes lead to
crimes. Three things tell the two apart. The background is one number a unit, constant in time, so
that what follows crimes closely is left to the kernel. A crime is never its own evidence: the
background that a bin is explained by is made without the crimes of that bin, or the background
would fit each unit perfectly and leave too little to the kernel. And the background is a mixture
of the unit's own mean, means over ever wider neighbourhoods, and the mean of all, whose shares
are fitted in the same way; that is deleted interpolation, and it shrinks what rests on few crimes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import DAY, MONTH, Counts, HistoryTooShort
from crime_assets.forecasting.forecaster import Role

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LAGS: dict[str, tuple[tuple[int, int], ...]] = {
    MONTH: ((1, 1), (2, 2), (3, 4), (5, 8)),
    DAY: ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32)),
}
"""First and last lag of each bar of the kernel, in steps: narrow where risk fades fast."""

ROUNDS = (0, 1, 4)
"""Rounds of diffusion of the neighbourhoods that the background is mixed from."""

DIFFUSION = 0.5
"""What a unit gives to its neighbours in one round."""

MOST_BRANCHING = 0.95
"""The most that the crimes of one generation may lead to in the next, in crimes a crime: at one
and more, expected crimes would grow without end. Kernels above it are scaled down to it."""


@dataclass(frozen=True)
class Excitation:
    """A fitted process.

    ``background`` (n,) is in crimes a step; ``kernel`` (rings, bars) is in crimes a step in one
    unit for each crime in a unit of that ring at each lag of that bar; ``lags`` (bars) are their
    first and last lags in steps. ``mixture`` holds the shares of the background's neighbourhoods,
    the whole area last. ``branching`` is the growth from one generation to the next, as found:
    where it is above :data:`MOST_BRANCHING`, ``kernel`` is scaled down. ``log_likelihoods`` has one
    value an iteration, up to a constant.
    """

    background: NDArray[np.float64]
    kernel: NDArray[np.float64]
    lags: tuple[tuple[int, int], ...]
    mixture: NDArray[np.float64]
    branching: float
    log_likelihoods: tuple[float, ...]


def rings_around(neighbours: csr_array, rings: int) -> list[csr_array]:
    """The units at each distance in steps over neighbours: ``rings`` matrices (n, n) of ones."""
    from scipy.sparse import eye_array

    n = neighbours.shape[0]
    found = [eye_array(n, dtype=np.float32, format="csr")]
    reached = found[0]
    for _ in range(1, rings):
        farther = (found[-1] @ neighbours).tocsr()
        farther.data[:] = 1.0
        farther = (farther - farther.multiply(reached)).tocsr()
        farther.eliminate_zeros()
        reached = (reached + farther).tocsr()
        found.append(farther)
    return found


def diffusion(neighbours: csr_array, share: float = DIFFUSION) -> csr_array:
    """The matrix (n, n) that lets each unit give ``share`` to its neighbours, in equal parts.

    Its columns sum to one: no crime is lost. A unit without neighbours keeps all.
    """
    from scipy.sparse import diags_array

    degree = np.diff(neighbours.indptr)
    given = np.where(degree > 0, share / np.maximum(degree, 1), 0.0)
    kept = 1.0 - given * degree
    return (diags_array(kept) + neighbours @ diags_array(given)).tocsr().astype(np.float32)


def kept_after(matrix: csr_array, rounds: int) -> NDArray[np.float64]:
    """What a unit has of its own crimes after so many rounds: the diagonal (n,) of the power."""
    n = matrix.shape[0]
    if not rounds:
        return np.ones(n)
    if rounds == 1:
        return matrix.diagonal().astype(float)
    # the diagonal of a product needs the two factors only, which are narrower than it
    half = matrix
    for _ in range(rounds // 2 - 1):
        half = half @ matrix
    other = half @ matrix if rounds % 2 else half
    return np.asarray(half.multiply(other.T.tocsr()).sum(axis=1), dtype=float).ravel()


def growth(rings: Sequence[csr_array], per_ring: NDArray[np.float64], rounds: int = 30) -> float:
    """An upper bound of the spectral radius of the sum of ``rings`` times ``per_ring`` (rings,).

    It is how many times more crimes one generation has than the one before. The bound is that of
    Collatz and Wielandt, for any positive vector; on a grid without edges the first round gives
    the radius itself, the sum of a row.
    """
    x = np.ones(rings[0].shape[0])
    bound = np.inf
    for _ in range(rounds):
        after = sum(each * (ring @ x) for ring, each in zip(rings, per_ring, strict=True))
        bound = min(bound, float((after / x).max()))
        x = np.maximum(after / max(after.max(), 1e-300), 1e-12)
    return bound


class Windows:
    """Sums over lags before given bins, from a sparse matrix (n, steps) of crimes."""

    def __init__(self, crimes: csr_array) -> None:
        crimes.sort_indices()
        self.steps = crimes.shape[1]
        rows = np.repeat(np.arange(crimes.shape[0], dtype=np.int64), np.diff(crimes.indptr))
        self.keys = rows * self.steps + crimes.indices
        self.until = np.concatenate([[0.0], np.cumsum(crimes.data, dtype=float)])
        self.of_step = np.bincount(crimes.indices, crimes.data, self.steps)

    def before(self, unit: NDArray, step: NDArray, first: int, last: int) -> NDArray[np.float32]:
        """Crimes of each unit from ``last`` to ``first`` steps before: (bins,)."""
        at = unit.astype(np.int64) * self.steps + step
        start = np.searchsorted(self.keys, at - last, side="left")
        end = np.searchsorted(self.keys, at - first, side="right")
        return (self.until[end] - self.until[start]).astype(np.float32)

    def exposure(self, from_step: int, first: int, last: int) -> float:
        """The same, summed over all units and all steps from ``from_step`` on."""
        until = np.concatenate([[0.0], np.cumsum(self.of_step)])
        return float(
            sum(until[self.steps - lag] - until[from_step - lag] for lag in range(first, last + 1))
        )


def excite(
    history: Counts,
    crime_type: str,
    lags: Sequence[tuple[int, int]],
    rings: int = 3,
    rounds: Sequence[int] = ROUNDS,
    leave_out: bool = True,
    iterations: int = 300,
    tolerance: float = 1e-6,
) -> Excitation:
    """Fit the process by expectation and maximisation.

    The first steps, as many as the longest lag, are conditioned on: their crimes excite, and need
    no explanation, for what came before them is not known. ``rounds`` are those of the
    neighbourhoods that the background is mixed from, to which the mean of all is added;
    ``rounds=(0,)`` with ``leave_out=False`` is a free background for each unit, and plain maximum
    likelihood. It ends when an iteration gains less than ``tolerance`` times the crimes.

    Raises :class:`HistoryTooShort` where no two steps are left to explain.
    """
    n, steps = len(history.units), len(history.steps)
    longest = max((last for _, last in lags), default=0)
    explained = steps - longest
    if explained < 2:
        raise HistoryTooShort(
            f"lags of up to {longest} {history.step}s need {longest + 2}; there are {steps} up to "
            f"{history.cut_off}"
        )
    around = rings_around(history.units.neighbours, rings)
    crimes = history.crimes[crime_type].tocsr()
    windows = [Windows((ring @ crimes).tocsr()) for ring in around]
    bins = crimes.tocoo()
    late = (bins.col >= longest) & (bins.data > 0)
    unit, step, count = bins.row[late], bins.col[late], bins.data[late].astype(np.float64)
    parts = [(ring, *bar) for ring in windows for bar in lags]
    exciting = np.empty((len(count), len(parts)))
    for column, (ring, first, last) in enumerate(parts):
        exciting[:, column] = ring.before(unit, step, first, last)
    exposed = np.array([ring.exposure(longest, first, last) for ring, first, last in parts])
    total = count.sum()
    giving = diffusion(history.units.neighbours)
    kept = [kept_after(giving, each) for each in rounds]
    if not leave_out:
        kept = [np.zeros(n) for _ in rounds]
    mixed = len(rounds) + (1 if leave_out or len(rounds) > 1 else 0)

    def neighbourhoods(background: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Background crimes (n,) after each number of rounds, then the mean of all."""
        spread, done, found = background, 0, []
        for each in rounds:
            for _ in range(each - done):
                spread = giving @ spread
            done = each
            found.append(spread)
        return [*found, np.full(n, background.mean())][:mixed]

    mixture = np.full(mixed, 1.0 / mixed)
    # a crime for each neighbourhood, or a type with few crimes would lose some of them for good
    prior = 1.0 if leave_out else 0.0
    # half of the crimes to each cause at first; a bar that nothing is exposed to stays at nought
    kappa = np.zeros(len(parts))
    kappa[exposed > 0] = 0.5 * total / max(1, len(parts)) / exposed[exposed > 0]
    own = 0.5 * count
    found: list[float] = []
    # the mean of all keeps so little of a bin that it is not left out
    own_kept = [each[unit] for each in kept] + [np.zeros(len(unit))] * (mixed - len(rounds))
    all_kept = [*kept, np.zeros(n)][:mixed]
    for _ in range(iterations if total else 0):
        of_unit = np.bincount(unit, own, n).astype(float, copy=False)
        means = neighbourhoods(of_unit)
        ground = np.empty((len(count), mixed))
        ground_exposed = np.empty(mixed)
        for j, mean in enumerate(means):
            # the mean a step without the bin's own crimes, and without the share of a step that
            # they came from
            ground[:, j] = np.maximum(mean[unit] - own_kept[j] * own, 0) / (explained - own_kept[j])
            ground_exposed[j] = (
                (explained * mean - all_kept[j] * of_unit) / (explained - all_kept[j])
            ).sum()
        from_ground = ground @ mixture
        rate = np.maximum(from_ground + exciting @ kappa, 1e-300)
        found.append(float(count @ np.log(rate) - ground_exposed @ mixture - exposed @ kappa))
        # each part of a bin's rate is given that share of its crimes
        ratio = count / rate
        own = ratio * from_ground
        mixture = (mixture * (ratio @ ground) + prior) / np.maximum(
            ground_exposed + prior * mixed, 1e-300
        )
        kappa = kappa * (ratio @ exciting) / np.maximum(exposed, 1e-300)
        if len(found) > 1 and abs(found[-1] - found[-2]) < tolerance * total:
            break

    # the first steps say something of the background too: their crimes are shared as the others
    early = np.bincount(bins.row[~late], bins.data[~late], n) * (
        own.sum() / total if total else 1.0
    )
    means = neighbourhoods(np.asarray(np.bincount(unit, own, n) + early, dtype=float))
    background = sum(share * mean for share, mean in zip(mixture, means, strict=True)) / steps
    kernel = kappa.reshape(rings, len(lags))
    # one crime in every unit leads to so many in the end, over all lags
    widths = np.array([last - first + 1 for first, last in lags], dtype=float)
    branching = growth(around, kernel @ widths)
    if branching > MOST_BRANCHING:
        kernel = kernel * (MOST_BRANCHING / branching)
    return Excitation(background, kernel, tuple(lags), mixture, branching, tuple(found))


def expect(
    fitted: Excitation, history: Counts, crime_type: str, horizons: Sequence[int]
) -> NDArray[np.float32]:
    """The mean expected crimes a step over each horizon: (horizons, n).

    Expectations are fed back as if they were crimes, step by step. The process is linear in the
    past, so this is its expectation, not an approximation to it.
    """
    n, matrix = len(history.units), history.crimes[crime_type]
    depth = max((last for _, last in fitted.lags), default=0)
    around = rings_around(history.units.neighbours, len(fitted.kernel))
    # the last `depth` steps, one a row; the step `lag` before step t is in row (t - lag) % depth
    recent = np.zeros((max(depth, 1), n), dtype=np.float32)
    for lag in range(1, depth + 1):
        column = len(history.steps) - lag
        part = slice(matrix.indptr[column], matrix.indptr[column + 1])
        recent[-lag % depth, matrix.indices[part]] = matrix.data[part]
    bars = (
        np.stack(
            [
                sum((recent[-lag % depth] for lag in range(a, b + 1)), np.zeros(n))
                for a, b in fitted.lags
            ]
        )
        if depth
        else np.zeros((0, n))
    )
    scores = np.zeros((len(horizons), n), dtype=np.float32)
    total = np.zeros(n)
    for t in range(max(horizons)):
        expected = fitted.background.copy()
        for ring, weights in zip(around, fitted.kernel, strict=True):
            if weights.any():
                expected += ring @ (weights @ bars)
        total += expected
        for row in np.flatnonzero(np.asarray(horizons) == t + 1):
            scores[row] = total / (t + 1)
        if depth:
            for bar, (first, last) in enumerate(fitted.lags):
                bars[bar] -= recent[(t - last) % depth]
                bars[bar] += expected if first == 1 else recent[(t + 1 - first) % depth]
            recent[t % depth] = expected
    return np.maximum(scores, 0)


@dataclass(frozen=True)
class PointProcess:
    """Self-exciting point process in discrete time, with a kernel of ``rings`` by lags.

    It asks for a year: the lags of :data:`LAGS` are used that fit into less than half of the
    history, so that most steps are explained and not conditioned on. In months they reach eight
    back: with longer ones the background rests on too few steps, and forecasts of Gwent were worse.
    Histories of more than ``most_months`` lose what is older, for the background is constant in
    time and places change.
    """

    title: ClassVar[str] = "Self-exciting point process"
    source: ClassVar[str] = (
        "Mohler, Short, Brantingham, Schoenberg and Tita 2011, JASA 106:100; "
        "the kernel as Marsan and Lengliné 2008, Science 319:1076"
    )
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = (
        "Knows no season, and one kernel serves the whole area; months and 200 m cells hide that "
        "repeats come within days and doors, so that its excitation is mostly slow change."
    )

    rings: int = 3
    iterations: int = 300
    most_months: int = 36
    least_months: int = 12
    most_units: int | None = 200_000

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Expected crimes a step: (horizons, n).

        Raises :class:`HistoryTooShort` for a history of one step.
        """
        history = history.until(history.cut_off, self.most_months * history.month_steps)
        lags = [bar for bar in LAGS[history.step] if 2 * bar[1] < len(history.steps)]
        fitted = excite(history, crime_type, lags, self.rings, iterations=self.iterations)
        return expect(fitted, history, crime_type, horizons)
