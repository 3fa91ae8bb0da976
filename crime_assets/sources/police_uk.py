"""police.uk's archive of street crimes: find the member of a month and a force, and read it.

An archive ``YYYY-MM.zip`` holds 36 months; a member ``YYYY-MM/YYYY-MM-<force>-street.csv`` is one
force's crimes of one month. Archives differ in which forces they hold for a month, so a member is
taken from the newest archive that holds that member. What is done with its text is not known here.

Source: https://data.police.uk/about/#archives
"""

from __future__ import annotations

import hashlib
import re
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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

MAX_LINES = 1_000_000
"""No force publishes a fifth of it a month."""

MAX_LINE_BYTES = 64 * 2**10
"""A published line has about 250 bytes."""

_MEMBER = re.compile(r"(?:.*[/\\])?(\d{4}-\d{2})[/\\]\1-([a-z-]+)-street\.csv", re.DOTALL)
_RELEASE = re.compile(r"(?:.*/)?(\d{4}-\d{2})\.zip")
_BLOCK_BYTES = 2**16
_LOCAL_HEADER_BYTES = 30
_LOCAL_EXTRA_BYTES = 64
"""What a local header may hold beyond the directory's copy of it; more costs a second request."""


class SourceError(DataError):
    """What was published cannot be used. The message names archive, member and cause."""


class UnknownMonth(SourceError):
    """No archive holds the month."""


class SourceUnreachable(ConnectionError):
    """What was published cannot be read now, be it the network or a disk: worth another try."""


@dataclass(frozen=True)
class Member:
    """A force's file of one month, or the fact that there is none.

    ``release`` is the archive that it comes from (``2025-12``), ``newest_release`` the newest
    archive that holds the month; ``url`` says where it was found (no part of what it is: a
    mirror has the same member); ``published`` is false where some archive holds the month and
    none holds the member: ``content`` is then empty. ``sha256`` is that of ``content``;
    ``deflated`` is ``content`` as a zip holds it, where it came from one.
    """

    month: str
    force: str
    release: str
    newest_release: str
    url: str = field(compare=False)
    published: bool
    sha256: str
    content: bytes = field(default=b"", repr=False)
    deflated: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"{self.month}/{self.month}-{self.force}-street.csv of the archive {self.release}"


@dataclass(frozen=True)
class _Bytes:
    """The bytes of a member, and their deflated form where the archive has it."""

    content: bytes
    deflated: bytes | None = None


class _Archive(Protocol):
    """One release: the names of its members by month and force, and their bytes."""

    release: str
    url: str

    @property
    def members(self) -> dict[tuple[str, str], list[str]]: ...

    def read(self, name: str) -> _Bytes: ...


class PoliceUkArchive(dg.ConfigurableResource):
    """The street crimes of police.uk, from its website, a folder of zips, or a folder of CSVs.

    ``url`` is any that fsspec knows. Over HTTP a zip is read by range requests: its directory
    once, then only the member that is asked for. All kinds give the same bytes for a member.
    Several threads may ask at a time.
    """

    url: str
    _archives: dict[str, _Archive] = PrivateAttr(default_factory=dict)
    _looking: Any = PrivateAttr(default_factory=threading.Lock)

    def find(self, month: str, force: str) -> Member:
        """The newest published file of ``force`` for ``month``, with its content, checked.

        Raises :class:`UnknownMonth` where no archive holds the month, :class:`SourceError` where
        what lies there is no archive or no street-crime file, :class:`SourceUnreachable` where it
        cannot be read now.
        """
        name = f"{month}/{month}-{force}-street.csv"
        with self._looking:  # a directory is read once, whoever asks first
            newest, holder = self._newest_holding(month, force)
        if newest is None:
            raise UnknownMonth(
                f"no archive in {self.url} holds {month}; the newest is "
                f"{max(self._releases, default='none')}"
            )
        if holder is None:
            empty = hashlib.sha256().hexdigest()
            return Member(month, force, newest.release, newest.release, newest.url, False, empty)
        names = holder.members[month, force]
        if names != [name]:
            raise SourceError(
                f"archive {holder.url}, member {name}: the archive holds "
                f"{' and '.join(map(_quoted, names[:4]))} in its place"
            )
        found = holder.read(name)
        check_content(found.content, f"archive {holder.url}, member {name}")
        return Member(
            month,
            force,
            holder.release,
            newest.release,
            f"{holder.url}/{name}",
            published=True,
            sha256=hashlib.sha256(found.content).hexdigest(),
            content=found.content,
            deflated=found.deflated,
        )

    def _newest_holding(self, month: str, force: str) -> tuple[_Archive | None, _Archive | None]:
        """The newest archive that holds the month, and the newest that holds the member."""
        newest = None
        for archive in self._newest_first(month):
            if any(held == month for held, _ in archive.members):
                newest = newest or archive
                if (month, force) in archive.members:
                    return newest, archive
        return newest, None

    # --- which archives there are -----------------------------------------------------------

    @cached_property
    def _file_system(self) -> tuple[fsspec.AbstractFileSystem, str]:
        file_system, path = fsspec.core.url_to_fs(self.url)
        return file_system, path.rstrip("/")

    @cached_property
    def _releases(self) -> dict[str, str]:
        """The releases by name, with the address of each (a zip, or the folder of CSVs)."""
        file_system, root = self._file_system
        if _is_http(root):
            return self._releases_by_address(file_system, root)
        if not file_system.isdir(root):
            raise SourceError(f"CRIME_ARCHIVE_URL {self.url}: there is no such folder")
        entries = file_system.ls(root, detail=False)
        zips = {m[1]: path for path in entries if (m := _RELEASE.fullmatch(path))}
        months = sorted(
            name
            for path in entries
            if re.fullmatch(r"\d{4}-\d{2}", name := path.rsplit("/", 1)[-1])
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
            raise SourceUnreachable(
                f"{root}/latest.zip cannot be asked which archive is the newest: {_cause(error)}"
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
    """An archive as published. Its directory is read once; a member is one range of its bytes."""

    def __init__(self, file_system: fsspec.AbstractFileSystem, url: str, release: str) -> None:
        self._file_system, self.url, self.release = file_system, url, release
        self._size: int | None = None

    def _open(self) -> IO[bytes]:
        """The archive to read and seek in; :class:`FileNotFoundError` where it does not exist."""
        if not _is_http(self.url):
            return self._file_system.open(self.url, "rb")
        try:
            file = self._file_system.open(
                self.url, "rb", block_size=_BLOCK_BYTES, cache_type="none", size=self._size
            )
        except FileNotFoundError as error:
            # fsspec says so of whatever goes wrong; only these say that nothing is there
            if getattr(error.__cause__, "status", None) in (404, 410):
                raise
            raise SourceUnreachable(
                f"archive {self.url}: it cannot be read now: {_cause(error)}"
            ) from error
        self._size = getattr(file, "size", None)
        if not self._size or not file.seekable():
            raise SourceError(f"archive {self.url}: its server gives no parts of it (ranges)")
        return file

    @cached_property
    def _directory(self) -> list[zipfile.ZipInfo]:
        try:
            with self._open() as file:
                try:
                    with zipfile.ZipFile(file) as archive:
                        return archive.infolist()
                except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
                    file.seek(0)
                    raise SourceError(
                        f"archive {self.url}: {_what_it_is(file.read(512))} ({error})"
                    ) from error
        except FileNotFoundError:
            return []  # a website that no longer keeps this release
        except (SourceError, SourceUnreachable):
            raise
        except Exception as error:  # whatever the file system raises: each has its own
            raise SourceUnreachable(
                f"archive {self.url}: it cannot be read now: {_cause(error)}"
            ) from error

    @cached_property
    def members(self) -> dict[tuple[str, str], list[str]]:
        return _names_by_member(info.filename for info in self._directory)

    def read(self, name: str) -> _Bytes:
        where = f"archive {self.url}, member {name}"
        info = next(info for info in self._directory if info.filename == name)
        if info.file_size > MAX_MEMBER_BYTES:
            raise SourceError(
                f"{where}: it says that it unpacks to {info.file_size:,} bytes, more than the "
                f"{MAX_MEMBER_BYTES:,} that a month of a force can have"
            )
        try:
            packed = self._packed(info)
        except zipfile.BadZipFile as error:
            raise SourceError(f"{where}: damaged in the archive ({error})") from error
        except Exception as error:  # whatever the file system raises: each has its own
            raise SourceUnreachable(f"{where}: it cannot be read now: {_cause(error)}") from error
        try:
            return _unpacked(info, packed)
        except (zipfile.BadZipFile, zlib.error) as error:
            raise SourceError(f"{where}: damaged in the archive ({error})") from error

    def _packed(self, info: zipfile.ZipInfo) -> bytes:
        """A member as the archive holds it: one request, without its directory."""
        if info.header_offset < 0:
            raise zipfile.BadZipFile("it would begin before the archive")
        head = _LOCAL_HEADER_BYTES + len(info.filename.encode()) + len(info.extra)
        with self._open() as file:
            file.seek(info.header_offset)
            found = file.read(head + info.compress_size + _LOCAL_EXTRA_BYTES)
            if len(found) < _LOCAL_HEADER_BYTES or not found.startswith(b"PK\x03\x04"):
                raise zipfile.BadZipFile("nothing begins where the directory says")
            start = _LOCAL_HEADER_BYTES + sum(struct.unpack_from("<HH", found, 26))
            if len(found) < start + info.compress_size:
                found += file.read(start + info.compress_size - len(found))
        return found[start : start + info.compress_size]


class _Folder:
    """A folder of unpacked members: one release, named after its newest month."""

    def __init__(self, file_system: fsspec.AbstractFileSystem, url: str, release: str) -> None:
        self._file_system, self.url, self.release = file_system, url, release

    @cached_property
    def members(self) -> dict[tuple[str, str], list[str]]:
        found = self._file_system.find(self.url, maxdepth=2)
        return _names_by_member(path.removeprefix(self.url).lstrip("/") for path in found)

    def read(self, name: str) -> _Bytes:
        path = f"{self.url}/{name}"
        try:
            size = self._file_system.size(path)
            if size <= MAX_MEMBER_BYTES:
                return _Bytes(self._file_system.cat_file(path))
        except Exception as error:  # whatever the file system raises: each has its own
            raise SourceUnreachable(
                f"archive {self.url}, member {name}: it cannot be read now: {_cause(error)}"
            ) from error
        raise SourceError(
            f"archive {self.url}, member {name}: {size:,} bytes, more than the "
            f"{MAX_MEMBER_BYTES:,} that a month of a force can have"
        )


def _names_by_member(names: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """The names in an archive by the month and force whose member they are, or claim to be."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if match := _MEMBER.fullmatch(name):
            found.setdefault((match[1], match[2]), []).append(name)
    return found


def _unpacked(info: zipfile.ZipInfo, packed: bytes) -> _Bytes:
    """What a member unpacks to: exactly the bytes that the directory promises."""
    deflated = None
    if len(packed) != info.compress_size:
        raise zipfile.BadZipFile(f"{len(packed):,} of {info.compress_size:,} packed bytes")
    if info.flag_bits & 0x1:
        raise zipfile.BadZipFile("it is encrypted")
    if info.compress_type == zipfile.ZIP_STORED:
        content = packed
    elif info.compress_type == zipfile.ZIP_DEFLATED:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflate.decompress(packed, info.file_size + 1)
        if not inflate.eof or inflate.unused_data:
            raise zipfile.BadZipFile(
                f"unpacked {len(content):,} bytes, and its end is not where the directory says"
            )
        deflated = packed
    else:
        raise zipfile.BadZipFile(f"packed by method {info.compress_type}, not deflated")
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(
            f"{len(content):,} bytes, but the archive promises {info.file_size:,}"
        )
    if zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile("its checksum (CRC-32) is wrong")
    return _Bytes(content, deflated)


# --- what a member must be ------------------------------------------------------------------


def check_content(content: bytes, where: str) -> None:
    """Raise :class:`SourceError` unless ``content`` is a street-crime file as a whole.

    It must be UTF-8 text (a byte-order mark may stand before it) that opens with :data:`HEADER`,
    once, in at most :data:`MAX_LINES` lines of at most :data:`MAX_LINE_BYTES` each. Single lines
    that cannot be read are no concern of this check. ``where`` names archive and member.
    """
    if not content:
        raise SourceError(f"{where}: zero bytes")
    if _is_html(content[:512]):
        raise SourceError(f"{where}: an HTML page in place of a CSV file: {_start(content)}")
    lines = content.count(b"\n")
    if lines > MAX_LINES:
        raise SourceError(f"{where}: {lines:,} lines, more than the {MAX_LINES:,} of any month")
    row = _first_long_line(content)
    if row is not None:
        raise SourceError(
            f"{where}: {_in_row(row)}, more than {MAX_LINE_BYTES:,} bytes without a line end"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{where}: not UTF-8: byte 0x{content[error.start]:02x} at byte {error.start:,}, "
            f"{_in_row(content.count(10, 0, error.start))}"
        ) from error
    header = text[: MAX_LINE_BYTES + 1].split("\n", 1)[0].removeprefix("\ufeff").removesuffix("\r")
    if header != HEADER:
        raise SourceError(f"{where}: the header is {header[:300]!r}, not {HEADER!r}")
    again = text.find(HEADER, len(HEADER))
    if again >= 0:
        raise SourceError(
            f"{where}: the header stands again {_in_row(text.count(chr(10), 0, again))}: "
            "two files in one?"
        )


def _first_long_line(content: bytes) -> int | None:
    """How many lines come before the first that is too long; ``None`` where none is."""
    start = 0
    while len(content) - start > MAX_LINE_BYTES:
        end = content.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if end < 0:
            return content.count(b"\n", 0, start)
        start = end + 1
    return None


def _in_row(row: int) -> str:
    """Where in a file: row 1 is the first line of data."""
    return f"in row {row:,}" if row else "in the header"


def _what_it_is(head: bytes) -> str:
    """What a file that is no zip seems to be, from its first bytes."""
    if not head:
        return "zero bytes in place of a zip"
    if _is_html(head):
        return f"an HTML page in place of a zip: {_start(head)}"
    if head.startswith(b"PK\x03\x04"):
        return "a zip whose end is missing or damaged: truncated"
    return f"no zip: it begins with {_start(head)}"


def _is_html(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _start(content: bytes) -> str:
    return repr(content[:60].decode("utf-8", "replace"))


def _quoted(name: str) -> str:
    return repr(name[:120])


def _cause(error: BaseException) -> str:
    """What went wrong below: fsspec hides it behind a ``FileNotFoundError``."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}"


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _months_between(earlier: str, later: str) -> int:
    """Months from ``earlier`` to ``later`` (``2025-09``), negative where it is later."""
    return int((np.datetime64(later) - np.datetime64(earlier)).astype(int))
