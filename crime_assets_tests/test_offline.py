"""What ``make dev-offline`` says while a release arrives."""

from __future__ import annotations

import threading
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from crime_assets.offline import watch
from crime_assets.sources.double import PoliceUkDouble
from crime_assets_tests.sources.archives import member_name, street_csv, write_zip


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    folder = tmp_path / "website"
    folder.mkdir()
    for month in ("2025-11", "2025-12"):
        write_zip(folder / f"{month}.zip", {member_name(month, "kent"): street_csv(month, 3)})
    return folder


def until(text: str, said: StringIO) -> None:
    deadline = time.monotonic() + 20
    while text not in said.getvalue():
        assert time.monotonic() < deadline, f"it never said {text!r}: {said.getvalue()!r}"
        time.sleep(0.05)


@pytest.mark.parametrize("by_hand", [False, True])
def test_it_says_when_a_release_is_out_and_when_it_is_on_the_map(
    archives: Path, tmp_path: Path, by_hand: bool
) -> None:
    maps, said = tmp_path / "maps", StringIO()
    with PoliceUkDouble(archives, releases=["2025-11"]) as double:
        watching = threading.Thread(
            target=watch,
            args=(double, "2025-12", 3600.0 if by_hand else 0.0, maps, "http://here",
                  Console(file=said, width=200)),
        )  # fmt: skip
        watching.start()
        if by_hand:
            time.sleep(0.5)
            assert said.getvalue() == ""
            double.publish("2025-12")
        until("2025-12 is out.", said)
        assert double.published == ["2025-11", "2025-12"]
        assert "on the map" not in said.getvalue()
        (maps / "2025-12").mkdir(parents=True)
        (maps / "2025-12" / "index.html").touch()
        watching.join(20)
        assert not watching.is_alive()
    assert "2025-12 is on the map, 0 s later: http://here/2025-12/" in said.getvalue()
