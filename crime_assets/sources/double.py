"""A double of data.police.uk on the loopback, for tests and for working without a network.

`PoliceUkDouble` serves a folder of archives as the website does: zips by range requests, the
redirect of `latest.zip`, the API's date of the newest release, and its limit on requests. It
publishes further releases when told to, and fails on order in the ways in which websites fail.
What a client makes of that is not known here. Run it as

    python -m crime_assets.sources.double data/sample/archive

Sources: https://data.police.uk/docs/api-call-limits/ for the limit, RFC 9110 for ranges and
preconditions.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

FAULTS = (
    "reset",  # the connection is reset half-way through the body; without a body, at once
    "server_error",  # 500, now and to the next request for the same path and range
    "short",  # half of the promised body, then the connection is closed in good order
    "drip",  # the body begins in pieces of 1, 2, 4 .. bytes with pauses, 1.6 s at most
    "changed",  # the range is one of another edition: the same members at other offsets
    "html",  # the page of a captive portal, with status 200
    "too_many",  # 429
    "unavailable",  # 503
)

REQUESTS_A_SECOND = 15
BURST = 30

_HTML = "text/html; charset=utf-8"
_ARCHIVE = re.compile(r"/data/archive/(\d{4}-\d{2})\.zip")
_PUBLISH = re.compile(r"/double/publish/(\d{4}-\d{2})")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PIECE_BYTES = 2**16
_DRIP_PAUSE_S = 0.1
_PADDING_BYTES = 4096  # before the first member of a changed edition

_log = logging.getLogger("crime_assets.double")


@dataclass(frozen=True)
class Request:
    """What a client asked, and what it met."""

    method: str
    path: str  # with its query
    range: str | None  # the header's text
    status: int  # 0 where the connection was reset before any was sent
    fault: str | None  # one of `FAULTS`, if it met one
    headers: Mapping[str, str]  # as the client sent them


@dataclass(frozen=True)
class _Edition:
    """The file that a release is published as."""

    path: Path
    etag: str
    length: int  # bytes
    last_modified: str

    @classmethod
    def of(cls, path: Path) -> _Edition:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            status = os.fstat(file.fileno())
        return cls(path, f'"{digest}"', status.st_size, formatdate(status.st_mtime, usegmt=True))


@dataclass(frozen=True)
class _Answer:
    """A status, headers and a body: `length` bytes of the source, from `first` on."""

    status: int
    headers: Mapping[str, str]
    source: bytes | Path = b""
    first: int = 0
    length: int = 0

    def has_body(self, method: str) -> bool:
        """Whether anything follows the headers."""
        return self.length > 0 and method != "HEAD"

    def open(self) -> BinaryIO:
        """The source, at the first byte of the body."""
        source = self.source
        stream: BinaryIO = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
        stream.seek(self.first)
        return stream


@dataclass
class _Order:
    """A fault to come: after `after` more requests for a path that contains `path`, to `times`."""

    fault: str
    times: int
    path: str
    after: int


class PoliceUkDouble:
    """A website like data.police.uk on 127.0.0.1, served from daemon threads until it is closed.

    `archive` is a folder of `YYYY-MM.zip`, which stay as they are while they are out. `releases`
    are those published at first, by default all of the folder; the others are withheld until
    they are published. `port` 0 takes a free one. `limited` keeps to the API's limit: 15 requests
    a second with a burst of 30, and 429 beyond. `requests` is what was asked, in the order in
    which it was answered.

    Raises `FileNotFoundError` for a release that the folder does not hold, `OSError` where the
    port is taken.
    """

    def __init__(
        self,
        archive: Path,
        *,
        releases: Iterable[str] | None = None,
        port: int = 0,
        limited: bool = True,
    ) -> None:
        self.requests: list[Request] = []
        self._archive = archive
        out = _releases_in(archive) if releases is None else releases
        self._out = {release: _Edition.of(archive / f"{release}.zip") for release in out}
        self._lock = threading.RLock()
        self._limited, self._tokens, self._counted_at = limited, float(BURST), time.monotonic()
        self._orders: list[_Order] = []
        self._fails_again: set[tuple[str, str | None]] = set()  # path and range
        self._share, self._seed = 0.0, 0
        self._asked: Counter[tuple[str, str | None]] = Counter()
        self._repacked: dict[str, _Edition] = {}  # by the ETag of what it was made from
        self._server = _Server(self, port)
        self._folder = tempfile.TemporaryDirectory(prefix="police-uk-double-")
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.archive_url = f"{self.url}/data/archive"
        self.api_url = f"{self.url}/api"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> PoliceUkDouble:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving, and hang up on clients that keep their connections."""
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._folder.cleanup()

    @property
    def published(self) -> list[str]:
        """The releases that are out, oldest first."""
        with self._lock:
            return sorted(self._out)

    @property
    def withheld(self) -> list[str]:
        """The releases of the folder that are not out, oldest first."""
        return sorted({*_releases_in(self._archive)} - {*self.published})

    def publish(self, release: str, path: Path | None = None) -> None:
        """Let a release appear, or, if it is out, issue it anew with the bytes of `path`.

        `path` is by default the folder's file; `FileNotFoundError` says that there is none.
        """
        edition = _Edition.of(path or self._archive / f"{release}.zip")
        with self._lock:
            did = "issued anew" if release in self._out else "published"
            self._out[release] = edition
        _log.info("%s: %s (%s bytes)", did, release, f"{edition.length:,}")

    def order(self, fault: str, times: int = 1, path: str = "", after: int = 0) -> None:
        """Let the next `times` requests whose path contains `path` meet one of `FAULTS`.

        The first `after` of them are let through. Of several orders for a request, the one that
        was given first is met. A request beyond the limit meets none, nor does the second failure
        of a "server_error" count as a request that meets one. Where a fault cannot apply, such as
        "short" to an answer without a body, "server_error" takes its place.
        """
        if fault not in FAULTS:
            raise ValueError(f"no fault is called {fault!r}; there are {', '.join(FAULTS)}")
        with self._lock:
            self._orders.append(_Order(fault, times, path, after))

    def disturb(self, share: float, seed: int = 0) -> None:
        """Let each request from now on meet one of `FAULTS` with this probability; 0 ends it.

        A draw follows from the seed, the path, the range and how often that was asked before, so
        it is the same in whatever order the threads of a client ask.
        """
        with self._lock:
            self._share, self._seed = share, seed
            self._asked.clear()
            self._fails_again.clear()

    # --- Answering -------------------------------------------------------------------------

    def _respond(self, method: str, target: str, headers: Message) -> tuple[_Answer, str | None]:
        """The answer to a request, and the fault that it meets; both are put on record."""
        with self._lock:
            if self._take_token():
                answer, fault = self._decide(method, target, headers)
            else:
                answer, fault = _INSTEAD["too_many"], None
            at_once = fault == "reset" and not answer.has_body(method)
            status, asked = 0 if at_once else answer.status, headers.get("Range")
            sent = dict(headers.items())
            self.requests.append(Request(method, target, asked, status, fault, sent))
        return answer, fault

    def _take_token(self) -> bool:
        """Whether the limit lets a request through: a bucket of tokens that fills steadily."""
        now = time.monotonic()
        filled = self._tokens + (now - self._counted_at) * REQUESTS_A_SECOND
        self._tokens, self._counted_at = min(filled, BURST), now
        if self._limited and self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _decide(self, method: str, target: str, headers: Message) -> tuple[_Answer, str | None]:
        path, key = urlsplit(target).path, (target, headers.get("Range"))
        if path == "/" or path.startswith("/double/"):  # no part of the website, so they never fail
            return self._own_page(method, path), None
        fault = self._next_fault(*key)
        named = _ARCHIVE.fullmatch(path)
        edition = self._out.get(named[1]) if named and method != "POST" else None
        if fault == "changed":
            if edition and method == "GET" and "Range" in headers:
                edition = self._repack(edition)
            else:
                fault = "server_error"
        answer = _zip_answer(edition, method, headers) if edition else self._page(method, path)
        if fault in {"short", "drip"} and not answer.has_body(method):
            fault = "server_error"
        if fault == "server_error":
            self._fails_again ^= {key}  # in at the first failure, out at the second
        return _INSTEAD.get(fault, answer), fault

    def _next_fault(self, target: str, asked_range: str | None) -> str | None:
        if (target, asked_range) in self._fails_again:
            return "server_error"
        fault = None
        for order in self._orders:
            if order.path not in target:
                continue
            if order.after:
                order.after -= 1
            elif order.times and fault is None:
                order.times -= 1
                fault = order.fault
        if fault is None and self._share:
            nth = self._asked[target, asked_range]
            self._asked[target, asked_range] += 1
            draws = random.Random(f"{self._seed} {target} {asked_range} {nth}")
            if draws.random() < self._share:
                fault = draws.choice(FAULTS)
        return fault

    def _repack(self, edition: _Edition) -> _Edition:
        """The same members behind some padding, so at other offsets and with another ETag."""
        if edition.etag not in self._repacked:
            path = Path(self._folder.name) / f"{len(self._repacked)}.zip"
            with zipfile.ZipFile(edition.path) as archive:
                _pack(path, ((archive, member) for member in archive.infolist()), _PADDING_BYTES)
            self._repacked[edition.etag] = _Edition.of(path)
        return self._repacked[edition.etag]

    def _page(self, method: str, path: str) -> _Answer:
        """What the website has beside archives."""
        if method == "POST":
            return _text(405, "data.police.uk's double answers GET and HEAD", Allow="GET, HEAD")
        newest = max(self._out, default=None)
        if newest and path == "/data/archive/latest.zip":
            return _Answer(302, {"Location": f"{self.archive_url}/{newest}.zip"})
        if newest and path == "/api/crime-last-updated":
            return _text(200, json.dumps({"date": f"{newest}-01"}), "application/json")
        return _text(404, _html("Page not found"), _HTML)

    def _own_page(self, method: str, path: str) -> _Answer:
        """What the double has for those who watch it: a page, and a way to publish."""
        if path == "/" and method != "POST":
            button = (
                "<form method=post action=/double/publish/{}>{} <button>Publish</button></form>"
            )
            out = "".join(f"<li>{release}" for release in self.published)
            withheld = "".join("<li>" + button.format(of, of) for of in self.withheld)
            says = (
                "<p>This is not data.police.uk but a double of it, for tests and for working "
                "without a network."
                f"<h2>Published</h2><ul>{out}</ul><h2>Withheld</h2><ul>{withheld}</ul>"
            )
            return _text(200, _html("A double of data.police.uk", says), _HTML)
        named = _PUBLISH.fullmatch(path)
        if not named or method != "POST":
            return _text(
                404, f"no {method} {path}; POST /double/publish/YYYY-MM publishes a release"
            )
        try:
            self.publish(named[1])
        except FileNotFoundError:
            return _text(404, f"no {named[1]}.zip in {self._archive}")
        return _text(200, f"{named[1]} is published")


def _releases_in(archive: Path) -> list[str]:
    """The releases of a folder of archives, oldest first."""
    return sorted(path.stem for path in archive.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9].zip"))


def _text(status: int, text: str, kind: str = "text/plain; charset=utf-8", **more: str) -> _Answer:
    body = text.encode()
    return _Answer(status, {"Content-Type": kind, **more}, body, length=len(body))


def _html(title: str, body: str = "") -> str:
    return f"<!doctype html><title>{title}</title><h1>{title}</h1>{body}\n"


_INSTEAD: Mapping[str | None, _Answer] = {
    "server_error": _text(500, _html("Internal Server Error"), _HTML),
    "html": _text(200, _html("Library Wi-Fi", "<p>Sign in to go on."), _HTML),
    "too_many": _Answer(429, {"Retry-After": "1"}),
    "unavailable": _text(503, _html("Service Unavailable"), _HTML),
}
"""What is answered in place of the page, by fault."""


def _zip_answer(edition: _Edition, method: str, headers: Message) -> _Answer:
    """An archive, or the range of it that was asked for, or why neither is given (RFC 9110)."""
    tags = {"ETag": edition.etag, "Last-Modified": edition.last_modified}
    if (expected := headers.get("If-Match")) and not _listed(edition.etag, expected):
        return _Answer(412, tags)
    if (had := headers.get("If-None-Match")) and _listed(edition.etag, had.replace("W/", "")):
        return _Answer(304, tags)
    given = {"Content-Type": "application/zip", "Accept-Ranges": "bytes", **tags}
    whole = _Answer(200, given, edition.path, length=edition.length)
    asked = _RANGE.fullmatch(headers.get("Range", "")) if method == "GET" else None
    if not asked or headers.get("If-Range", edition.etag) not in tags.values():
        return whole
    begin, end = asked.groups()
    if not (begin or end) or (begin and end and int(begin) > int(end)):
        return whole  # that is no range
    size = edition.length
    first = int(begin) if begin else max(0, size - int(end))
    last = min(int(end), size - 1) if begin and end else size - 1
    if first > last:
        return _Answer(416, {"Content-Range": f"bytes */{size}", **tags})
    given["Content-Range"] = f"bytes {first}-{last}/{size}"
    return _Answer(206, given, edition.path, first, last - first + 1)


def _listed(etag: str, header: str) -> bool:
    return not {"*", etag}.isdisjoint(tag.strip() for tag in header.split(","))


# --- Sockets -----------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    """A thread for each connection; knows those that are open, to hang up in the end."""

    request_queue_size = 64

    def __init__(self, double: PoliceUkDouble, port: int) -> None:
        self.double = double
        self._connections: set[Any] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client may go away
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "police-uk-double", ""
    disable_nagle_algorithm = True  # a small body would wait for the client's acknowledgement

    def do_GET(self) -> None:
        answer, fault = self.server.double._respond(self.command, self.path, self.headers)
        has_body = answer.has_body(self.command)
        if fault == "reset" and not has_body:
            return self._reset()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        if has_body:
            self._send_body(answer, fault)
        if fault == "reset":
            self._reset()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))  # up to the next request
        self.do_GET()

    def _send_body(self, answer: _Answer, fault: str | None) -> None:
        left = answer.length // 2 if fault in {"reset", "short"} else answer.length
        piece = 1 if fault == "drip" else _PIECE_BYTES
        with answer.open() as source:
            while left and (some := source.read(min(piece, left))):
                self.wfile.write(some)
                left -= len(some)
                if left and piece < _PIECE_BYTES:
                    time.sleep(_DRIP_PAUSE_S)
                    piece *= 2
        if left or fault == "short":  # or the file is not what it was
            self.close_connection = True

    def _reset(self) -> None:
        """End the connection with RST in place of FIN, which a plain close would send."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the double's `requests` tell."""


# --- Archives ----------------------------------------------------------------------------------


def _pack(
    path: Path, members: Iterable[tuple[zipfile.ZipFile, zipfile.ZipInfo]], padding: int = 0
) -> None:
    """Write a zip of members of others, with their deflated bytes and checksums as they are.

    `padding` bytes of another member stand before them.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    with zipfile.ZipFile(unfinished, "w") as packed:
        if padding:
            packed.writestr(zipfile.ZipInfo("README.txt"), b" " * padding)
        for archive, published in members:
            member = copy(published)
            source, target = cast(BinaryIO, archive.fp), cast(BinaryIO, packed.fp)
            source.seek(member.header_offset + 26)
            name_bytes, extra_bytes = struct.unpack("<2H", source.read(4))
            source.seek(name_bytes + extra_bytes, os.SEEK_CUR)
            member.flag_bits &= ~0x08  # sizes stand in the header, not behind the bytes
            member.header_offset = target.tell()
            target.write(member.FileHeader() + source.read(member.compress_size))
            packed.filelist.append(member)
            packed.start_dir = target.tell()
    os.replace(unfinished, path)


def earlier_release(archive: Path, folder: Path) -> list[str]:
    """Make two releases in `folder`, as a website would have had them; return them, oldest first.

    The newer is the newest of `archive`, a folder of `YYYY-MM.zip`. The older is that of the
    month before: the newer's members up to that month, those that the newest but one of `archive`
    holds as they are there. So the newer adds a month, and revises what was revised since. The
    bytes of both follow from those of `archive`. Raises `FileNotFoundError` where it has no zip.
    """
    releases = _releases_in(archive)
    if not releases:
        raise FileNotFoundError(f"no YYYY-MM.zip in {archive}")
    newest = releases[-1]
    year, month = map(int, newest.split("-"))
    earlier = f"{year}-{month - 1:02d}" if month > 1 else f"{year - 1}-12"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(archive / f"{newest}.zip") as new,
        zipfile.ZipFile(archive / f"{releases[-2:][0]}.zip") as old,  # the newest, if it is alone
    ):
        before = {member.filename: (old, member) for member in old.infolist()}
        _pack(
            folder / f"{earlier}.zip",
            (
                before.get(member.filename, (new, member))
                for member in new.infolist()
                if member.filename[: len("YYYY-MM")] <= earlier
            ),
        )
    shutil.copyfile(archive / f"{newest}.zip", folder / f"{newest}.zip")
    return [earlier, newest]


# --- Command line ------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the folder named on the command line until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description="Serve archives as data.police.uk does.")
    parser.add_argument("folder", type=Path, help="of YYYY-MM.zip, such as data/sample/archive")
    parser.add_argument("--port", type=int, default=8400, help="default: 8400; 0: a free one")
    parser.add_argument(
        "--withhold", type=int, default=0, metavar="N", help="do not publish the newest N at first"
    )
    parser.add_argument(
        "--publish-after",
        type=float,
        metavar="SECONDS",
        help="publish the oldest of those withheld after this time, the next after as long again",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
    # Both by hand: a shell starts what it puts in the background with SIGINT ignored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    releases = _releases_in(options.folder)
    if not releases:
        parser.error(f"no YYYY-MM.zip in {options.folder}")
    out = releases[: max(0, len(releases) - options.withhold)]
    try:
        double = PoliceUkDouble(options.folder, releases=out, port=options.port)
    except OSError as error:
        parser.error(f"cannot serve on port {options.port}: {error}")
    with double, suppress(KeyboardInterrupt):
        _log.info("serving %s at %s, not the real data.police.uk", options.folder, double.url)
        for state, those in (("published", double.published), ("withheld", double.withheld)):
            _log.info("%s: %s", state, ", ".join(those) or "none")
        _log.info("CRIME_ARCHIVE_URL=%s CRIME_API_URL=%s", double.archive_url, double.api_url)
        while options.publish_after is not None and double.withheld:
            time.sleep(options.publish_after)
            for release in double.withheld[:1]:  # it may have been published on the page
                double.publish(release)
        threading.Event().wait()


if __name__ == "__main__":
    main()
