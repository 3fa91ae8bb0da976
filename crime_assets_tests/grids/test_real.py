"""San Francisco, the study's own file, at p = 16: by rules and two classifiers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crime_assets.grids.inputs import read_samples
from crime_assets.grids.study import Experiment, run
from crime_assets.settings import Settings

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

YAML = Path(__file__).parents[2] / "docs" / "experiments" / "grids" / "san-francisco-16.yaml"


def test_rules_are_hard_to_beat_in_san_francisco(shared_data: Path, tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"CRIME_DATA_DIR": str(tmp_path), "CRIME_INCIDENTS": str(shared_data / "incidents")}
    )
    asked = replace(
        Experiment.read(YAML),
        methods=("exponential_mean", "kernel_density", "naive_bayes", "decision_tree"),
        crime_types=("All crime", "Theft"),
    )
    samples = read_samples(settings, asked.city, asked.cells, asked.mapping)
    found = run(asked, samples, tmp_path)
    data = found.manifest["data"]["16"]
    assert data["days"] == ["2010-06-01", "2014-05-31"]
    assert all(12 <= days <= 18 for days in data["observed_days_foretold"])  # alternate weeks
    rows = found.evaluations
    means = rows[rows["origin"].isna() & rows["against"].isna()]
    means = means.set_index(["crime_type", "method", "metric"])["value"]
    for method in ("persistence", "rolling_mean", "exponential_mean"):
        assert means["All crime", method, "f1"] > 0.9
        assert means["All crime", method, "aucpr"] > 0.97
    for crime_type in ("All crime", "Theft"):
        for learned in ("naive_bayes", "decision_tree"):
            assert means[crime_type, learned, "pai"] < means[crime_type, "rolling_mean", "pai"], (
                crime_type,
                learned,
            )
