"""Prospective hot-spotting: crimes attract others near them, and soon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.forecaster import Role

DAYS_OF = {"month": 28, "day": 1}
"""Days of a step: four weeks are a month here, since weeks are what the kernel counts in."""


@dataclass(frozen=True)
class ProspectiveHotspotting:
    """Risk from crimes of the last two months here and next door, by distance and by weeks.

    A crime adds 1 / (1 + distance in half cell widths) x 1 / weeks since it. On 200 m cells the
    reach of 400 m is a cell and its neighbours, whose centres are two half widths away. A month's
    crimes are spread evenly over its four weeks, since police.uk gives no day.
    """

    title: ClassVar[str] = "Prospective hot-spotting"
    source: ClassVar[str] = "Bowers, Johnson and Pease 2004, British Journal of Criminology 44:641"
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = False
    limits: ClassVar[str] = (
        "Made for burglary by day in 50 m cells; from months and 200 m cells much of its point, "
        "that risk fades within weeks, is lost."
    )

    reach_months: int = 2
    most_units: int | None = None

    @property
    def least_months(self) -> int:
        """The months that it looks back."""
        return self.reach_months

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Risk intensities (n,), the same for each horizon."""
        ages = np.arange(self.reach_months * history.month_steps)
        days = DAYS_OF[history.step] * ages[:, None] + np.arange(DAYS_OF[history.step])
        of_age = (1.0 / (1 + days // 7)).mean(axis=1)
        weights = np.zeros(len(history.steps))
        weights[len(weights) - len(ages) :] = of_age[::-1]
        crimes = history.weighted(crime_type, weights).astype(np.float32)
        risk = crimes + history.units.neighbours @ crimes / 3
        return risk / history.units.relative_size
