"""Past crimes spread over neighbours: a crime says something of the places around it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.forecaster import Role
from crime_assets.forecasting.forecasters.past import least_deviance

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BANDWIDTHS = (0.2, 1, 2, 4, 8)
"""Rounds of spreading, the candidates among which the past decides; of a round below one a unit
gives that part of :data:`SHARE`. On the hex grid they are kernels of 110, 245, 346, 490 and 693 m
(standard deviation along an axis times the square root of two). None is nought: that would be the
rolling mean."""

SHARE = 0.5
"""What a unit gives to its neighbours in one round."""


def spread(neighbours: csr_array, crimes: NDArray, share: float = SHARE) -> NDArray:
    """Crimes (n,) after each unit has given ``share`` of its own to its neighbours, in equal parts.

    The sum stays what it was: a unit without neighbours keeps all. Repeated, it is a kernel on the
    graph of neighbours that no edge of the area leaks from: on a street network it is the equal
    split of Okabe, Satoh and Sugihara 2009, on a grid it becomes a Gaussian.
    """
    if not np.issubdtype(crimes.dtype, np.floating):
        crimes = crimes.astype(float)  # else a part of a crime would be cut to none
    degree = np.diff(neighbours.indptr).astype(crimes.dtype)
    given = np.where(degree > 0, share * crimes / np.maximum(degree, 1), 0)
    return crimes - given * degree + neighbours @ given


@dataclass(frozen=True)
class KernelDensity:
    """Kernel density of the last twelve months over neighbours; the past chooses the bandwidth.

    The bandwidth is the one with the least Poisson deviance when each of the last three months is
    forecast from those before it.
    """

    title: ClassVar[str] = "Kernel density"
    source: ClassVar[str] = (
        "Silverman 1986; on neighbours as Okabe, Satoh and Sugihara 2009, IJGIS 23:7"
    )
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = (
        "One bandwidth serves the whole area; a single busy address lends crimes to quiet "
        "neighbours."
    )

    months: int = 12
    bandwidths: tuple[float, ...] = BANDWIDTHS
    most_units: int | None = None

    @property
    def least_months(self) -> int:
        """The months that are spread, and three to choose on."""
        return self.months + 3

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Expected crimes a step (n,), the same for each horizon."""
        steps = self.months * history.month_steps
        neighbours = history.units.neighbours

        def densities(before: int, bandwidths: Sequence[float]) -> list[NDArray]:
            crimes = history.recent(crime_type, steps, before) / steps
            density = crimes.astype(np.float32)
            found, rounds = [], 0
            for bandwidth in bandwidths:
                while rounds < int(bandwidth):
                    density = spread(neighbours, density)
                    rounds += 1
                part = bandwidth - rounds
                found.append(spread(neighbours, density, SHARE * part) if part else density)
            return found

        ascending = sorted(self.bandwidths)
        best = least_deviance(history, crime_type, lambda before: densities(before, ascending))
        return densities(0, [ascending[best]])[0]
