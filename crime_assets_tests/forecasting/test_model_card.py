"""The model card: it states limits, misuse and feedback, and never praises what does not win."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import markdown as reference
import numpy as np
import pandas as pd
import pytest

from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.forecasting.leaderboard import rank_models
from crime_assets.forecasting.model_card import FEEDBACK, MISUSES, OPEN, Card, Field, model_card
from crime_assets_tests.forecasting.test_leaderboard import evaluations, noise
from crime_assets_tests.forecasting.test_report import (
    PROVENANCE,
    Reader,
    check_page,
    plausible_leaderboard,
)


@dataclass(frozen=True)
class Kernel:
    """A forecaster, as far as its card asks."""

    title: ClassVar[str] = "Kernel density"
    source: ClassVar[str] = "Silverman 1986"
    limits: ClassVar[str] = "Blurs what is sharp; knows no season."
    role: str = "model"
    expects_crimes: bool = True
    bandwidth_m: tuple[float, ...] = (200.0, 400.0)
    least_months: int = 12
    most_units: int | None = None

    def forecast(self, history: object, crime_type: str, horizons: object) -> np.ndarray:
        raise NotImplementedError


ROLES = {"kernel": "model", "ewma": "baseline", "rolling": "baseline", "chance": "floor"}


def board(lead: float, n: int = 24, spread: float = 0.01) -> pd.DataFrame:
    """A leaderboard on which the kernel leads the best baseline by so much of a hit rate."""
    months = 0.3 + noise(1, n, 0.03)
    rows = evaluations(
        {
            "ewma": months + noise(2, n, spread),
            "rolling": months - 0.02 + noise(3, n, spread),
            "kernel": months + lead + noise(4, n, spread),
            "chance": 0.05 + noise(5, n, 0.001),
        }
    )
    return rank_models(rows.assign(crime_type="All crime"), ROLES)


def card(leaderboard: pd.DataFrame, **changed: object) -> Card:
    return model_card("kernel", Kernel(**changed), leaderboard, PROVENANCE)  # type: ignore[arg-type]


def text(found: Card) -> str:
    return " ".join(" ".join(Reader(found.html()).text).split())


# --- What every card says -------------------------------------------------------------------


def test_a_card_has_the_fields_of_the_standard_in_its_order() -> None:
    found = card(board(0.0))
    titles = [section.title for section in found.sections]
    assert titles[0] == "Tier 1: Overview"
    assert [title.removeprefix("Tier 2: ") for title in titles if title.startswith("Tier 2")] == [
        "Owner and responsibility",
        "Description and rationale",
        "Decision-making process",
        "Tool specification",
        "Risks, mitigations and impact assessments",
    ]
    assert [field.name for field in found.sections[0].fields] == [
        "Name",
        "Description",
        "Website URL",
        "Contact email",
    ]
    names = [field.name for section in found.sections for field in section.fields]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("render", [Card.markdown, text])
def test_a_card_states_limits_misuse_feedback_parameters_and_data(render: object) -> None:
    said = render(card(board(0.0))).replace("\\", "")  # type: ignore[operator]
    for expected in (
        Kernel.limits,
        *MISUSES,
        FEEDBACK,
        "Lum and Isaac 2016",
        "Ensign and others 2018",
        "Recorded crime is not crime",
        "snapped to anonymous places",
        "sole ground for a stop, a search",
        "anything about a person",
        "Kernel(role='model', expects_crimes=True, bandwidth_m=(200.0, 400.0)",
        "Open Government Licence v3.0",
        "2026-10",
        "hex_counts: 3f2a",
        "24 cut-offs, from 2020-01 to 2021-12",
        "Silverman 1986",
    ):
        assert expected in said, expected


def test_what_only_the_deploying_organisation_knows_is_left_open() -> None:
    found = card(board(0.0))
    assert {
        "Contact email",
        "Organisation or department",
        "Team",
        "Senior responsible owner",
        "Previous process",
        "Frequency and scale of usage",
        "Required training",
        "Appeals and review",
        "Impact assessment",
    } <= set(found.open_fields())
    for name in ("Contact email", "Senior responsible owner"):
        assert found.field(name).paragraphs == (OPEN,)
    assert text(found).count(OPEN) == len(found.open_fields())
    with pytest.raises(KeyError):
        found.field("Budget")


# --- What it says of its worth --------------------------------------------------------------


def performance(found: Card) -> Field:
    return found.field("Model performance")


def test_a_card_says_in_words_that_a_forecaster_beats_the_best_baseline() -> None:
    found = performance(card(board(0.05)))
    assert len(found.bullets) == 1
    assert "It beats the best other baseline, ewma, by +" in found.bullets[0]
    assert "better than the best other baseline in 1, no different in 0" in found.paragraphs[0]
    assert "nowhere" not in found.paragraphs[0]


@pytest.mark.parametrize(("lead", "said"), [
    (0.0, "It does not beat the best other baseline, ewma: the difference of"),
    (-0.05, "It does not beat the best baseline: ewma does better"),
])  # fmt: skip
def test_a_card_says_in_words_where_it_does_not(lead: float, said: str) -> None:
    found = card(board(lead))
    assert said in performance(found).bullets[0]
    assert "It beats the best baseline nowhere" in performance(found).paragraphs[0]
    assert "It beats the best baseline nowhere" in found.field("Benefits").paragraphs[0]


def test_a_card_says_when_there_are_too_few_cut_offs_or_nothing_to_compare_with() -> None:
    few = performance(card(board(0.05, n=4)))
    assert "Whether it beats the best other baseline, ewma, cannot be said: 4 cut" in few.bullets[0]
    assert "nowhere" not in few.paragraphs[0]
    alone = rank_models(evaluations({"kernel": [0.3] * 8}), {"kernel": "model"})
    assert "no other baseline" in performance(card(alone)).bullets[0]


def test_a_card_of_a_forecaster_that_was_not_judged_says_so() -> None:
    for nothing in (board(0.0)[:0], board(0.0).query("model != 'kernel'")):
        found = card(nothing)
        assert "It has not been judged yet" in text(found)
        assert not performance(found).table
        assert found.field("Release, data versions and cut-offs").paragraphs == (
            "It has not been judged at any cut-off.",
        )


def test_a_bound_is_called_no_forecast_and_is_not_praised() -> None:
    rows = board(0.0)
    found = model_card("chance", Kernel(role="floor"), rows, {})  # type: ignore[arg-type]
    assert "not to be used at all" in found.field("Description").paragraphs[1]
    assert found.field("Benefits").paragraphs[0] == "None: it bounds the others."
    assert not performance(found).bullets
    assert {row[-1] for row in performance(found).table[1:]} == {"–"}


def test_its_table_holds_the_leaderboards_figures_with_intervals() -> None:
    rows = board(0.05)
    mine = rows[rows["model"] == "kernel"].iloc[0]
    head, first = performance(card(rows)).table
    row = dict(zip(head, first, strict=True))
    assert row["Where"] == "Gwent, Hexagons of 200 m"
    assert row["Horizon"] == "next month"
    assert row["Metric"] == "hit rate at 5 %"
    assert row["Value"] == (
        f"{100 * mine['value']:.1f} % ({100 * mine['low']:.1f} to {100 * mine['high']:.1f})"
    )
    assert row["Difference to best baseline"].startswith(f"+{100 * mine['difference']:.1f} points")
    assert row["Which"] == "ewma"
    assert row["It is"] == "better"


def test_the_nation_stands_for_its_forces_in_the_table_but_not_in_the_count() -> None:
    forecaster = Kernel(role="baseline")
    found = model_card("rolling_mean_12", forecaster, plausible_leaderboard(), {})  # type: ignore[arg-type]
    places = {row[0] for row in performance(found).table[1:]}
    assert places == {"England and Wales, Hexagons of 200 m"}
    assert len(performance(found).bullets) == 3  # horizons
    assert "over 27 rankings" in performance(found).paragraphs[0]  # 3 places, types, horizons


# --- How it is rendered ---------------------------------------------------------------------


def test_the_html_stands_alone_and_can_be_read_by_all() -> None:
    check_page(card(board(0.05)).html())


def test_the_markdown_says_the_same_as_the_html() -> None:
    found = card(board(0.05))
    rendered = reference.markdown(found.markdown(), extensions=["tables", "fenced_code"])
    words = " ".join(" ".join(Reader(rendered).text).split())
    assert "<table>" in rendered
    for section in found.sections:
        for field in section.fields:
            assert field.name in words
            for part in (*field.paragraphs, *field.bullets, *sum(field.table, ())):
                assert part in words


def test_text_is_escaped_in_both() -> None:
    nasty = '<img src=x onerror="alert(1)"> | *stars* _and_ [links](http://x) `code`'
    found = model_card("kernel", Kernel(), board(0.0), {nasty: nasty})  # type: ignore[arg-type]
    assert nasty in text(found)
    assert "<img" not in found.html()
    rendered = reference.markdown(found.markdown(), extensions=["tables", "fenced_code"])
    read = Reader(rendered)
    assert not {"img", "a"} & {tag for tag, _ in read.tags}
    assert nasty in " ".join(" ".join(read.text).split())


def test_nulls_of_a_database_are_no_numbers() -> None:
    rows = board(0.05, n=4)
    assert math.isnan(rows["low"].iloc[0])
    said = text(card(rows.astype({"low": object, "high": object}).replace({np.nan: None})))
    assert not re.search(r"\bnan\b", said)
    assert "None (" not in said


def test_the_card_says_how_it_did_against_the_naive_rule() -> None:
    months = [f"2024-{m:02d}" for m in range(1, 13)]
    rows = [
        {
            "unit": "hex", "scope": "gwent", "crime_type": "Drugs", "step": "month",
            "horizon_steps": 1, "metric": "hit_rate", "coverage": 0.05, "month": month,
            "model": model, "value": value + 0.001 * (i % 3), "tie_best": value,
            "tie_worst": value,
        }
        for i, month in enumerate(months)
        for model, value in (("rolling_mean_12", 0.4), ("point_process", 0.5), ("ewma", 0.5))
    ]  # fmt: skip
    roles = {"rolling_mean_12": "baseline", "point_process": "baseline", "ewma": "baseline"}
    board = rank_models(pd.DataFrame(rows), roles)
    card = model_card("point_process", FORECASTERS["point_process"], board, {})
    said = card.markdown()
    assert "It beats the best baseline nowhere" in said
    assert "Against the naive rule, rolling mean 12, it was better in 1, no different in 0" in said
