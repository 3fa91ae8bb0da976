"""The report: one page that stands alone, says what the leaderboard says, and can be read by all.

The evaluations are made up, but by the rules: cells with a steady heat of their own and a season,
crimes by Poisson, forecasts from the past alone, hit rates and crimes as they follow.
"""

from __future__ import annotations

import base64
import itertools
import math
import re
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from crime_assets.forecasting import report
from crime_assets.forecasting.leaderboard import rank_models, verdict_sentence
from crime_assets.forecasting.leaderboard import skill_over_time as skill_of
from crime_assets.forecasting.metrics import CURVE

HEADLINE = ("hit_rate", 0.05)
CELLS, MONTHS, FIRST = 1500, 64, 24


@dataclass(frozen=True)
class MadeUp:
    """A forecaster, as far as the report asks."""

    title: str
    role: str
    source: str = "Common practice"
    limits: str = "Knows no season."
    months: int = 12


MODELS = {
    "last_month": MadeUp("Rolling mean", "baseline", months=1),
    "rolling_mean_3": MadeUp("Rolling mean", "baseline", months=3),
    "rolling_mean_12": MadeUp("Rolling mean", "baseline", months=12),
    "rolling_mean_24": MadeUp("Rolling mean", "baseline", months=24),
    "smooth": MadeUp("Kernel density", "model", "Silverman 1986", "Blurs what is sharp."),
    "mixture": MadeUp("Mixture of 3 and 24 months", "model"),
    "seasonal": MadeUp("Same month last year", "baseline"),
    "lagging": MadeUp("Rolling mean of the year before", "model"),
    "chance": MadeUp("Chance", "floor", limits="It is no forecast."),
    "perfect_foresight": MadeUp("Perfect foresight", "ceiling"),
}
ROLES = {name: model.role for name, model in MODELS.items()}


@cache
def plausible_evaluations() -> pd.DataFrame:
    """Hit rates, crimes and expected crimes of ten forecasters in three places."""
    chance = np.random.default_rng(11)
    rows: list[tuple] = []
    for scope, size in (("england-and-wales", 1.5), ("gwent", 0.4), ("city-of-london", 0.15)):
        for crime_type, level in (("All crime", 1.0), ("Drugs", 0.25), ("Robbery", 0.05)):
            heat = size * level * chance.gamma(0.25, 4.0, CELLS)
            drift = np.cumsum(chance.normal(0, 0.06, (CELLS, MONTHS)), axis=1)
            season = 1 + 0.2 * np.sin(2 * np.pi * np.arange(MONTHS) / 12)
            crimes = chance.poisson(heat[:, None] * np.exp(drift) * season)
            rows += _place(scope, crime_type, crimes, chance)
    key = ["scope", "crime_type", "horizon_steps"]
    names = [*key, "metric", "coverage", "value", "month", "model"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(
        step="month", split="time", unit="hex", tie_best=table["value"], tie_worst=table["value"]
    )


def _place(
    scope: str, crime_type: str, crimes: np.ndarray, chance: np.random.Generator
) -> list[tuple]:
    rows = []
    for cut in range(FIRST, MONTHS - 1):
        past = crimes[:, : cut + 1]
        mean = {months: past[:, -months:].mean(axis=1) for months in (1, 3, 12, 24)}
        scores = {
            "last_month": mean[1],
            "rolling_mean_3": mean[3],
            "rolling_mean_12": mean[12],
            "rolling_mean_24": mean[24],
            "smooth": 0.7 * mean[12] + 0.3 * np.roll(mean[12], 1),
            "mixture": 0.5 * mean[3] + 0.5 * mean[24],
            "seasonal": past[:, -12].astype(float),
            "lagging": past[:, -24:-12].mean(axis=1),
            "chance": chance.random(CELLS),
        }
        for horizon in (1, 3, 12):
            if cut + horizon >= MONTHS:
                continue
            outcome = crimes[:, cut + 1 : cut + 1 + horizon].sum(axis=1)
            month = f"{2020 + cut // 12}-{cut % 12 + 1:02}"
            for model, score in (scores | {"perfect_foresight": outcome / horizon}).items():
                order = np.lexsort((chance.random(CELLS), -score))
                found, hoped = np.cumsum(outcome[order]), np.cumsum(score[order]) * horizon
                for coverage in (*CURVE, 1.0):
                    at = max(1, round(coverage * CELLS)) - 1
                    key = (scope, crime_type, horizon)
                    if coverage < 1 and outcome.sum():
                        hit = found[at] / outcome.sum()
                        rows.append((*key, "hit_rate", coverage, hit, month, model))
                    rows.append((*key, "crimes", coverage, float(found[at]), month, model))
                    if model != "chance":
                        value = float(hoped[at])
                        rows.append((*key, "expected_crimes", coverage, value, month, model))
    return rows


@cache
def plausible_leaderboard() -> pd.DataFrame:
    return rank_models(plausible_evaluations(), ROLES)


PROVENANCE = {
    "release": "2026-10",
    "data versions": {"hex_counts": "3f2a", "scope_cells": "91bc"},
    "cut-offs": [f"2022-{month:02}" for month in range(1, 13)],
    "note": 'made up <b>for tests</b> & "nothing" else',
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write_report(
        tmp_path_factory.mktemp("report"),
        plausible_leaderboard(),
        plausible_evaluations(),
        MODELS,
        PROVENANCE,
        HEADLINE,
    )


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return written.read_text("utf-8")


VOID = {"meta", "img", "br", "hr", "line", "circle", "polygon", "link", "input"}


class Reader(HTMLParser):
    """Collects tags, text, and whatever is wrong with how tags close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def check_page(html: str) -> Reader:
    """What every page of the project promises: well-formed, alone, readable by all."""
    read = Reader(html)
    assert not read.wrong
    assert not read.open
    assert ("html", {"lang": "en"}) in read.tags
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert not [tag for tag, _ in read.tags if tag in ("script", "link", "iframe", "object")]
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            target = attributes.get(name) or ""
            ours = ("#", "data:image/png;base64,", "cards/")
            assert not target or target.startswith(ours), (tag, target)
        if tag == "img":
            assert attributes.get("alt")
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
    assert not re.search(r"url\(|@import|https?://", html)
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"] or "" for tag, a in read.tags if tag == "a"}
    assert {t for t in targets if not t.startswith("cards/")} <= {f"#{name}" for name in ids}
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    return read


# --- The page -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_stands_alone_and_can_be_read_by_all(written: Path, html: str) -> None:
    assert written.name == "index.html"
    assert sorted(path.name for path in written.parent.iterdir()) == ["index.html"]
    read = check_page(html)
    assert sum(tag == "img" for tag, _ in read.tags) == 5 * 3
    assert len(html) < 2_500_000


def test_pictures_are_png_files_of_the_stated_shape(html: str) -> None:
    for tag, attributes in Reader(html).tags:
        if tag == "img":
            data = base64.b64decode((attributes["src"] or "").partition(",")[2])
            assert data[:8] == b"\x89PNG\r\n\x1a\n"
            width, height = (int.from_bytes(data[i : i + 4]) for i in (16, 20))
            stated = int(attributes["width"] or 0) / int(attributes["height"] or 1)
            assert width / height == pytest.approx(stated, rel=0.02)


def test_the_nation_stands_first_and_the_others_fold_away(html: str) -> None:
    read = Reader(html)
    places = [
        (tag, attributes["id"])
        for tag, attributes in read.tags
        if tag in ("section", "details") and (attributes.get("id") or "").startswith("hex-")
    ]
    assert places == [
        ("section", "hex-england-and-wales"),
        ("details", "hex-city-of-london"),
        ("details", "hex-gwent"),
    ]


def test_the_page_says_what_the_leaderboard_says(html: str) -> None:
    text = " ".join(" ".join(Reader(html).text).split())
    board = plausible_leaderboard()
    group = board[
        (board["scope"] == "england-and-wales")
        & (board["crime_type"] == "All crime")
        & (board["horizon_steps"] == 1)
        & (board["coverage"] == 0.05)
    ]
    assert verdict_sentence(group) in text
    for row in group.itertuples():
        assert f"{100 * row.value:.1f} %" in text
        assert f"{100 * row.low:.1f} to {100 * row.high:.1f}" in text
    assert "next month" in text
    assert "next 12 months" in text
    assert "too few cut-offs" in text  # 28 cut-offs are two years of them, and a bit


def test_the_page_names_licence_provenance_sources_and_limits(html: str) -> None:
    text = " ".join(Reader(html).text)
    assert report.LICENCE in text
    for said in ("2026-10", "3f2a", "2022-07", "Silverman 1986", "Blurs what is sharp."):
        assert said in text
    for said in ("Floor and ceiling", "Ties", "Recorded crime is not crime", "anonymous places"):
        assert said in text


def test_all_text_is_escaped(tmp_path: Path, html: str) -> None:
    assert 'made up <b>for tests</b> & "nothing" else' in " ".join(Reader(html).text)
    nasty = '<script>alert("x")</script>'
    rows = plausible_evaluations()
    rows = rows[(rows["scope"] == "gwent") & (rows["horizon_steps"] == 1)]
    rows = rows.replace({"model": {"smooth": nasty}, "scope": {"gwent": nasty + "&'"}})
    rows = rows.assign(crime_type=rows["crime_type"].replace("Drugs", nasty))
    models = {
        nasty if name == "smooth" else name: MadeUp(nasty, model.role, nasty, nasty)
        for name, model in MODELS.items()
    }
    board = rank_models(rows, {name: model.role for name, model in models.items()})
    path = report.write_report(tmp_path, board, rows, models, {nasty: [nasty]}, HEADLINE)
    check_page(path.read_text("utf-8"))


def test_a_page_without_anything_ranked_is_a_page(tmp_path: Path) -> None:
    rows, board = plausible_evaluations(), plausible_leaderboard()
    path = report.write_report(tmp_path / "new", board[:0], rows[:0], MODELS, {}, HEADLINE)
    read = check_page(path.read_text("utf-8"))
    assert "Nothing is ranked yet." in " ".join(read.text)


def test_few_cut_offs_days_and_other_metrics_make_a_page_too(tmp_path: Path) -> None:
    rows = plausible_evaluations()
    rows = rows[(rows["month"] >= "2025-01") & (rows["scope"] == "gwent")]
    pai = rows[rows["metric"] == "hit_rate"].assign(metric="pai", step="day", unit="segment")
    pai["value"] /= pai["coverage"]
    board = rank_models(pai, ROLES)
    path = report.write_report(tmp_path, board, pai, MODELS, {}, ("pai", 0.01))
    text = " ".join(check_page(path.read_text("utf-8")).text)
    assert "next 3 days" in text
    assert "of the street length" in text


@pytest.mark.slow
def test_the_same_data_make_the_same_page(tmp_path: Path, html: str) -> None:
    board, rows = plausible_leaderboard(), plausible_evaluations()
    path = report.write_report(tmp_path, board, rows, MODELS, PROVENANCE, HEADLINE)
    assert path.read_text("utf-8") == html


# --- Pictures -------------------------------------------------------------------------------


def one(table: pd.DataFrame) -> pd.DataFrame:
    return table[
        (table["scope"] == "gwent")
        & (table["crime_type"] == "All crime")
        & (table["horizon_steps"] == 1)
    ]


def lines(figure: Figure) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in figure.axes[0].lines}


def test_hit_rate_curves_hold_means_at_each_coverage_on_a_log_axis() -> None:
    figure = report.hit_rate_curves(one(plausible_evaluations()), ROLES)
    assert figure.axes[0].get_xscale() == "log"
    drawn = lines(figure)
    assert {"perfect foresight (ceiling)", "chance (floor)"} < set(drawn)
    rows = one(plausible_evaluations())
    rows = rows[(rows["metric"] == "hit_rate") & (rows["model"] == "rolling_mean_12")]
    expected = 100 * rows.groupby("coverage")["value"].mean()
    assert drawn["rolling mean 12"][:, 0] == pytest.approx(100 * np.array(CURVE))
    assert drawn["rolling mean 12"][:, 1] == pytest.approx(expected.to_numpy())
    bounds = [line for line in figure.axes[0].lines if "ceiling" in str(line.get_label())]
    assert bounds[0].get_linestyle() == "--"


def test_six_lines_stand_out_by_colour_and_by_marker_and_the_others_are_pale() -> None:
    order = [name for name, role in ROLES.items() if role in ("baseline", "model")]
    figure = report.hit_rate_curves(one(plausible_evaluations()), ROLES, order)
    marked = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
    assert len(marked) == 6
    assert len({line.get_color() for line in marked}) == 6
    assert len({line.get_marker() for line in marked}) == 6
    assert [line.get_label() for line in marked] == [name.replace("_", " ") for name in order[:6]]
    assert "2 others" in lines(figure)


def test_lorenz_curves_run_from_nought_to_all() -> None:
    drawn = lines(report.lorenz_curves(one(plausible_evaluations()), ROLES))
    for name in ("perfect foresight (ceiling)", "rolling mean 3"):
        assert drawn[name][0].tolist() == [0, 0]
        assert drawn[name][-1].tolist() == [100, 100]
        assert (np.diff(drawn[name][:, 1]) >= 0).all()
    assert (drawn["perfect foresight (ceiling)"][:, 1] >= drawn["rolling mean 3"][:, 1]).all()


def test_skill_over_time_is_drawn_around_nought_without_the_bounds() -> None:
    skill = skill_of(one(plausible_evaluations()), ROLES, *HEADLINE)
    figure = report.skill_over_time(skill, ["rolling_mean_24"])
    drawn = lines(figure)
    assert not [name for name in drawn if "chance" in name or "foresight" in name]
    mine = skill[skill["model"] == "rolling_mean_24"]["difference"]
    assert drawn["rolling mean 24"][:, 1] == pytest.approx(100 * mine.to_numpy())
    assert any(set(line[:, 1]) == {0} for line in drawn.values())
    assert report.skill_over_time(skill, metric="brier").axes[0].yaxis_inverted()


def test_calibration_takes_bands_between_coverages() -> None:
    rows = pd.DataFrame(
        [
            (metric, coverage, value, "2025-01", "rolling_mean_12")
            for metric, values in (("expected_crimes", (5, 9, 10)), ("crimes", (4, 10, 12)))
            for coverage, value in zip((0.01, 0.1, 1.0), values, strict=True)
        ],
        columns=["metric", "coverage", "value", "month", "model"],
    )
    figure = report.calibration(rows, ROLES)
    # bands of 1 %, 9 % and 90 % of the area
    drawn = lines(figure)["rolling mean 12"]
    assert drawn == pytest.approx(np.array([[5, 4], [4 / 9, 6 / 9], [1 / 90, 2 / 90]]))
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_a_model_of_few_cut_offs_has_no_part_in_the_curves() -> None:
    """GLDNet was asked in the last two months: the others' curves are of all of theirs."""
    months = [f"2025-{n:02}" for n in range(1, 11)]
    rows = pd.DataFrame(
        [
            (metric, coverage, 10.0 * n * coverage, month, "rolling_mean_12")
            for metric in ("expected_crimes", "crimes", "hit_rate")
            for coverage in (0.5, 1.0)
            for n, month in enumerate(months)
        ]
        + [
            (metric, coverage, 90.0 * coverage, month, "gldnet")
            for metric in ("crimes", "hit_rate")
            for coverage in (0.5, 1.0)
            for month in months[-2:]
        ],
        columns=["metric", "coverage", "value", "month", "model"],
    )
    curves = report._mean_curves(rows, "hit_rate")
    assert list(curves.columns) == ["rolling_mean_12"]
    assert curves["rolling_mean_12"].tolist() == [22.5, 45.0]
    drawn = lines(report.calibration(rows, ROLES | {"gldnet": "model"}))["rolling mean 12"]
    assert drawn[:, 0] == pytest.approx(drawn[:, 1])  # what is expected is what came


def test_the_leaderboard_picture_fits_into_metadata() -> None:
    from crime_assets.hexes.pictures import png

    board = one(plausible_leaderboard())
    group = board[board["coverage"] == 0.05]
    figure = report.leaderboard_picture(group)
    assert len(png(figure)) < 40 * 1024
    assert png(figure) == png(report.leaderboard_picture(group))
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    best = group[group["rank"] == 1].iloc[0]
    assert names[0] == f"{best['model'].replace('_', ' ')}  {100 * best['value']:.1f} %"
    assert len(names) == len(MODELS)


def test_a_picture_of_too_few_cut_offs_has_dots_alone() -> None:
    few = one(plausible_evaluations())
    few = few[few["month"] < "2022-04"]
    group = rank_models(few, ROLES)
    group = group[group["coverage"] == 0.05]
    assert (group["verdict"] == "too few cut-offs").all()
    figure = report.leaderboard_picture(group)
    assert all(len(line.get_xdata()) == 1 for line in figure.axes[0].lines)


def test_horizons_and_numbers_are_written_as_people_say_them() -> None:
    assert report.next_steps("month", 1) == "next month"
    assert report.next_steps("day", 7) == "next 7 days"
    assert report.figure("hit_rate", 0.3124) == "31.2 %"
    assert report.figure("pai", 6.2389) == "6.24"
    assert report.figure("pai", 1234.5) == "1,234"
    assert report.figure("auroc", math.nan) == "–"
    assert report.difference("hit_rate", -0.0041) == "−0.4 points"
    assert report.difference("hit_rate", 0.0004) == "+0.04 points"
    assert report.difference("hit_rate", -0.00001) == "0.00 points"
    assert report.difference("brier", 0.0) == "0"
