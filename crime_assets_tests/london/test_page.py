"""The page of the study: what its words say is what was measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from crime_assets.london.published import PUBLISHED
from crime_assets.london.report import FIGURES, NAMES
from crime_assets.london.study import PERSISTENCE, RANDOM, TIME

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "explanation" / "london-study.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def accuracy() -> pd.DataFrame:
    """Accuracy in % on the test areas, by label and year (rows) and method (columns)."""
    figures = pd.read_csv(DOCS / "pictures" / "london-study.csv").query("rows == 'test'")
    return 100 * figures.pivot(index=["label", "year"], columns="method", values="accuracy")


def test_the_page_quotes_each_published_figure(page: str) -> None:
    for label, verdict in PUBLISHED.items():
        figures = " | ".join(f"{figure(verdict):.3f}" for figure in FIGURES.values())
        assert f"| {NAMES[label]} | {figures} |" in page


def test_the_table_of_means_is_that_of_the_years(page: str, accuracy: pd.DataFrame) -> None:
    for label, means in accuracy.groupby("label").mean().iterrows():
        figures = " | ".join(f"{means[method]:.1f}" for method in (RANDOM, TIME, PERSISTENCE))
        assert f"| {NAMES[str(label)]} | {figures} |" in page


def test_the_page_says_by_how_much_the_random_split_flattered(
    page: str, accuracy: pd.DataFrame
) -> None:
    words = " ".join(page.split())
    worth = (accuracy[RANDOM] - accuracy[TIME]).groupby("label").mean()
    assert f"by {worth.min():.1f} to {worth.max():.1f} points of accuracy" in words
    last = (accuracy[RANDOM] - accuracy[TIME]).xs(2021, level="year")
    assert f"by {last.min():.1f} to {last.max():.1f} points, in 2021" in words
    by_year = (accuracy[RANDOM] - accuracy[TIME]).groupby("year").mean()
    assert by_year.idxmax() == 2021


def test_the_page_says_what_persistence_would_have_been_worth(page: str) -> None:
    assert "right in 95.9 % of the study's test areas for hotspots and in 84.9 % for tiers" in (
        " ".join(page.split())
    )
    assert "| hotspot | 0.952 | 0.959 |" in page
    assert "| four tiers | 0.849 | 0.849 |" in page
