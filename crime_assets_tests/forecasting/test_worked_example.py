"""The worked example of the documentation works: one file, one line."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from crime_assets.forecasting import forecasters
from crime_assets.forecasting.backtest import Ask, judge_cut_off
from crime_assets.forecasting.counts import Counts, Units
from crime_assets.forecasting.forecaster import Forecaster
from crime_assets.lsoa.neighbours import link

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-forecaster.md"


@pytest.fixture
def median(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forecaster:
    """The forecaster that the page writes, from its own words."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)[0]
    path = tmp_path / "median.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("median_of_the_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "median_of_the_page", module)
    spec.loader.exec_module(module)
    return module.RollingMedian()


def test_the_forecaster_of_the_page_is_one_and_is_judged(median: Forecaster) -> None:
    rng = np.random.default_rng(1)
    crimes = rng.poisson(rng.gamma(1.0, 2.0, size=(50, 1)), size=(50, 40))
    unit, at = np.nonzero(crimes)
    units = Units("hex", np.arange(50), np.ones(50), link(50, np.arange(49), np.arange(1, 50)))
    months = [f"{2020 + m // 12}-{m % 12 + 1:02d}" for m in range(40)]
    counts = Counts.of(units, months, {"Burglary": (unit, at, crimes[unit, at])})
    assert isinstance(median, Forecaster)
    scores = median.forecast(counts.until(months[30]), "Burglary", [1])
    assert scores == pytest.approx(np.median(crimes[:, 19:31], axis=1))
    judged = judge_cut_off({"median": median}, counts, months[30], ["Burglary"], Ask((1, 3)))
    hit_rates = [r[6] for r in judged["median"].rows if r[4] == "hit_rate" and r[5] == 0.2]
    assert all(0.2 < value < 1 for value in hit_rates)


def test_the_line_of_the_page_fits_the_register() -> None:
    line = re.search(r'^    "rolling_median_12": RollingMedian\(\),$', PAGE.read_text(), flags=re.M)
    assert line is not None
    register = Path(forecasters.__file__).read_text(encoding="utf-8")
    assert re.search(r'^    "rolling_mean_12": RollingMean\(months=12\),$', register, flags=re.M)
    assert forecasters.NAIVE_RULE in forecasters.FORECASTERS
