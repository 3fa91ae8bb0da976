"""The card of a classifier: limits, misuse, and whether it beats last year's class, in words."""

from __future__ import annotations

import math
import re
from functools import cache

import pandas as pd
import pytest

from crime_assets.classification.judging import evaluation_rows
from crime_assets.classification.model_card import model_card
from crime_assets.forecasting.model_card import FEEDBACK, MISUSES, Card
from crime_assets.forecasting.report import LICENCE
from crime_assets.models.classifiers import CLASSIFIERS
from crime_assets_tests.classification.test_report import result
from crime_assets_tests.forecasting.test_report import check_page

NAME = "random_forest"
PROVENANCE = {"cut-off": "2024-12", "predictions": "3f2a", "labels": "77ab"}


@cache
def evaluations(better: float = 0.2) -> pd.DataFrame:
    """Figures of two splits in gwent; the rule is wrong the more often by ``better``."""
    made, rule = {}, {}
    for split in ("time", "space"):
        made["gwent", split, "tier"] = result(NAME, "tier", split, noise=0.4)
        rule["gwent", split, "tier"] = result("same_class", "tier", split, noise=0.4 + better)
    return evaluation_rows(made, rule, {}, 100)


def card(rows: pd.DataFrame, name: str = NAME, scope: str = "gwent") -> Card:
    return model_card(name, CLASSIFIERS[name], rows, scope, PROVENANCE)


def test_a_card_states_what_it_is_its_limits_misuse_feedback_and_data() -> None:
    said = card(evaluations()).markdown().replace("\\", "")
    classifier = CLASSIFIERS[NAME]
    for expected in (
        f"Random forest ({NAME})",
        classifier.what,
        classifier.source,
        classifier.limits,
        *MISUSES,
        FEEDBACK,
        LICENCE,
        "It classifies nobody",
        "2024-12",
        "3f2a",
        "77ab",
    ):
        assert expected in said, expected


def test_its_table_holds_the_figures_of_its_scope_by_split() -> None:
    rows = pd.concat([evaluations(), evaluations().assign(scope="kent", value=0.1234)])
    head, *table = card(rows).field("Model performance").table
    assert head == ("Label", "Split", "Metric", "Value", "95 % interval")
    accuracy = next(row for row in table if row[:3] == ("tier", "time", "accuracy"))
    mine = rows[(rows["scope"] == "gwent") & (rows["split"] == "time")]
    mine = mine[(mine["metric"] == "accuracy") & mine["class"].isna()].iloc[0]
    assert accuracy[3] == f"{mine['value']:.3f}"
    assert accuracy[4] == f"{mine['low']:.3f} to {mine['high']:.3f}"
    assert {row[1] for row in table} == {"time", "space"}
    assert "0.123" not in {row[3] for row in table}


@pytest.mark.parametrize(("better", "worth"), [
    (0.3, "better than"), (-0.3, "worse than"), (0.0, "no different, as far as can be told, from"),
])  # fmt: skip
def test_a_card_says_in_words_whether_it_beats_last_years_class(better: float, worth: str) -> None:
    (sentence,) = card(evaluations(better)).field("Model performance").paragraphs
    assert sentence.startswith(f"tier: {worth} the class of last year, by ")
    assert re.search(r"by [+-]\d+\.\d points of macro F1 \([+-]\d+\.\d to [+-]\d+\.\d\)", sentence)


def test_where_there_are_too_few_blocks_for_an_interval_it_says_so_and_shows_no_nan() -> None:
    rows = evaluations().assign(low=math.nan, high=math.nan)
    found = card(rows)
    (sentence,) = found.field("Model performance").paragraphs
    assert sentence.startswith("tier: no different, as far as can be told, from")
    assert sentence.endswith("(too few blocks of areas for an interval).")
    assert not re.search(r"\bnan\b", found.markdown())
    assert {row[-1] for row in found.field("Model performance").table[1:]} == {"–"}


def test_the_card_of_the_rule_compares_it_with_nothing() -> None:
    rows = evaluations()
    rows = rows[~rows["metric"].str.endswith("_difference")]
    found = card(rows, "same_class").field("Model performance")
    assert found.paragraphs == ("It is what others are compared with.",)
    assert len(found.table) > 1


def test_the_html_stands_alone() -> None:
    check_page(card(evaluations()).html())
