"""The folder of a map: old or new and never half, and the same bytes from the same data."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crime_assets.maps import site
from crime_assets.maps.site import Files, publish
from crime_assets_tests.sources.archives import checksums

DESCRIPTION = {"title": "Crime hotspots", "month": "2025-12"}
RANKING = "rankings/kent/all-crime-12"


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built page of four files, in the place of the real one; the start loads the one part,
    which loads the other.
    """
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    build(folder, "index-5f.js", "worker-12.js")
    (folder / "zoom.svg").write_text("the page's zoom.svg")
    monkeypatch.setattr(site, "PAGE", folder)
    return folder


def build(page: Path, *parts: str) -> None:
    """A page of these parts, each of which loads the next."""
    shutil.rmtree(page / "assets")
    (page / "assets").mkdir()
    (page / "index.html").write_text(f'<script src="./assets/{parts[0]}">')
    for part, following in zip(parts, [*parts[1:], "nothing"], strict=True):
        (page / "assets" / part).write_text(f"import('./{following}')")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "maps" / "2025-12"


def publish_map(target: Path, crimes: int, **described: Any) -> str:
    """A map of one ranking; returns its version."""
    files = Files(target)
    files.add(RANKING, {"hex_id": [7], "crimes": [crimes]})
    return publish(files, DESCRIPTION | described)


def read_map(target: Path) -> int:
    """The crimes of the ranking, as a page finds them: by ``map.json``."""
    described = json.loads((target / "map.json").read_text())
    read = site.unpack(target / described["data"] / f"{RANKING}.json.gz")
    return int(read["crimes"][0])


def data_folders(target: Path) -> set[str]:
    return {path.name for path in target.iterdir() if "data-" in path.name}


# --- Files ----------------------------------------------------------------------------------


def test_a_file_is_json_without_spaces_packed_with_gzip(target: Path) -> None:
    files = Files(target)
    content = {"places": ["Café Lane", None], "hot": [2**36 - 1, 0]}
    files.add("rankings/kent/drugs-1", content)
    packed = (files.folder / "rankings" / "kent" / "drugs-1.json.gz").read_bytes()
    assert packed[:2] == b"\x1f\x8b"
    text = '{"places":["Café Lane",null],"hot":[68719476735,0]}'
    assert gzip.decompress(packed).decode() == text
    assert files.read("rankings/kent/drugs-1") == content
    assert (files.count, files.bytes) == (1, len(packed))


def test_what_is_no_json_is_refused(target: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Files(target).add("rankings/kent/drugs-1", {"largest": [float("nan")]})


def test_the_version_says_the_names_and_what_they_hold(target: Path) -> None:
    def version(*files: tuple[str, int]) -> str:
        written = Files(target)
        for name, content in files:
            written.add(name, content)
        return written.version

    versions = [
        version(("a", 1)),
        version(("b", 1)),
        version(("a", 2)),
        version(("a", 1), ("b", 1)),
    ]
    assert len(set(versions)) == 4
    assert versions[0] == version(("a", 1))


def test_what_is_discarded_leaves_nothing(target: Path) -> None:
    files = Files(target)
    files.add(RANKING, 1)
    files.discard()
    files.discard()
    assert list(target.iterdir()) == []


# --- Publishing -----------------------------------------------------------------------------


def test_a_map_is_its_page_its_data_and_what_names_it(target: Path) -> None:
    version = publish_map(target, 5, scopes=[{"name": "Île"}])
    described = json.loads((target / "map.json").read_text(encoding="utf-8"))
    data = described.pop("data")
    assert re.fullmatch(r"data-[0-9a-f]{12}", data)
    assert described == {"format": 1, **DESCRIPTION, "scopes": [{"name": "Île"}]}
    assert re.fullmatch(r"[0-9a-f]{64}", version)
    assert set(checksums(target.parent)) == {
        "index.html",
        "2025-12/index.html",
        "2025-12/assets/index-5f.js",
        "2025-12/assets/worker-12.js",
        "2025-12/zoom.svg",
        "2025-12/map.json",
        f"2025-12/{data}/{RANKING}.json.gz",
    }
    assert (target / "assets" / "worker-12.js").read_text() == "import('./nothing')"


def test_the_same_data_gives_the_same_bytes_and_version(target: Path, tmp_path: Path) -> None:
    version = publish_map(target, 5)
    first = checksums(target.parent)
    assert publish_map(target, 5) == version
    assert checksums(target.parent) == first
    assert publish_map(tmp_path / "elsewhere" / "2025-12", 5) == version
    assert checksums(tmp_path / "elsewhere") == first


def test_other_data_or_another_description_is_another_version(target: Path) -> None:
    versions = {publish_map(target, 5), publish_map(target, 6), publish_map(target, 6, note="x")}
    assert len(versions) == 3


def test_the_data_of_the_map_before_stays_and_older_data_goes(target: Path) -> None:
    kept = []
    for crimes in range(4):
        publish_map(target, crimes)
        assert read_map(target) == crimes
        kept.append(json.loads((target / "map.json").read_text())["data"])
        assert data_folders(target) == set(kept[-2:])


def test_publishing_the_same_map_again_keeps_the_data_of_the_one_before(target: Path) -> None:
    for crimes in (1, 2, 2):
        publish_map(target, crimes)
    assert len(data_folders(target)) == 2


def test_another_description_of_the_same_data_keeps_it(target: Path) -> None:
    publish_map(target, 1)
    publish_map(target, 1, note="a made-up sample")
    assert read_map(target) == 1
    assert json.loads((target / "map.json").read_text())["note"] == "a made-up sample"


def watch(monkeypatch: pytest.MonkeyPatch, look: Callable[[str], None]) -> None:
    """Call ``look`` with the name of what changed after each move, removal and copy."""
    for owner, name in ((os, "replace"), (Path, "rename"), (shutil, "rmtree")):
        original = getattr(owner, name)

        def watched(*given: Any, _original: Callable = original, **options: Any) -> Any:
            done = _original(*given, **options)
            look(Path(given[-1] if _original.__name__ == "replace" else given[0]).name)
            return done

        monkeypatch.setattr(owner, name, watched)


def test_at_every_step_a_reader_finds_the_data_that_the_map_names(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_map(target, 0)
    publish_map(target, 1)
    seen: list[int] = []
    watch(monkeypatch, lambda _: seen.append(read_map(target)))
    publish_map(target, 2)
    assert len(seen) == 8  # the data, four files of the page, the map, the old data, the start page
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}


def test_what_starts_the_page_comes_after_what_it_is_made_of_and_the_map_last(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced: list[str] = []
    watch(monkeypatch, replaced.append)
    publish_map(target, 1)
    assert replaced[0].startswith(".data-")
    assert set(replaced[1:4]) == {"index-5f.js", "worker-12.js", "zoom.svg"}
    assert replaced[4:] == ["index.html", "map.json", "index.html"]  # the last is of all maps


@pytest.mark.parametrize("step", ["rename", "_copy_page", "atomic", "_list_maps"])
def test_when_publishing_fails_midway_the_old_map_or_the_new_one_is_whole(
    target: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    publish_map(target, 0)
    publish_map(target, 1)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    files = Files(target)
    files.add(RANKING, {"hex_id": [7], "crimes": [2]})
    with monkeypatch.context() as patched:
        patched.setattr(Path if step == "rename" else site, step, fail)
        with pytest.raises(OSError, match="the disk is full"):
            publish(files, DESCRIPTION)
    assert read_map(target) == (2 if step == "_list_maps" else 1)
    files.discard()
    publish_map(target, 3)
    assert read_map(target) == 3
    assert len(data_folders(target)) == 2
    assert not list(target.rglob(".*"))


def test_a_page_that_was_built_anew_replaces_the_old_one(target: Path, page: Path) -> None:
    publish_map(target, 1)
    build(page, "index-77.js", "worker-12.js")
    publish_map(target, 1)
    assert "index-77.js" in (target / "index.html").read_text()
    assert parts_of(target) == {"index-5f.js", "index-77.js", "worker-12.js"}


def parts_of(target: Path) -> set[str]:
    return {path.name for path in (target / "assets").iterdir()}


def test_parts_of_the_page_before_stay_for_who_has_it_open_and_older_ones_go(
    target: Path, page: Path
) -> None:
    build(page, "index-1.js", "list-1.js", "worker-1.js")
    publish_map(target, 1)
    build(page, "index-2.js", "list-2.js", "worker-1.js")
    publish_map(target, 1)
    both = {"index-1.js", "list-1.js", "worker-1.js", "index-2.js", "list-2.js"}
    assert parts_of(target) == both
    publish_map(target, 2)  # the same page again
    assert parts_of(target) == both
    build(page, "index-3.js", "list-2.js")
    publish_map(target, 2)
    assert parts_of(target) == {"index-2.js", "index-3.js", "list-2.js", "worker-1.js"}


def test_parts_go_only_when_the_new_map_is_there(
    target: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_map(target, 1)
    build(page, "index-2.js")
    publish_map(target, 2)
    build(page, "index-3.js")
    before = parts_of(target)
    seen: list[tuple[str, bool]] = []
    watch(monkeypatch, lambda name: seen.append((name, before <= parts_of(target))))
    publish_map(target, 3)
    replaced = [name for name, _ in seen]
    assert all(whole for _, whole in seen[: replaced.index("map.json") + 1])
    assert parts_of(target) == {"index-2.js", "index-3.js"}


def test_without_a_built_page_the_data_is_published_alone(target: Path, page: Path) -> None:
    assert site.is_built()
    shutil.rmtree(page)
    assert not site.is_built()
    publish_map(target, 5)
    assert read_map(target) == 5
    assert {path.name for path in target.iterdir()} == {"map.json", *data_folders(target)}


@pytest.mark.parametrize(
    "left", ["", '{"format": 1, "data": "data-', "[1, 2]", '{"name": "not a map"}', "\udcff"]
)
def test_a_map_that_cannot_be_read_is_made_anew(target: Path, left: str) -> None:
    publish_map(target, 1)
    (target / "map.json").write_bytes(left.encode(errors="surrogateescape"))
    publish_map(target, 2)
    assert read_map(target) == 2
    assert len(data_folders(target)) == 1


# --- The start page -------------------------------------------------------------------------


def test_the_start_page_lists_the_months_the_newest_first(target: Path) -> None:
    for month in ("2025-11", "2026-01", "2025-12"):
        publish_map(target.with_name(month), 1, title="Crime & <harm>")
    (target.parent / "2024-01").mkdir()  # of a map that could not be made
    for name, found in (("2024-02", '{"title": "Cr'), ("else", "[]"), ("other", '{"name": 1}')):
        (target.parent / name).mkdir()
        (target.parent / name / "map.json").write_text(found)
    site._list_maps(target.parent)
    start = (target.parent / "index.html").read_text()
    assert re.findall(r'href="(.*?)"', start) == ["2026-01/", "2025-12/", "2025-11/"]
    assert "Crime &amp; &lt;harm&gt;, 2026-01</a>" in start
