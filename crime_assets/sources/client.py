"""A polite and stubborn HTTP client: it asks slowly, says who asks, and does not give up at once.

All that reads the web goes through it: the archives and the API of police.uk, and boundaries. It
keeps to a number of requests a second, tries again what may pass, and reads parts of a large file
as a file. What is in the answers is not known here.

Source: https://data.police.uk/docs/api-call-limits/ (15 requests a second, with bursts of 30)
"""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, Self, TypeVar

import requests
import tenacity
from pyrate_limiter import (
    Duration,
    InMemoryBucket,
    Rate,
    RateItem,
    SQLiteBucket,
)
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from crime_assets import DataError
from crime_assets.storage import NoStorage, own_folder

LOG = logging.getLogger("crime_assets.client")
"""Says of every request that is asked again what failed, which attempt it was, and the wait."""

REQUESTS_A_SECOND = 15
"""What the API of police.uk allows in the long run; it also allows bursts, which we do not use."""

LONGEST_TURN_S = 60.0
"""A wait that only a broken file of turns, or a clock put back, explains; see :class:`Turns`."""

_TURNS_KEPT_MS = 60_000

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
"""Between two pieces of an answer, not for the whole of it."""

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What a server answers that may well answer otherwise in a moment."""

_GONE_STATUS = frozenset({404, 410})
_BLOCK_BYTES = 2**16
_THREADS = 16
"""How many connections to a server are kept open for the threads that ask at a time."""

T = TypeVar("T")


class SourceError(DataError):
    """What was published cannot be used. The message names archive, member and cause."""


class SourceUnreachable(ConnectionError):
    """What was published cannot be read now, be it the network or a disk: worth another try."""


class EditionChanged(SourceUnreachable):
    """A file was replaced on its server between two reads; ``was`` is what had been read of it."""

    def __init__(self, message: str, was: Head) -> None:
        super().__init__(message)
        self.was = was


class Passing(Exception):
    """A fault that may pass: who raises it in the course of an attempt has it tried again.

    ``asked_s`` is how long the server asks to wait, if it says.
    """

    def __init__(self, fault: str, asked_s: float | None = None) -> None:
        super().__init__(fault)
        self.asked_s = asked_s


@dataclass(frozen=True)
class Patience:
    """How often a request is tried, and the seconds between: exponential, with full jitter.

    The n-th wait is drawn from 0 to ``first_s`` * 2^(n-1), but at most ``longest_s``. A wait that
    a server asks for comes on top of it, and both together are at most ``longest_asked_s``.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    attempts: int = 8
    first_s: float = 0.5
    longest_s: float = 30.0
    longest_asked_s: float = 120.0


PATIENCE = Patience()


@dataclass(frozen=True)
class Head:
    """What a server says of a file: its address after redirects, and which edition it is.

    ``etag`` and ``last_modified`` are empty, and ``bytes`` is ``None``, where it does not say;
    ``ranges`` is whether it promises to give parts.
    """

    url: str
    etag: str
    bytes: int | None
    last_modified: str
    ranges: bool = False

    @property
    def edition(self) -> str:
        """What tells this edition from any other, as well as the server knows it."""
        return self.etag or f"{self.last_modified} {self.bytes}".strip()


class Client:
    """Asks servers politely, and again where that may help. Threads may share it.

    It asks at most :data:`REQUESTS_A_SECOND`, redirects included, together with all other clients
    of this user on this machine. Tried again, as ``patience`` (default: :data:`PATIENCE`) says,
    are broken connections, timeouts, the statuses :data:`PASSING_STATUS`, bodies that are shorter
    than promised, and HTML pages in place of what was asked for.

    All methods raise :class:`SourceUnreachable` where attempts are used up or the server refuses
    (403), :class:`FileNotFoundError` for the statuses 404 and 410, and :class:`SourceError` for
    what no other try mends.
    """

    def __init__(
        self,
        patience: Patience | None = None,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self.patience = patience or PATIENCE
        self._timeouts = (connect_timeout_s, read_timeout_s)
        self._session = requests.Session()
        self._session.headers["User-Agent"] = user_agent()
        # Threads may share a session whose state never changes.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _InTurn(pool_maxsize=_THREADS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def head(self, url: str) -> Head:
        """What the server says of the file at ``url``, at the cost of no download."""

        def attempt() -> Head:
            with self.asked("HEAD", url, headers={"Accept-Encoding": "identity"}) as answer:
                _ = answer.content  # none, but a connection whose answer is read is kept
                length = answer.headers.get("Content-Length", "")
                return Head(
                    answer.url,
                    answer.headers.get("ETag", ""),
                    int(length) if length.isdecimal() else None,
                    answer.headers.get("Last-Modified", ""),
                    answer.headers.get("Accept-Ranges", "").lower() == "bytes",
                )

        return self.patiently(f"HEAD {url}", attempt)

    def json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON that ``url`` answers with; what is no JSON is asked for again."""

        def attempt() -> Any:
            with self.asked("GET", url, params=params) as answer:
                content = answer.content
            try:
                return json.loads(content)
            except ValueError as error:
                raise Passing(f"no JSON, it starts with {content[:60]!r}") from error

        return self.patiently(f"GET {url}", attempt)

    def fetch(
        self,
        url: str,
        path: Path,
        params: Mapping[str, str] | None = None,
        check: Callable[[Path], Any] = lambda path: path,
    ) -> Any:
        """Write what ``url`` answers with to ``path``, decompressed; return what ``check`` does.

        ``check`` looks at the file; where it raises :class:`Passing`, the file is fetched again.
        """

        def attempt() -> Any:
            with self.asked("GET", url, params=params) as answer, path.open("wb") as file:
                for block in answer.iter_content(2**20):
                    file.write(block)
            return check(path)

        return self.patiently(f"GET {url}", attempt)

    def open(self, url: str) -> RangeFile:
        """The file at ``url``, to read and seek in without downloading the whole of it.

        Raises :class:`SourceError` where its server gives no parts of files.
        """
        head = self.head(url)
        if not head.bytes:
            raise SourceError(f"{url}: its server does not say how large it is")
        return RangeFile(self, url, head)

    # --- for those who ask in a way of their own --------------------------------------------

    def patiently(self, what: str, attempt: Callable[[], T]) -> T:
        """What ``attempt`` returns, tried again while it raises :class:`Passing`."""
        patience = self.patience
        backoff = tenacity.wait_random_exponential(
            multiplier=patience.first_s, max=patience.longest_s
        )

        def wait_s(state: tenacity.RetryCallState) -> float:
            asked_s = getattr(_fault(state), "asked_s", None)
            if asked_s is None:
                return backoff(state)
            return min(asked_s + backoff(state), patience.longest_asked_s)

        def tell(state: tenacity.RetryCallState) -> None:
            LOG.warning(
                "%s: %s (attempt %d of %d; again in %.1f s)",
                what,
                _fault(state),
                state.attempt_number,
                patience.attempts,
                state.upcoming_sleep,
            )

        try:
            return tenacity.Retrying(
                stop=tenacity.stop_after_attempt(patience.attempts),
                wait=wait_s,
                retry=tenacity.retry_if_exception_type(Passing),
                before_sleep=tell,
                reraise=True,
            )(attempt)
        except Passing as fault:
            raise SourceUnreachable(
                f"{what}: no usable answer in {patience.attempts} attempts, the last: {fault}"
            ) from fault

    @contextmanager
    def asked(
        self, method: str, url: str, *, expected: tuple[int, ...] = (200,), **how: Any
    ) -> Iterator[requests.Response]:
        """One answer whose status is ``expected``, its body yet to be read; for one attempt."""
        try:
            with self._session.request(
                method, url, timeout=self._timeouts, stream=True, allow_redirects=True, **how
            ) as answer:
                _refuse(url, answer, expected)
                yield answer
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
            HTTPError,
        ) as error:
            raise Passing(_innermost(error)) from error
        except requests.RequestException as error:
            raise SourceError(f"{url}: cannot be asked for ({_innermost(error)})") from error


class RangeFile(io.RawIOBase):
    """A file on a server, of which a read gets the bytes that are read and no others.

    A read that breaks off goes on at the byte where it broke. All bytes are of the edition that
    ``head`` describes; where the server has another by now, :class:`EditionChanged` is raised.
    It has a position, so that each thread needs one of its own: see :meth:`again`.
    """

    def __init__(self, client: Client, url: str, head: Head) -> None:
        self.url, self.head = url, head
        self._client = client
        self._address = head.url
        self._size = head.bytes or 0
        self._gives_ranges = head.ranges
        self._position = 0

    def again(self) -> RangeFile:
        """The same edition from its start, without asking the server."""
        file = RangeFile(self._client, self.url, self.head)
        file._address, file._gives_ranges = self._address, self._gives_ranges
        return file

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The byte that is read next."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte from the start, the position, or the end."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError(errno.EINVAL, f"{self.url}: there is no byte {origin + offset}")
        self._position = origin + offset
        return self._position

    def readall(self) -> bytes:
        """All from the position to the end."""
        return self.read()

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``, or as much of it as there are bytes left."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def read(self, size: int | None = -1) -> bytes:
        """The next ``size`` bytes, fewer only at the end: one request if all goes well."""
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        start, end = self._position, self._position + wanted
        content = bytearray()

        def attempt() -> None:
            try:
                self._read_on(content, start, end)
            except EditionChanged:
                raise
            except (FileNotFoundError, SourceError, SourceUnreachable) as error:
                if self._address == self.url:
                    raise
                # Where a redirect led may have been good for a while only.
                self._address = self.url
                raise Passing(str(error)) from error

        self._client.patiently(f"GET {self.url} bytes {start}-{end - 1}", attempt)
        self._position = end
        return bytes(content)

    def _read_on(self, content: bytearray, start: int, end: int) -> None:
        """Add to ``content`` what it lacks of the bytes from ``start`` to before ``end``."""
        first = start + len(content)
        headers = {"Range": f"bytes={first}-{end - 1}", "Accept-Encoding": "identity"}
        with self._client.asked(
            "GET", self._address, headers=headers, expected=(200, 206, 416)
        ) as answer:
            if answer.status_code == 200:
                self._explain_whole(answer)
            stated = answer.headers.get("Content-Range", "")
            given = re.match(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", stated)
            self._check_edition(answer.headers, given[2] if given else "*")
            if answer.status_code == 416:
                raise SourceError(f"{self.url}: its server has no bytes {first}-{end - 1}")
            if given is None or given[1] != str(first):
                raise Passing("other bytes than those that were asked for")
            self._gives_ranges = True
            while block := answer.raw.read1(_BLOCK_BYTES):
                content += block[: end - start - len(content)]
        if len(content) < end - start:
            raise Passing(f"the answer ended {end - start - len(content):,} bytes early")

    def _explain_whole(self, answer: requests.Response) -> None:
        """Raise for an answer that is no part of the file: a page, a slip, or a habit."""
        start = answer.raw.read1(512)
        if start.lstrip().startswith(b"<"):
            raise _html_page(start)
        if self._gives_ranges:
            raise Passing("the whole in place of the part that was asked for")
        raise SourceError(f"{self.url}: its server gives no parts of it (range requests)")

    def _check_edition(self, headers: Mapping[str, str], total: str) -> None:
        """Raise :class:`EditionChanged` where an answer is of another edition than the first."""
        was = self.head
        etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        if was.etag and etag:
            changed = etag != was.etag
        else:
            changed = bool(was.last_modified and modified and modified != was.last_modified)
        if changed or total not in ("*", str(was.bytes)):
            raise EditionChanged(
                f"{self.url}: it was replaced while it was read: {was.edition} is now "
                f"{etag or f'{modified} {total}'.strip()}",
                was,
            )


# --- Turns ----------------------------------------------------------------------------------


class Turns:
    """Whose turn it is: so many requests in any second, of all processes that share ``folder``.

    When somebody asked stands in an SQLite file there, under a lock that the system drops when
    its holder dies. Where that file cannot be used, or gives nobody a turn for
    :data:`LONGEST_TURN_S` (its times are of the clock on the wall, which may be put back), this
    process goes by its own count: a limit that is kept less well is no reason to stop a run.
    """

    def __init__(self, a_second: int, folder: Path | None) -> None:
        self._rates = [Rate(a_second, Duration.SECOND)]
        self._count: tuple[Any, Any]  # a bucket, and the lock to take before it
        if folder is None:
            self._count_alone("the folder for temporary files belongs to somebody else")
            return
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            bucket = SQLiteBucket.init_from_file(
                self._rates, db_path=str(folder / "requests.sqlite"), use_file_lock=True
            )
            lock: Any = bucket.lock
            lock.timeout = LONGEST_TURN_S
            self._count = bucket, lock
        except Exception as error:  # of SQLite, of the lock, of the file system
            self._count_alone(error)

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        deadline = time.monotonic() + LONGEST_TURN_S
        while wait_ms := self._take():
            if time.monotonic() > deadline and isinstance(self._count[0], SQLiteBucket):
                self._count_alone(f"no turn for {LONGEST_TURN_S:.0f} s")
            time.sleep(min(wait_ms, 1_000) / 1_000 + random.uniform(0, 0.01))

    def _take(self) -> int:
        """Take a turn; 0 where there was one, else the milliseconds until there may be."""
        # Not by pyrate_limiter's Limiter, which notes a turn at the time that it foresaw when it
        # began to wait, not when it came.
        bucket, lock = self._count
        try:
            with lock:
                turn = RateItem("request", bucket.now())
                if not bucket.put(turn):
                    return max(1, bucket.waiting(turn))
                bucket.leak(turn.timestamp - _TURNS_KEPT_MS)
                return 0
        except Exception as error:
            if isinstance(bucket, InMemoryBucket):
                raise
            self._count_alone(error)
            return 1

    def _count_alone(self, cause: object) -> None:
        LOG.warning("requests are counted in this process only, not on this machine: %s", cause)
        self._count = InMemoryBucket(self._rates), threading.Lock()


_making_turns = threading.Lock()


def turns() -> Turns:
    """The turns of this user on this machine."""
    try:
        folder = own_folder()
    except (NoStorage, OSError):
        folder = None
    with _making_turns:
        return _turns(REQUESTS_A_SECOND, folder, os.getpid())


@cache
def _turns(a_second: int, folder: Path | None, _process: int) -> Turns:
    """One a process: a connection to SQLite must not be carried into a fork."""
    return Turns(a_second, folder)


class _InTurn(HTTPAdapter):
    """Sends a request when it is its turn; here, so that redirects count as what they are."""

    def send(self, *request: Any, **how: Any) -> requests.Response:
        turns().wait()
        return super().send(*request, **how)


# --- What an answer is ----------------------------------------------------------------------


@cache
def user_agent() -> str:
    """Who asks: the name, the version and, where the package names one, its address."""
    try:
        package = metadata("crime-assets")
    except PackageNotFoundError:  # run from its source
        return "crime_assets"
    addresses = [entry.split(",", 1)[-1].strip() for entry in package.get_all("Project-URL") or ()]
    return " ".join([f"crime_assets/{package['Version']}", *(f"(+{a})" for a in addresses[:1])])


def _refuse(url: str, answer: requests.Response, expected: tuple[int, ...]) -> None:
    """Raise for an answer that is not one of those that are expected, each in its way."""
    status = f"status {answer.status_code} {answer.reason or ''}".strip()
    if answer.status_code in PASSING_STATUS:
        raise Passing(status, _retry_after_s(answer.headers.get("Retry-After", "")))
    if answer.status_code in _GONE_STATUS:
        raise FileNotFoundError(f"{url}: nothing is there ({status})")
    if answer.status_code == 403:
        raise SourceUnreachable(f"{url}: refused ({status})")
    if answer.status_code not in expected:
        raise SourceError(f"{url}: answered with {status}")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        # Of a proxy, a login, or a server that is being mended: nothing here is a page.
        raise _html_page(answer.raw.read1(512, decode_content=True))


def _html_page(start: bytes) -> Passing:
    text = start[:60].decode("utf-8", "replace")
    return Passing("an HTML page in place of what was asked for" + (f": {text!r}" if text else ""))


def _retry_after_s(text: str) -> float | None:
    """The seconds that a ``Retry-After`` asks for, which may be a date."""
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _fault(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _innermost(error: BaseException) -> str:
    """What went wrong, without the layers that say so one of the other."""
    while True:
        inner = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
        if not isinstance(inner, BaseException):
            return f"{type(error).__name__}: {error}"
        error = inner
