"""The forecasters, one file a kind, and the register of those that are judged.

To add one: write its file here and give it a line in :data:`FORECASTERS`. Its forecasts, its
evaluations, its place on the leaderboard and its model card follow from the line.
"""

from __future__ import annotations

from crime_assets.forecasting.forecaster import Forecaster
from crime_assets.forecasting.forecasters.forest import RandomForest
from crime_assets.forecasting.forecasters.gldnet import Gldnet
from crime_assets.forecasting.forecasters.kernel_density import KernelDensity
from crime_assets.forecasting.forecasters.point_process import PointProcess
from crime_assets.forecasting.forecasters.poisson_regression import PoissonRegression
from crime_assets.forecasting.forecasters.prospective import ProspectiveHotspotting
from crime_assets.forecasting.forecasters.rolling import (
    Chance,
    ExponentialMean,
    HotspotFrequency,
    PerfectForesight,
    RollingMean,
    SameMonthLastYear,
)

FORECASTERS: dict[str, Forecaster] = {
    "last_month": RollingMean(months=1),
    "same_month_last_year": SameMonthLastYear(),
    "rolling_mean_3": RollingMean(months=3),
    "rolling_mean_12": RollingMean(months=12),
    "exponential_mean": ExponentialMean(),
    "hotspot_frequency": HotspotFrequency(),
    "kernel_density": KernelDensity(),
    "prospective": ProspectiveHotspotting(),
    "point_process": PointProcess(),
    "poisson_regression": PoissonRegression(),
    "random_forest": RandomForest(),
    "gldnet": Gldnet(),
    "chance": Chance(),
    "perfect_foresight": PerfectForesight(),
}
"""Every forecaster by its name, which is ``model`` in the path of its tables."""

NAIVE_RULE = "rolling_mean_12"
"""What a model must beat to be worth its cost: the rule that a force can apply by hand."""
