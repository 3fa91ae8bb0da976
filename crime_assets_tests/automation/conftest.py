"""A website to follow, of the sample's last twenty months, and a lake of its earlier release."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crime_assets.demo import sample_environment
from crime_assets.partitions import months_back
from crime_assets.sources.double import PoliceUkDouble, earlier_release
from crime_assets.sources.sample import write_sample
from crime_assets_tests.conftest import made_once
from crime_assets_tests.deployment import finished, module
from crime_assets_tests.sources.archives import checksums

FIRST = "2024-05"
"""A map needs half of 36 months, and that of 2025-10 is drawn anew when a file of it is revised."""


@dataclass(frozen=True)
class Website:
    """The sample, and a folder of the archives of two releases: of 2025-11 and of 2025-12.

    The newer adds a month, and revises one file: of sample-dogger, of 2025-10.
    """

    sample: Path
    archive: Path
    releases: tuple[str, str]

    @property
    def months(self) -> list[str]:
        """The months that the newer release holds."""
        return months_back(self.releases[1], 20)

    def settings(self, double: PoliceUkDouble, data: Path | str) -> dict[str, str]:
        """The environment of a deployment that follows ``double``, with all it makes in ``data``.

        It starts nothing by itself.
        """
        return sample_environment(self.sample) | {
            "CRIME_ARCHIVE_URL": double.archive_url,
            "CRIME_API_URL": double.api_url,
            "CRIME_DATA_DIR": str(data),
            "CRIME_THREADS": "2",
            "CRIME_MEMORY_LIMIT": "1GB",
        }


@pytest.fixture(scope="session")
def website(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    """The website's files, made once for all workers."""

    def make(folder: Path) -> None:
        sample = write_sample(folder / "sample")
        for published in sorted(sample.archive.glob("*.zip")):
            (folder / "of-the-year").mkdir(exist_ok=True)
            with (
                zipfile.ZipFile(published) as whole,
                zipfile.ZipFile(folder / "of-the-year" / published.name, "w") as part,
            ):
                for member in whole.infolist():
                    if member.filename >= FIRST:
                        part.writestr(member, whole.read(member), zipfile.ZIP_DEFLATED)
        earlier_release(folder / "of-the-year", folder / "archive")

    with made_once(tmp_path_factory, "website", make) as folder:
        older, newer = sorted(path.stem for path in (folder / "archive").glob("*.zip"))
        yield Website(folder / "sample", folder / "archive", (older, newer))


@dataclass(frozen=True)
class Filled:
    """A lake of the earlier release, made by `make backfill`, and the instance that saw it made.

    Copies are what tests change: :meth:`copy`.
    """

    website: Website
    folder: Path

    @property
    def data(self) -> Path:
        """Where CRIME_DATA_DIR was."""
        return self.folder / "data"

    def copy(self, folder: Path) -> tuple[Path, Path]:
        """The folder of the data and the home of the instance, to be changed."""
        for name in ("data", "home"):
            shutil.copytree(self.folder / name, folder / name)
        return folder / "data", folder / "home"


@pytest.fixture(scope="session")
def filled(website: Website, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The lake of the earlier release, made once for all workers."""

    def make(folder: Path) -> None:
        with PoliceUkDouble(website.archive, releases=website.releases[:1]) as double:
            process = module(
                "crime_assets.automation.backfill",
                website.months[0],
                website.releases[0],
                home=folder / "home",
                settings=website.settings(double, folder / "data"),
            )
            finished(process)

    with made_once(tmp_path_factory, "filled", make) as folder:
        yield Filled(website, folder)


def trees(data: Path) -> dict[str, str]:
    """The SHA-256 of every file that readers see of a data folder: raw files, lake and maps."""
    return {
        f"{part}/{path}": digest
        for part in ("raw", "lake", "maps")
        for path, digest in checksums(data / part).items()
        if not any(name.startswith(".") for name in path.split("/"))
    }


def remove_months(data: Path, months: Collection[str]) -> None:
    """Take months out of a lake, as if they had never been made."""
    for month in months:
        for folder in [*data.glob(f"*/*/month={month}"), *data.glob(f"maps/{month}")]:
            shutil.rmtree(folder)
