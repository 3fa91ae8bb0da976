"""How concentrated crime is over cells, and how much of that small counts show by chance."""

from __future__ import annotations

import math


def poisson_gini(mean: float) -> float:
    """The Gini coefficient of a Poisson variable with this mean (crimes a cell, above 0).

    Half the mean absolute difference of two draws over the mean, which for a Poisson is
    ``exp(-2 m) (I0(2 m) + I1(2 m))`` with the modified Bessel functions of the first kind
    (Ramasubban 1958, Biometrika 45:549, "The mean difference and the mean deviation of some
    discontinuous distributions"). Near 1 for rare crimes: most cells are empty, however evenly
    crimes fall.
    """
    from scipy.special import ive

    if not mean > 0 or math.isinf(mean):
        raise ValueError(f"a mean of {mean} crimes a cell has no Gini coefficient")
    return float(ive(0, 2 * mean) + ive(1, 2 * mean))
