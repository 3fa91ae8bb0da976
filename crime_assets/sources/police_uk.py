"""police.uk's archive of street crimes: what it holds, and the member of a month and a force.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from typing import IO, Any, Protocol, TypeVar, cast

import dagster as dg
import fsspec
import numpy as np
from pydantic import PrivateAttr

from crime_assets.sources.client import (
    Client,
    EditionChanged,
    Head,
    Patience,
    RangeFile,
    SourceError,
    SourceUnreachable,
)

HEADER = (
    "Crime ID,Month,Reported by,Falls within,Longitude,Latitude,Location,"
    "LSOA code,LSOA name,Crime type,Last outcome category,Context"
)
ARCHIVE_MONTHS = 36
"""The months that an archive of data.police.uk holds, the last being its own."""

IN_A_HURRY = Patience(attempts=2, first_s=0.5, longest_s=2.0, longest_asked_s=5.0)

EDITIONS = 5
"""How often a release may be issued anew while it is read, before it is left for another day."""

MAX_MEMBER_BYTES = 512 * 2**20
"""No force publishes a twentieth of it a month; a member that unpacks to more is a zip bomb."""

MAX_LINES = 1_000_000
"""No force publishes a fifth of it a month."""

MAX_LINE_BYTES = 64 * 2**10
"""A published line has about 250 bytes."""

_MEMBER = re.compile(r"(?:.*[/\\])?(\d{4}-\d{2})[/\\]\1-([a-z-]+)-street\.csv", re.DOTALL)
_RELEASE = re.compile(r"(?:.*/)?(\d{4}-\d{2})\.zip")
_LOCAL_HEADER_BYTES = 30
_LOCAL_EXTRA_BYTES = 64
"""What a local header may hold beyond the directory's copy of it; more costs a second request."""

_LARGER_PACKED_BYTES = 2**16
"""What does not compress is packed a little larger than it is, never much."""

T = TypeVar("T")


class UnknownMonth(SourceError):
    """No archive holds the month."""


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
class Release:
    """A release, and what tells its edition from others: it may be issued anew.

    ``url`` is where it is, ``etag`` changes with every edition, ``last_modified`` is as HTTP spells
    dates (empty where unknown), ``bytes`` the size of the archive, or of all unpacked members.
    """

    release: str
    url: str
    etag: str
    bytes: int
    last_modified: str


@dataclass(frozen=True)
class IndexedMember:
    """A force's file of one month as its archive lists it: sizes unpacked and packed, and CRC-32.

    ``name`` is where the archive holds it, be that the right place or not.
    """

    month: str
    force: str
    name: str
    bytes: int
    packed_bytes: int
    crc32: int


@dataclass(frozen=True)
class ReleaseIndex(Release):
    """A release, and the street-crime members that this edition of it holds, by month and force."""

    members: tuple[IndexedMember, ...]


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
    def edition(self) -> Head | None: ...

    @property
    def members(self) -> dict[tuple[str, str], list[str]]: ...

    def read(self, name: str) -> _Bytes: ...

    def issued(self) -> Release: ...

    def index(self) -> list[IndexedMember]: ...


class PoliceUkArchive(dg.ConfigurableResource):
    """The street crimes of police.uk, from its website, a folder of zips, or a folder of CSVs.

    ``url`` is any that fsspec knows. Over HTTP a zip is read by range requests: its directory
    once, then only the member that is asked for. Where it is issued anew meanwhile, its directory
    is read again. All kinds give the same bytes for a member. Several threads may ask at a time.
    """

    url: str
    _client: Client = PrivateAttr(default_factory=Client)
    _archives: dict[str, _Archive] = PrivateAttr(default_factory=dict)
    _looking: Any = PrivateAttr(default_factory=threading.Lock)

    def find(self, month: str, force: str) -> Member:
        """The newest published file of ``force`` for ``month``, with its content, checked.

        Raises :class:`UnknownMonth` where no archive holds the month, :class:`SourceError` where
        what lies there is no archive or no street-crime file, :class:`SourceUnreachable` where it
        cannot be read now.
        """
        return self._of_one_edition(lambda: self._find(month, force))

    def in_a_hurry(self) -> PoliceUkArchive:
        """The same for sensors, which have a minute: it gives a silent website up in half of it."""
        archive = PoliceUkArchive(url=self.url)
        archive._client = Client(IN_A_HURRY, connect_timeout_s=3.0, read_timeout_s=5.0)
        return archive

    def newest(self) -> Release:
        """The newest release, asked for anew each time and without downloading any of it.

        A website is asked where its ``latest.zip`` leads, and nothing else. Raises as
        :meth:`find` does.
        """
        if self._is_website:
            release, head = self._latest()
            url = f"{self._root}/{release}.zip"
            return Release(release, url, head.edition, head.bytes or 0, head.last_modified)
        self._file_system.invalidate_cache()
        releases = self._listed_releases()
        release = max(releases)
        return self._archive(release, releases[release]).issued()

    def index(self, release: str) -> ReleaseIndex:
        """What the archive of a release holds, from its directory alone (of CSVs: read for it).

        Raises :class:`SourceError` for a release that is not there, else as :meth:`find` does.
        """
        return self._of_one_edition(lambda: self._index(release))

    def last_updated(self, api_url: str) -> str:
        """The newest month of which police.uk's API has crimes (``2025-12``).

        Source: https://data.police.uk/docs/method/crime-last-updated/
        """
        url = f"{api_url.rstrip('/')}/crime-last-updated"
        try:
            answer = self._client.json(url)
        except FileNotFoundError as error:
            raise SourceError(f"{error}; is it the address of police.uk's API?") from error
        date = answer.get("date") if isinstance(answer, dict) else None
        match = re.fullmatch(r"(\d{4}-\d{2})-\d{2}", str(date))
        if match is None:
            raise SourceError(f'{url}: answered {answer!r}, not {{"date": "YYYY-MM-DD"}}')
        return match[1]

    def _of_one_edition(self, ask: Callable[[], T]) -> T:
        """What ``ask`` returns; asked again where an archive is issued anew meanwhile."""
        for _ in range(EDITIONS):
            try:
                return ask()
            except EditionChanged as error:
                changed = error
                with self._looking:
                    for release, archive in list(self._archives.items()):
                        if archive.edition == changed.was:
                            del self._archives[release]
        raise SourceUnreachable(
            f"it was issued anew {EDITIONS} times while it was read, the last: {changed}"
        ) from changed

    def _index(self, release: str) -> ReleaseIndex:
        with self._looking:
            path = self._releases.get(release)
            if path is None:
                raise SourceError(
                    f"{self.url} holds no release {release}; the newest is "
                    f"{max(self._releases, default='none')}"
                )
            archive = self._archives.setdefault(release, self._archive(release, path))
            members = sorted(archive.index(), key=lambda member: (member.month, member.force))
            return ReleaseIndex(**vars(archive.issued()), members=tuple(members))

    def _find(self, month: str, force: str) -> Member:
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

    @property
    def _is_website(self) -> bool:
        return self.url.startswith(("http://", "https://"))

    @cached_property
    def _root(self) -> str:
        url = self.url if self._is_website else fsspec.core.url_to_fs(self.url)[1]
        return str(url).rstrip("/")

    @cached_property
    def _file_system(self) -> fsspec.AbstractFileSystem:
        return fsspec.core.url_to_fs(self.url)[0]

    @cached_property
    def _releases(self) -> dict[str, str]:
        """The releases by name, with the address of each (a zip, or the folder of CSVs)."""
        if not self._is_website:
            return self._listed_releases()
        # A website does not list its archives. Every month before the newest has an address as
        # well; whether anything is there is seen when asked.
        months = np.arange(np.datetime64("2010-12"), np.datetime64(self._latest()[0]) + 1)
        return {month: f"{self._root}/{month}.zip" for month in months.astype(str)}

    def _latest(self) -> tuple[str, Head]:
        """The newest release of a website: ``latest.zip`` redirects to it."""
        url = f"{self._root}/latest.zip"
        try:
            head = self._client.head(url)
        except (FileNotFoundError, SourceUnreachable) as error:
            raise SourceUnreachable(
                f"{url} cannot be asked which archive is the newest: {error}"
            ) from error
        match = _RELEASE.fullmatch(head.url.split("?")[0])
        if match is None:
            raise SourceError(f"{url} leads to {head.url}, not to a YYYY-MM.zip")
        return match[1], head

    def _listed_releases(self) -> dict[str, str]:
        file_system, root = self._file_system, self._root
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

    def _archive(self, release: str, path: str) -> _Archive:
        if self._is_website:
            return _Zip(path, release, self._client)
        if path == self._root:
            return _Folder(self._file_system, path, release)
        return _Zip(path, release, self._file_system)

    def _newest_first(self, month: str) -> Iterator[_Archive]:
        """The archives that may hold ``month``, the newest first."""
        for release, path in sorted(self._releases.items(), reverse=True):
            if path != self._root and not 0 <= _months_between(month, release) < ARCHIVE_MONTHS:
                continue
            if release not in self._archives:
                self._archives[release] = self._archive(release, path)
            yield self._archives[release]


class _Zip:
    """An archive as published. Its directory is read once; a member is one range of its bytes."""

    def __init__(self, url: str, release: str, source: Client | fsspec.AbstractFileSystem) -> None:
        self.url, self.release = url, release
        self._source = source
        self._remote: RangeFile | None = None

    @property
    def edition(self) -> Head | None:
        """Which edition a website's archive is read from, once it is."""
        return self._remote.head if self._remote else None

    def _open(self) -> IO[bytes] | RangeFile:
        """The archive to read and seek in; :class:`FileNotFoundError` where it does not exist."""
        if not isinstance(self._source, Client):
            return self._source.open(self.url, "rb")
        if self._remote is None:
            self._remote = self._source.open(self.url)
        return self._remote.again()

    @cached_property
    def _directory(self) -> list[zipfile.ZipInfo]:
        try:
            with self._open() as file:
                try:
                    # typeshed asks for a name and a mode, which zipfile does not
                    with zipfile.ZipFile(cast(IO[bytes], file)) as archive:
                        return archive.infolist()
                except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
                    if isinstance(error.__context__, OSError):
                        raise error.__context__ from None  # zipfile takes it for a broken zip
                    file.seek(0)
                    raise SourceError(
                        f"archive {self.url}: {_what_it_is(file.read(512))} ({error})"
                    ) from error
        except FileNotFoundError as error:
            if not isinstance(self._source, Client):
                raise SourceUnreachable(
                    f"archive {self.url}: it was listed, and is gone: {error}"
                ) from error
            return []  # a website that no longer keeps this release
        except (SourceError, EditionChanged):
            raise
        except Exception as error:  # whatever the file system raises: each has its own
            raise SourceUnreachable(
                f"archive {self.url}: it cannot be read now: {_cause(error)}"
            ) from error

    @cached_property
    def members(self) -> dict[tuple[str, str], list[str]]:
        return _names_by_member(info.filename for info in self._directory)

    def index(self) -> list[IndexedMember]:
        """The street-crime members, as the directory lists them."""
        return [
            IndexedMember(
                match[1],
                match[2],
                info.filename,
                info.file_size,
                info.compress_size,
                info.CRC,
            )
            for info in self._directory
            if (match := _MEMBER.fullmatch(info.filename))
        ]

    def issued(self) -> Release:
        """The edition; raises :class:`SourceError` where there is no such archive."""
        if not isinstance(self._source, Client):
            info = {f"{self.release}.zip": self._source.info(self.url)}
            return _issued(self.release, self.url, info)
        head = self.edition
        if head is None:
            raise SourceError(f"archive {self.url}: there is no such release")
        return Release(self.release, self.url, head.edition, head.bytes or 0, head.last_modified)

    def read(self, name: str) -> _Bytes:
        where = f"archive {self.url}, member {name}"
        info = next(info for info in self._directory if info.filename == name)
        if info.file_size > MAX_MEMBER_BYTES:
            raise SourceError(
                f"{where}: it says that it unpacks to {info.file_size:,} bytes, more than the "
                f"{MAX_MEMBER_BYTES:,} that a month of a force can have"
            )
        if info.compress_size > info.file_size + _LARGER_PACKED_BYTES:
            raise SourceError(
                f"{where}: damaged in the archive ({info.compress_size:,} packed bytes of "
                f"{info.file_size:,})"
            )
        try:
            packed = self._packed(info)
        except zipfile.BadZipFile as error:
            raise SourceError(f"{where}: damaged in the archive ({error})") from error
        except (SourceError, EditionChanged):
            raise
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

    edition: Head | None = None
    """Files of a folder have no edition in common."""

    @cached_property
    def _files(self) -> dict[str, Mapping[str, Any]]:
        """What the file system says of each file, by its path in the folder."""
        found = self._file_system.find(self.url, maxdepth=2, detail=True)
        return {path.removeprefix(self.url).lstrip("/"): info for path, info in found.items()}

    @cached_property
    def members(self) -> dict[tuple[str, str], list[str]]:
        return _names_by_member(self._files)

    def index(self) -> list[IndexedMember]:
        """The street-crime members; each is read for its checksum."""
        return [
            IndexedMember(month, force, name, len(content), len(content), zlib.crc32(content))
            for (month, force), names in self.members.items()
            for name in names
            for content in [self.read(name).content]
        ]

    def issued(self) -> Release:
        """The edition, by the members' names, sizes and times."""
        members = {name: info for name, info in self._files.items() if _MEMBER.fullmatch(name)}
        return _issued(self.release, self.url, members)

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


def _issued(release: str, url: str, files: Mapping[str, Mapping[str, Any]]) -> Release:
    """A release on a file system, whose edition is known by names, sizes and times of its files."""
    times = [info.get("mtime") or info.get("LastModified") for info in files.values()]
    stamps = [
        time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)
        for time in times
        if time is not None
    ]
    listed = sorted(
        f"{name} {info['size']} {time}"
        for (name, info), time in zip(files.items(), times, strict=True)
    )
    return Release(
        release,
        url,
        etag=hashlib.sha256("\n".join(listed).encode()).hexdigest(),
        bytes=sum(info["size"] for info in files.values()),
        last_modified=format_datetime(max(stamps).astimezone(UTC), usegmt=True) if stamps else "",
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
    """What went wrong below; our own errors say it in words."""
    return (
        str(error) if isinstance(error, SourceUnreachable) else f"{type(error).__name__}: {error}"
    )


def _months_between(earlier: str, later: str) -> int:
    """Months from ``earlier`` to ``later`` (``2025-09``), negative where it is later."""
    return int((np.datetime64(later) - np.datetime64(earlier)).astype(int))
