"""The page of the study shows what was measured, and every table on it has the naive rules."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from crime_assets.grids.methods import METHODS, NAIVE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "explanation" / "grids.md"
MEASURED = sorted((DOCS / "pictures").glob("grid-*.csv"))


def test_the_page_is_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import make_grids

    (tmp_path / "pictures").symlink_to(DOCS / "pictures")
    page = tmp_path / "grids.md"
    page.write_text(PAGE.read_text(encoding="utf-8").split(make_grids.MARK)[0], encoding="utf-8")
    monkeypatch.setattr(make_grids, "DOCS", tmp_path)
    monkeypatch.setattr(make_grids, "PAGE", page)
    make_grids.write_page()
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_the_naive_rules_were_judged_wherever_a_method_was(path: Path) -> None:
    rows = pd.read_csv(path)
    for (_, crime_type), group in rows.groupby(["cells", "crime_type"]):
        assert set(NAIVE) <= set(group["method"]), crime_type
        for method in set(group["method"]) - set(NAIVE):
            of_method = group[group["method"] == method]
            assert set(of_method["against"].dropna()) == set(NAIVE), (crime_type, method)
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["reduction"]
    page = PAGE.read_text(encoding="utf-8")
    assert about["reduction"] in page
    for method in set(rows["method"]):
        assert f"{METHODS[method].title}" in page


@pytest.mark.slow
def test_the_numbers_of_parameters_are_those_of_the_networks() -> None:
    from crime_assets.models.incident_networks import our_parameters  # loads TensorFlow

    counts = pd.read_csv(DOCS / "pictures" / "parameters-of-grid-networks.csv")
    assert dict(zip(counts["network"], counts["ours"], strict=True)) == our_parameters()
    # of the same size as published, ST-ResNet exactly
    assert counts["ours"][counts["network"] == "ST-ResNet"].item() == 1_343_043
    assert (counts["ours"] / counts["published"]).between(0.6, 1.7).all()
