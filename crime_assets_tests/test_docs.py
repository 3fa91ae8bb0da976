"""The documentation: links and pictures lead somewhere, the reference is whole, the site builds."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import yaml

from crime_assets.quality.runner import suite_tables
from crime_assets.register import ALL_CRIME, CRIME_TYPES
from crime_assets.settings import SETTINGS
from crime_assets.tables import TABLES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / f"{n}.md" for n in ("README", "CHANGELOG")),
                ROOT / "CONTRIBUTING.md"])  # fmt: skip
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
LOCAL_PATH = re.compile(r"(?<![\w.~$])(/(work|home|root|tmp|Users)/|[A-Z]:\\)")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def reference() -> ModuleType:
    """``docs/generate_reference.py``, as a module."""
    spec = importlib.util.spec_from_file_location(
        "generate_reference", DOCS / "generate_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def generated() -> dict[str, str]:
    """The pages of the reference that are made from the code, by their path in ``docs/``."""
    return reference().pages()


def links(page: Path) -> list[tuple[bool, str, str]]:
    """Whether it is a picture, the text, and the target, of each link outside code blocks."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    return [(bool(mark), words, target) for mark, words, target in LINK.findall(text)]


@pages
def test_each_link_and_picture_leads_to_a_file(page: Path) -> None:
    for _, words, target in links(page):
        if re.match(r"(https?|mailto):", target) or target.startswith("#"):
            continue
        path = (page.parent / target.split("#")[0]).resolve()
        is_generated = path.is_relative_to(DOCS) and str(path.relative_to(DOCS)) in generated()
        assert path.is_file() or is_generated, f"[{words}]({target})"


@pages
def test_each_picture_is_described_in_words(page: Path) -> None:
    for is_picture, words, target in links(page):
        assert not is_picture or len(words.split()) > 6, target


def test_no_page_names_a_path_of_the_machine_that_it_was_written_on() -> None:
    texts = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
    for name, text in {**texts, **generated()}.items():
        assert not LOCAL_PATH.findall(text), name


def test_pictures_are_small_and_each_is_shown() -> None:
    shown = {target.rsplit("/", 1)[-1] for page in PAGES for _, _, target in links(page)}
    pictures = list(PICTURES.glob("*.png"))
    assert len(pictures) >= 8
    for picture in pictures:
        assert picture.stat().st_size < 200 * 1024, picture.name
        assert picture.name in shown, f"{picture.name} is in no page"


def test_the_readme_names_commands_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"```sh\n(.*?)```", text, flags=re.S) + re.findall(
            r"`(make [a-z-]+)`", text
        ):
            for target in re.findall(r"^make (?:[A-Z]+=\S+\s+)?([a-z-]+)", block, flags=re.M):
                assert target in targets, f"{page.name}: make {target}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in ("demo", "test", "dev", "check", "bench", "docs"):
        assert f"make {target}" in readme


@pages
def test_shell_commands_name_assets_and_settings_that_exist(page: Path) -> None:
    settings = {setting.name for setting in SETTINGS}
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"\bCRIME_[A-Z_]+\b", text)) <= settings
    for selection in re.findall(r"--select ([\w,]+)", text):
        assert set(selection.split(",")) <= set(asset_names())


def asset_names() -> list[str]:
    graph = reference()._definitions().resolve_asset_graph()
    return [key.to_user_string() for key in graph.get_all_asset_keys()]


# --- The reference --------------------------------------------------------------------------


def test_the_reference_lists_each_setting_with_its_default() -> None:
    page = reference().settings_page()
    for setting in SETTINGS:
        assert f"## `{setting.name}`" in page
        assert setting.default in page
        assert setting.description in page


def test_the_reference_lists_each_table_with_its_columns() -> None:
    page = reference().tables_page()
    for table in TABLES.values():
        section = page.split(f"## `{table.name}` ")[1].split("\n## ")[0]
        assert table.row in section
        for column in table.columns:
            assert f"| `{column.name}` | `{column.type}` |" in section


def test_the_reference_lists_each_asset_with_its_checks() -> None:
    page = reference().assets_page()
    graph = reference()._definitions().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        section = page.split(f"### `{key.to_user_string()}` ")[1].split("\n### ")[0]
        assert (graph.get(key).description or "").strip() in section
        for check in graph.get(key).check_keys:
            promise = " ".join((graph.get_check_spec(check).description or "").split())
            assert f"| `{check.name}` | {promise} |" in section


def test_the_reference_says_over_which_months_a_table_looks_back() -> None:
    page = reference().assets_page()
    hotspots = page.split("### `hotspots` ")[1].split("\n### ")[0]
    assert "[`hex_counts`](#hex_counts): the 12 months that end with this one" in hotspots
    frequency = page.split("### `hotspot_frequency` ")[1].split("\n### ")[0]
    assert "[`hotspots`](#hotspots): the 36 months that end with this one" in frequency


def test_the_reference_lists_each_expectation_suite() -> None:
    page = reference().expectations_page()
    for table in suite_tables():
        assert f"## `{table}`" in page


def test_the_expectations_page_can_be_made_without_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference().runner, "suite_tables", list)
    assert "There are none yet." in reference().expectations_page()


def test_each_module_has_its_docstrings_in_the_navigation() -> None:
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    shown = set(re.findall(r"reference/api/(\w+)\.md", str(configuration["nav"])))
    assert shown == set(reference().rooms())
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "crime_assets").rglob("*.py")
    }
    assert {m for of_room in reference().rooms().values() for m in of_room} == modules


# --- What pages say of the code and the data --------------------------------------------------


def test_the_template_of_weights_has_a_line_for_each_type_in_use() -> None:
    page = (DOCS / "how-to" / "rank-by-harm.md").read_text(encoding="utf-8")
    template = page.split("crime_type,weight\n")[1].split("```")[0].split()
    in_use = [t.crime_type for t in CRIME_TYPES.values() if not t.last_month]
    assert " ".join(template) == " ".join(f"{crime_type}," for crime_type in in_use)


def test_the_page_of_the_two_claims_quotes_the_measured_stability() -> None:
    page = (DOCS / "explanation" / "two-claims.md").read_text(encoding="utf-8")
    measured = pd.read_csv(PICTURES / "stability.csv")
    gwent = measured[measured["scope"] == "gwent"]
    assert gwent["crime_type"].nunique() == 15
    means = gwent.groupby(["compared_with", "window_months"])["mean"].mean().unstack()
    for compared, row in means.iterrows():
        assert f"| {compared} | {row[1]:.3f} | {row[3]:.3f} | {row[12]:.3f} |" in page


def test_the_page_of_the_two_claims_quotes_the_measured_concentration() -> None:
    page = (DOCS / "explanation" / "two-claims.md").read_text(encoding="utf-8")
    measured = pd.read_csv(PICTURES / "concentration.csv")
    weapons = measured[measured["crime_type"] == "Possession of weapons"]
    assert ALL_CRIME not in set(measured["crime_type"])
    assert weapons["scope"].nunique() == 8
    assert f"median {100 * weapons['captured'].median():.1f} %" in page
    assert f"median {weapons['gini'].median():.3f}; the 10th" in page
    assert f"median {weapons['modified_gini'].median():.3f}, the lowest" in page
    pairs = measured.dropna(subset="gini_equal")
    greater = pairs[pairs["gini_equal"] > pairs["weapons_gini"]]
    assert f"In {len(greater)} of {len(pairs)} pairs" in page
    by_type = (
        greater.groupby("crime_type").size().reindex(pairs["crime_type"].unique(), fill_value=0)
    )
    rows = re.findall(r"^\| ([a-z ,-]+) \| (\d) \|$", page, flags=re.M)
    quoted = {
        crime_type.capitalize(): int(forces)
        for types, forces in rows
        for crime_type in re.split(r", (?:and )?", types.replace("damage and", "damage&"))
    }
    quoted = {t.replace("damage&", "damage and"): n for t, n in quoted.items()}
    assert quoted == by_type.to_dict()


def test_the_page_of_the_leaderboard_shows_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import make_leaderboards

    page = (DOCS / "explanation" / "leaderboard.md").read_text(encoding="utf-8")
    for folder in ("experiments", "pictures"):
        (tmp_path / folder).symlink_to(DOCS / folder)
    (tmp_path / "explanation").mkdir()
    (tmp_path / "explanation" / "leaderboard.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr(make_leaderboards, "DOCS", tmp_path)
    make_leaderboards.write_page()
    assert (tmp_path / "explanation" / "leaderboard.md").read_text(encoding="utf-8") == page
    for name in make_leaderboards.EXPERIMENTS:
        measured = pd.read_csv(PICTURES / f"leaderboard-{name}.csv")
        assert measured["crime_type"].nunique() == 15, name
        assert measured["model"].nunique() >= 12, name


def leaderboards() -> dict[str, pd.DataFrame]:
    """What was measured for the next month, by experiment."""
    import make_leaderboards

    boards = {
        name: pd.read_csv(PICTURES / f"leaderboard-{name}.csv")
        for name in make_leaderboards.EXPERIMENTS
    }
    return {name: board[board["horizon_steps"] == 1] for name, board in boards.items()}


def test_the_page_of_the_leaderboard_quotes_what_won(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    page = (DOCS / "explanation" / "leaderboard.md").read_text(encoding="utf-8")
    opening = " ".join(page.split("## What won")[1].split("<!--")[0].split())
    boards = leaderboards()
    best = {
        name: board[board["rank"] == 1].drop_duplicates("crime_type").set_index("crime_type")
        for name, board in boards.items()
    }
    nation, gwent = best["england-and-wales-lsoas"], best["gwent"]
    real = {name: int((rows["naive_verdict"] == "better").sum()) for name, rows in best.items()}
    assert real == {
        "city-of-london": 1, "gwent": 9, "sheffield": 0, "england-and-wales-lsoas": 15,
    }  # fmt: skip
    assert "15 of 15 series over England and Wales, 9 of 15 in Gwent, 1 of 15" in opening
    assert {len(rows) for rows in best.values()} == {15}
    lead = 100 * nation["naive_difference"]
    assert lead.drop(ALL_CRIME).idxmin() == "Violence and sexual offences"
    assert lead.idxmax() == "Possession of weapons"
    assert f"from {lead.min():.1f} points for violence to {lead.max():.1f} for" in opening
    for crime_type, words in (
        ("Bicycle theft", "to {:.1f} for bicycle theft"),
        ("Possession of weapons", "{:.1f} for possession of weapons"),
        ("Robbery", "{:.1f} for robbery"),
    ):
        assert words.format(100 * gwent.loc[crime_type, "naive_difference"]) in opening
    for model, quoted in (
        ("exponential_mean", "is {} points ahead of the mean of twelve months in Gwent, {} in "
         "Sheffield and {} over England and Wales"),
        ("poisson_regression", "Poisson regression {}, {} and {}"),
        ("point_process", "point process {}, {} and {}"),
    ):  # fmt: skip
        means = [
            f"{100 * board[board['model'] == model]['naive_difference'].mean():.1f}"
            for board in (boards[n] for n in ("gwent", "sheffield", "england-and-wales-lsoas"))
        ]
        assert quoted.format(*means) in opening
    for board in boards.values():
        for model in ("last_month", "same_month_last_year", "prospective"):
            assert not (board[board["model"] == model]["naive_difference"] > 0).any()
    for name, share in (("gwent", 88), ("england-and-wales-lsoas", 96)):
        rows = boards[name][boards[name]["crime_type"] == ALL_CRIME]
        value = rows.set_index("model")["value"]
        assert round(100 * value["rolling_mean_12"] / value["perfect_foresight"]) == share
        assert f"{100 * value['perfect_foresight']:.1f} %" in opening
        assert f"{share} %" in opening
    city = boards["city-of-london"]
    city = city[(city["crime_type"] == ALL_CRIME) & (city["rank"] == 1)]
    assert city["model"].tolist() == ["rolling_mean_12"]


# --- The site ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a link that leads nowhere fails."""
    folder = tmp_path_factory.mktemp("site")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CRIME_")}
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_page_of_neighbourhoods_quotes_what_was_measured() -> None:
    page = (DOCS / "explanation" / "neighbourhoods.md").read_text(encoding="utf-8")
    in_short = " ".join(page.split("## In short")[1].split("## What is known")[0].split())
    found = pd.read_csv(DOCS / "pictures" / "neighbourhoods.csv").set_index(
        ["label", "split", "model", "metric"]
    )["value"]
    for label, split, model in (
        ("is_hotspot", "time", "same_class"),
        ("is_hotspot", "time", "random_forest"),
        ("tier", "time", "same_class"),
        ("tier", "time", "random_forest"),
        ("bivariate", "time", "same_class"),
        ("bivariate", "time", "random_forest"),
        ("bivariate", "time", "gradient_boosting"),
        ("bivariate", "force", "random_forest"),
        ("bivariate", "force", "gradient_boosting"),
    ):
        accuracy = found[label, split, model, "accuracy"]
        assert f"{100 * accuracy:.1f}" in in_short, (label, split, model)


@pytest.mark.slow
def test_the_site_builds_strictly_and_has_every_page(site: Path) -> None:
    for name in [*generated(), *(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))]:
        assert (site / name).with_suffix(".html").is_file(), name
    assert not list(site.rglob("*.py"))


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>")
    for page in site.rglob("*.html"):
        assert not loads.findall(page.read_text(encoding="utf-8")), page.name


@pytest.mark.slow
def test_roles_in_docstrings_become_links(site: Path) -> None:
    page = (site / "reference" / "api" / "core.html").read_text(encoding="utf-8")
    prose = re.sub(r"<details.*?</details>", "", page, flags=re.S)
    assert 'href="#crime_assets.settings.SettingError"' in prose
    assert not re.search(r":(class|func|data|meth):", prose)
