"""Grid squares as units of forecasts, and the naive rules that any network must beat on them.

Networks and classifiers see the 30 days before an origin, and so does persistence: of days that the
data do not hold it knows nothing, and takes the mean of the others. To forecasters a step is an
observed day: their means are a day observed, and 360 days are the last 360 that were. Where each
day was observed it is all one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets.forecasting.backtest import can_forecast
from crime_assets.forecasting.counts import DAY, Counts, Units
from crime_assets.forecasting.forecaster import Forecaster, NoForecast
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.lsoa.neighbours import link

if TYPE_CHECKING:
    from scipy.sparse import sparray

WINDOW_DAYS: dict[str, int] = {"persistence": 30, "rolling_mean": 360}
"""What the grid study lacked, by name: means of the observed ones of so many days."""

GRID_RULES: dict[str, Forecaster] = {
    "exponential_mean": FORECASTERS["exponential_mean"],
    "kernel_density": FORECASTERS["kernel_density"],
}
"""Forecasters that it lacked as well: a month is 30 steps to them."""

Contiguity = Literal["rook", "queen"]


def square_units(cells: ArrayLike, p: int, contiguity: Contiguity = "queen") -> Units:
    """Cells (n,) of a grid of ``p`` x ``p``, ascending, as units of size 1.

    A cell is its row x ``p`` + its column. Neighbours share an edge (``rook``) or an edge or corner
    (``queen``). Raises ``ValueError`` for a cell that is not in the grid.
    """
    cells = np.asarray(cells)
    if cells.size and (cells.min() < 0 or cells.max() >= p * p):
        raise ValueError(f"cells {cells.min()} to {cells.max()} of a grid of {p} x {p}")
    position = np.full((p + 2, p + 2), -1)  # with a rim of no cell, so that none is beyond it
    row, column = cells // p + 1, cells % p + 1
    position[row, column] = np.arange(len(cells))
    steps = [(0, 1), (1, 0)] + ([(1, 1), (1, -1)] if contiguity == "queen" else [])
    around = np.stack([position[row + down, column + right] for down, right in steps], axis=1)
    one, direction = np.nonzero(around >= 0)
    neighbours = link(len(cells), one, around[one, direction])
    return Units("square", cells, np.ones(len(cells)), neighbours)


def square_counts(
    units: Units,
    days: Sequence[str],
    observed: ArrayLike,
    crimes: Mapping[str, ArrayLike | sparray],
) -> Counts:
    """The counts of squares: for each crime type (days, n), dense or sparse, to observed steps.

    ``days`` are consecutive, spelled ``2014-01-31``; ``observed`` says of each whether the data
    hold it. Raises ``ValueError`` for other shapes, and for crimes on a day that is not observed.
    """
    from scipy.sparse import coo_array

    observed = np.asarray(observed, dtype=bool)
    step = np.cumsum(observed) - 1
    steps = [day for day, there in zip(days, observed, strict=True) if there]
    rows = {}
    for crime_type, matrix in crimes.items():
        found = coo_array(matrix)
        if found.shape != (len(days), len(units)):
            raise ValueError(f"{found.shape} crimes, for {len(days)} days and {len(units)} cells")
        day, unit = found.coords
        if (found.data[~observed[day]] != 0).any():
            raise ValueError(f"crimes ({crime_type}) on a day that is not observed")
        rows[crime_type] = (unit, step[day], found.data)
    return Counts.of(units, steps, rows, DAY)


def naive_probability(
    counts_past: ArrayLike, days_observed_past: ArrayLike, days_observed_next: ArrayLike
) -> NDArray[np.float64]:
    """The chance of a crime in the next days if the rate of the past holds: 1 - exp(-expected).

    ``counts_past`` are crimes over so many observed days; the three are broadcast. For Poisson
    crimes it is exact. Raises ``ValueError`` where no day of the past was observed.
    """
    days = np.asarray(days_observed_past, dtype=float)
    if not (days > 0).all():
        raise ValueError("no day of the past was observed")
    return -np.expm1(-np.asarray(counts_past) / days * np.asarray(days_observed_next))


def window_expectation(
    crimes: sparray, observed: NDArray[np.bool_], origin: int, days: int, days_observed_next: int
) -> NDArray[np.float64]:
    """The crimes (n,) to expect in the next days at the mean of the ``days`` before ``origin``.

    ``crimes`` (all days, n) are of all days, ``observed`` says which the data hold. Raises
    ``NoForecast`` where fewer days come before the origin, or none of them was observed.
    """
    window = slice(origin - days, origin)
    if origin < days or not (seen := int(observed[window].sum())):
        raise NoForecast(f"needs {days} days of history, some of them observed; there are {origin}")
    return np.asarray(crimes[window].sum(axis=0)).ravel() / seen * days_observed_next


def rule_expectation(
    rule: Forecaster, history: Counts, crime_type: str, days_observed_next: int
) -> NDArray[np.float64]:
    """The crimes (n,) that a rule expects in the next days, so many of which are observed.

    ``history`` is that of :func:`square_counts` up to the day before the origin. Raises
    ``NoForecast`` where it is too short.
    """
    can_forecast(rule, history)
    scores = rule.forecast(history, crime_type, (max(1, days_observed_next),))
    return np.atleast_2d(scores)[0] * days_observed_next
