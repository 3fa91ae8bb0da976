"""What a network sees of the steps before a target: smoothed counts, windows of them, splits.

A step is a day, a month or what the caller counts by. Nothing of a step is in its own input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHARES = (0.7, 0.1, 0.2)
"""Training, validation and test, in the order of time (Zhang and Cheng 2020)."""


def smooth(counts: ArrayLike, alpha: float) -> NDArray[np.float32]:
    """Exponentially smoothed counts: of (T, ...) make (T + 1, ...), a row for the step to come.

    s_0 = 0 and s_t = ``alpha`` x_{t-1} + (1 - ``alpha``) s_{t-1}: row t holds nothing of step t
    nor of a later one. The last row, s_T, is the input of the step after the last. Raises
    ``ValueError`` for an ``alpha`` that is not above 0 and at most 1.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it is to be above 0 and at most 1")
    x = np.asarray(counts)
    smoothed = np.zeros((len(x) + 1, *x.shape[1:]), dtype=np.float32)
    for t in range(len(x)):
        np.multiply(smoothed[t], 1 - alpha, out=smoothed[t + 1])
        smoothed[t + 1] += np.float32(alpha) * x[t]
    return smoothed


def windows(smoothed: NDArray, targets: ArrayLike, steps: int) -> NDArray:
    """The input of each target step: (targets, n, ``steps`` x F) of ``smoothed`` (T + 1, n, F).

    The input of step t are the rows t - ``steps`` + 1 to t of ``smoothed`` (see :func:`smooth`),
    the earliest first: channel m x F + f holds feature f of the m-th of them. Raises
    ``ValueError`` for a target without so many steps before it, or beyond T.
    """
    wanted = np.atleast_1d(np.asarray(targets, dtype=int))
    last = len(smoothed) - 1
    if bad := [int(t) for t in wanted if not steps <= t <= last]:
        raise ValueError(
            f"step {bad[0]} has no input of {steps} steps: targets are {steps} to {last}"
        )
    _, n, features = smoothed.shape
    found = np.empty((len(wanted), n, steps, features), dtype=smoothed.dtype)
    for position, t in enumerate(wanted):
        found[position] = smoothed[t - steps + 1 : t + 1].transpose(1, 0, 2)
    return found.reshape(len(wanted), n, steps * features)


def split_steps(steps: int, shares: Sequence[float] = SHARES) -> tuple[int, int]:
    """Where validation and test begin: (a, b) of ``steps`` steps, the earliest being step 0.

    Steps before a are trained on, a to b - 1 validate, b and later ones test. ``shares`` are those
    of training, validation and test. Raises ``ValueError`` where they do not add up to 1.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares {tuple(shares)} of training, validation, test do not add up to 1")
    training, validation, _ = shares
    return round(training * steps), round((training + validation) * steps)
