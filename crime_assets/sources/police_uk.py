"""police.uk's archive of street crimes: find the member of a month and a force, and read it.

An archive ``YYYY-MM.zip`` holds 36 months; a member ``YYYY-MM/YYYY-MM-<force>-street.csv`` is one
force's crimes of one month. Archives differ in which forces they hold for a month, so a member is
taken from the newest archive that holds that member. What is done with its text is not known here.

Source: https://data.police.uk/about/#archives
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import IO, Any, Protocol

import dagster as dg
import fsspec
import numpy as np
from pydantic import PrivateAttr

from crime_assets import DataError

HEADER = (
    "Crime ID,Month,Reported by,Falls within,Longitude,Latitude,Location,"
    "LSOA code,LSOA name,Crime type,Last outcome category,Context"
)
ARCHIVE_MONTHS = 36
"""The months that an archive of data.police.uk holds, the last being its own."""

MAX_MEMBER_BYTES = 512 * 2**20
"""No force publishes a twentieth of it a month; a member that unpacks to more is a zip bomb."""

MAX_LINE_BYTES = 64 * 2**10
"""A published line has about 250 bytes."""

_MEMBER = re.compile(r"(?:.*/)?(\d{4}-\d{2})/\1-([a-z-]+)-street\.csv")
_RELEASE = re.compile(r"(?:.*/)?(\d{4}-\d{2})\.zip")
_BLOCK_BYTES = 2**17


class SourceError(DataError):
    """What was published cannot be used. The message names archive, member and cause."""


class UnknownMonth(SourceError):
    """No archive holds the month."""


@dataclass(frozen=True)
class Member:
    """A force's file of one month, or the fact that there is none.

    ``release`` is the archive that it comes from (``2025-12``), ``newest_release`` the newest
    archive that holds the month; ``url`` names archive and member; ``published`` is false where
    some archive holds the month and none holds the member: ``content`` is then empty.
    """

    month: str
    force: str
    release: str
    newest_release: str
    url: str
    published: bool
    content: bytes = b""


class _Archive(Protocol):
    """One release: which members it holds, by month and force, and their bytes."""

    release: str
    url: str

    @property
    def members(self) -> dict[tuple[str, str], str]: ...

    def read(self, name: str) -> bytes: ...


class PoliceUkArchive(dg.ConfigurableResource):
    """The street crimes of police.uk, from its website, a folder of zips, or a folder of CSVs.

    ``url`` is any that fsspec knows. Over HTTP a zip is read by range requests: its directory
    once, then only the member that is asked for. All kinds give the same bytes for a member.
    """

    url: str
    _archives: dict[str, _Archive] = PrivateAttr(default_factory=dict)

    def find(self, month: str, force: str) -> Member:
        """The newest published file of ``force`` for ``month``, with its content, checked.

        Raises :class:`UnknownMonth` where no archive holds the month, :class:`SourceError` where
        what lies there cannot be read or is no street-crime file.
        """
        newest_release = ""
        newest_url = ""
        for archive in self._newest_first(month):
            if not any(held == month for held, _ in archive.members):
                continue
            newest_release = newest_release or archive.release
            newest_url = newest_url or archive.url
            name = archive.members.get((month, force))
            if name is not None:
                member = Member(
                    month, force, archive.release, newest_release, f"{archive.url}/{name}", True
                )
                content = archive.read(name)
                check_content(content, member)
                return replace(member, content=content)
        if not newest_release:
            raise UnknownMonth(
                f"no archive in {self.url} holds {month}; the newest is "
                f"{max(self._releases, default='none')}"
            )
        return Member(month, force, newest_release, newest_release, newest_url, False)

    # --- which archives there are -----------------------------------------------------------

    @cached_property
    def _file_system(self) -> tuple[fsspec.AbstractFileSystem, str]:
        file_system, path = fsspec.core.url_to_fs(self.url)
        return file_system, path.rstrip("/")

    @cached_property
    def _releases(self) -> dict[str, str]:
        """The releases by name, with the address of each (a zip, or the folder of CSVs)."""
        file_system, root = self._file_system
        if "http" in (file_system.protocol if isinstance(file_system.protocol, tuple) else ()):
            return self._releases_by_address(file_system, root)
        if not file_system.isdir(root):
            raise SourceError(f"CRIME_ARCHIVE_URL {self.url}: there is no such folder")
        entries = file_system.ls(root, detail=False)
        zips = {m[1]: path for path in entries if (m := _RELEASE.fullmatch(path))}
        months = sorted(
            name for path in entries if re.fullmatch(r"\d{4}-\d{2}", name := path.rsplit("/", 1)[-1])
        )
        if zips and months:
            raise SourceError(
                f"{self.url} holds archives ({min(zips)}.zip ..) and unpacked months "
                f"({months[0]} ..); which of them is meant? Give each a folder of its own"
            )
        if not zips and not months:
            raise SourceError(
                f"{self.url} holds neither archives YYYY-MM.zip nor unpacked months YYYY-MM/"
            )
        return zips or {months[-1]: root}

    @staticmethod
    def _releases_by_address(file_system: fsspec.AbstractFileSystem, root: str) -> dict[str, str]:
        """A website does not list its archives: ``latest.zip`` redirects to the newest.

        Every month before it has an address as well; whether it is there is seen when asked.
        """
        try:
            newest = file_system.info(f"{root}/latest.zip")["url"]
        except Exception as error:
            raise SourceError(
                f"{root}/latest.zip cannot be asked which archive is the newest: {error}"
            ) from error
        match = _RELEASE.fullmatch(str(newest).split("?")[0])
        if match is None:
            raise SourceError(f"{root}/latest.zip leads to {newest}, not to a YYYY-MM.zip")
        last = np.datetime64(match[1])
        months = np.arange(np.datetime64("2010-12"), last + 1).astype(str)
        return {month: f"{root}/{month}.zip" for month in months}

    def _newest_first(self, month: str) -> Iterator[_Archive]:
        """The archives that may hold ``month``, the newest first."""
        file_system, root = self._file_system
        zips = list(self._releases.values()) != [root]
        for release in sorted(self._releases, reverse=True):
            if zips and not 0 <= _months_between(month, release) < ARCHIVE_MONTHS:
                continue
            archive = self._archives.get(release)
            if archive is None:
                archive = (
                    _Zip(file_system, self._releases[release], release)
                    if zips
                    else _Folder(file_system, root, release)
                )
                self._archives[release] = archive
            yield archive


class _Zip:
    """An archive as published. Its directory is read once and kept."""

    def __init__(self, file_system: fsspec.AbstractFileSystem, url: str, release: str) -> None:
        self._file_system, self.url, self.release = file_system, url, release

    def _open(self) -> IO[bytes]:
        options: dict[str, Any] = {}
        if "http" in self.url.split(":")[0]:
            options = {"block_size": _BLOCK_BYTES, "cache_type": "readahead"}
        return self._file_system.open(self.url, "rb", **options)

    @cached_property
    def _directory(self) -> dict[str, zipfile.ZipInfo]:
        try:
            with self._open() as file:
                try:
                    with zipfile.ZipFile(file) as archive:
                        return {info.filename: info for info in archive.infolist()}
                except (zipfile.BadZipFile, EOFError, ValueError) as error:
                    file.seek(0)
                    raise SourceError(
                        f"archive {self.url}: {_what_it_is(file.read(512))} ({error})"
                    ) from error
        except FileNotFoundError:
            return {}  # a website that no longer keeps this release

    @cached_property
    def members(self) -> dict[tuple[str, str], str]:
        return {(m[1], m[2]): name for name in self._directory if (m := _MEMBER.fullmatch(name))}

    def read(self, name: str) -> bytes:
        where = f"archive {self.url}, member {name}"
        info = self._directory[name]
        if info.file_size > MAX_MEMBER_BYTES:
            raise SourceError(
                f"{where}: it says that it unpacks to {info.file_size:,} bytes, more than the "
                f"{MAX_MEMBER_BYTES:,} that a month of a force can have"
            )
        try:
            with self._open() as file, zipfile.ZipFile(file) as archive, archive.open(info) as data:
                content = data.read(MAX_MEMBER_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise SourceError(f"{where}: damaged in the archive ({error})") from error
        if len(content) != info.file_size:
            raise SourceError(
                f"{where}: {len(content):,} bytes, but the archive promises {info.file_size:,}"
            )
        return content


class _Folder:
    """A folder of unpacked members: one release, named after its newest month."""

    def __init__(self, file_system: fsspec.AbstractFileSystem, url: str, release: str) -> None:
        self._file_system, self.url, self.release = file_system, url, release

    @cached_property
    def members(self) -> dict[tuple[str, str], str]:
        found = self._file_system.glob(f"{self.url}/*/*-street.csv")
        return {
            (m[1], m[2]): path.removeprefix(self.url).lstrip("/")
            for path in found
            if (m := _MEMBER.fullmatch(path))
        }

    def read(self, name: str) -> bytes:
        size = self._file_system.size(f"{self.url}/{name}")
        if size > MAX_MEMBER_BYTES:
            raise SourceError(
                f"archive {self.url}, member {name}: {size:,} bytes, more than the "
                f"{MAX_MEMBER_BYTES:,} that a month of a force can have"
            )
        return self._file_system.cat_file(f"{self.url}/{name}")


# --- what a member must be ------------------------------------------------------------------


def check_content(content: bytes, member: Member) -> None:
    """Raise :class:`SourceError` unless ``content`` is a street-crime file as a whole.

    It must be UTF-8 text that opens with :data:`HEADER`, once, in lines of at most
    :data:`MAX_LINE_BYTES`. Single lines that cannot be read are no concern of this check.
    """
    archive, _, name = member.url.rpartition(f"/{member.month}/")
    where = f"archive {archive}, member {member.month}/{name}"
    if not content:
        raise SourceError(f"{where}: zero bytes")
    if content[:1] == b"<" or content[:512].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise SourceError(f"{where}: an HTML page in place of a CSV file: {_start(content)}")
    longest = _longest_line(content)
    if longest > MAX_LINE_BYTES:
        raise SourceError(
            f"{where}: a line of {longest:,} bytes; no crime has more than {MAX_LINE_BYTES:,}"
        )
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start)
        raise SourceError(
            f"{where}: not UTF-8: byte 0x{content[error.start]:02x} at byte {error.start:,}"
            + (f", in line {line}" if line else ", in the header")
        ) from error
    header = content.split(b"\n", 1)[0].rstrip(b"\r").decode()
    if header != HEADER:
        raise SourceError(f"{where}: the header is {header[:300]!r}, not {HEADER!r}")
    again = content.find(HEADER.encode(), len(HEADER))
    if again >= 0:
        line = content.count(b"\n", 0, again)
        raise SourceError(f"{where}: the header stands again in line {line}: two files in one?")


def _longest_line(content: bytes) -> int:
    """The length in bytes of the longest line."""
    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n"))
    return int(np.diff(ends, prepend=-1, append=len(content)).max()) - 1


def _what_it_is(head: bytes) -> str:
    """What a file that is no zip seems to be, from its first bytes."""
    if not head:
        return "zero bytes in place of a zip"
    if head.lstrip()[:1] == b"<":
        return f"an HTML page in place of a zip: {_start(head)}"
    if head.startswith(b"PK\x03\x04"):
        return "a zip whose end is missing or damaged: truncated"
    return f"no zip: it begins with {_start(head)}"


def _start(content: bytes) -> str:
    return repr(content[:60].decode("utf-8", "replace"))


def _months_between(earlier: str, later: str) -> int:
    """Months from ``earlier`` to ``later`` (``2025-09``), negative where it is later."""
    return int((np.datetime64(later) - np.datetime64(earlier)).astype(int))
