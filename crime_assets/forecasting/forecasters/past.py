"""How a parameter is chosen on the past: by what would have forecast the last months best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.metrics import mean_poisson_deviance

TRIALS = 3
"""Months of the history that are held out, one after the other."""


def least_deviance(
    history: Counts,
    crime_type: str,
    forecasts: Callable[[int], Sequence[NDArray[np.floating]]],
    trials: int = TRIALS,
) -> int:
    """The position of the candidate that forecast the last ``trials`` months best.

    ``forecasts(before)`` gives the expected crimes a step (n,) of each candidate, made without the
    last ``before`` steps. They are judged by the Poisson deviance of the month that follows them;
    the first of equals wins.
    """
    month = history.month_steps
    sums: NDArray[np.float64] | None = None
    for trial in range(trials, 0, -1):
        crimes = history.recent(crime_type, month, before=(trial - 1) * month)
        each = np.array(
            [mean_poisson_deviance(f * month, crimes) for f in forecasts(trial * month)]
        )
        sums = each if sums is None else sums + each
    if sums is None:
        raise ValueError("no month is held out")
    return int(np.argmin(sums))
