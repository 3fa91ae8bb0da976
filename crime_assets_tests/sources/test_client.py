"""Asking politely and again: what is tried anew, what is not, and files that are read in parts."""

from __future__ import annotations

import io
import os
import random
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest
import tenacity
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crime_assets.sources import client as client_module
from crime_assets.sources.client import (
    Client,
    EditionChanged,
    Head,
    Passing,
    Patience,
    SourceError,
    SourceUnreachable,
    Turns,
    user_agent,
)

CONTENT = random.Random(1).randbytes(300_000)
SOON = Patience(attempts=4, first_s=0.0, longest_s=0.0)


class Server(ThreadingHTTPServer):
    """A server of one file, ``/file``, by ranges; ``faults`` are answered first, one a request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = CONTENT
        self.headers = {"ETag": '"first"', "Last-Modified": "Mon, 01 Dec 2025 10:00:00 GMT"}
        self.faults: list[Callable[[_Handler], None]] = []
        self.redirects: dict[str, str] = {}
        self.answers: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.asked_by: list[str] = []
        self.connections = 0
        self.lock = threading.Lock()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"{self.root}/file"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no concern of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        with self.server.lock:
            self.server.requests.append(f"{self.command} {self.path} {asked or ''}".strip())
            self.server.asked_by.append(self.headers["User-Agent"])
            fault = self.server.faults.pop(0) if self.server.faults else None
        if fault:
            return fault(self)
        path = self.path.split("?")[0]
        if path in self.server.redirects:
            return self.send(302, b"", {"Location": self.server.redirects[path]})
        if path in self.server.answers:
            return self.send(200, self.server.answers[path])
        self.send_part()

    def part(self) -> tuple[int, bytes, dict[str, str]]:
        """The answer to a request of the file: status, body, headers."""
        whole = self.server.content
        if not (asked := self.headers.get("Range")):
            return 200, whole, self.server.headers
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", asked).groups())
        if first >= len(whole):
            return 416, b"", {**self.server.headers, "Content-Range": f"bytes */{len(whole)}"}
        part = whole[first : last + 1]
        stretch = f"bytes {first}-{first + len(part) - 1}/{len(whole)}"
        return 206, part, {**self.server.headers, "Content-Range": stretch}

    def send_part(self, only: int | None = None) -> None:
        status, body, headers = self.part()
        self.send(status, body, headers, only)

    def send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        only: int | None = None,
    ) -> None:
        """The answer; of the body that it promises, ``only`` so many bytes."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:only])
        if only is not None:
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing: the tests read ``requests``."""


def status(code: int, **headers: str) -> Callable[[_Handler], None]:
    return lambda handler: handler.send(
        code, b"sorry", {name.replace("_", "-"): value for name, value in headers.items()}
    )


def reset(handler: _Handler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def stall(handler: _Handler) -> None:
    """Says nothing until the client has gone."""
    handler.connection.settimeout(10)
    handler.connection.recv(1)
    handler.close_connection = True


def page(handler: _Handler) -> None:
    handler.send(200, b"<html>Please log in</html>", {"Content-Type": "text/html; charset=utf-8"})


def torn_at(count: int) -> Callable[[_Handler], None]:
    return lambda handler: handler.send_part(only=count)


def whole(handler: _Handler) -> None:
    handler.send(200, handler.server.content, handler.server.headers)


def shifted(handler: _Handler) -> None:
    code, body, headers = handler.part()
    total = len(handler.server.content)
    handler.send(code, body, {**headers, "Content-Range": f"bytes 7-{6 + len(body)}/{total}"})


class NoTurns:
    """Turns that come at once; how many were taken is counted."""

    def __init__(self) -> None:
        self.taken = 0

    def wait(self) -> None:
        self.taken += 1


@pytest.fixture(autouse=True)
def turns(monkeypatch: pytest.MonkeyPatch) -> NoTurns:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    turns = NoTurns()
    monkeypatch.setattr(client_module, "turns", lambda: turns)
    return turns


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited."""
    waits: list[float] = []
    monkeypatch.setattr(tenacity.nap.time, "sleep", waits.append)
    return waits


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(SOON) as client:
        yield client


# --- Who asks, and how ------------------------------------------------------------------------


def test_every_request_says_who_asks(server: Server, client: Client) -> None:
    server.redirects["/latest"] = "/file"
    client.head(f"{server.root}/latest")
    assert server.asked_by == [f"crime_assets/{version('crime-assets')}"] * 2


def test_the_address_of_the_project_is_said_where_the_package_names_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = Message()
    package["Version"] = "1.2.3"
    package["Project-URL"] = "Repository, https://example.org/crime_assets"
    monkeypatch.setattr(client_module, "metadata", lambda _: package)
    assert user_agent.__wrapped__() == "crime_assets/1.2.3 (+https://example.org/crime_assets)"


def test_a_head_says_where_a_redirect_leads_and_which_edition_is_there(
    server: Server, client: Client
) -> None:
    server.redirects["/latest"] = "/file?signed=1"
    head = client.head(f"{server.root}/latest")
    assert head == Head(
        f"{server.url}?signed=1", '"first"', 300_000, "Mon, 01 Dec 2025 10:00:00 GMT"
    )
    assert head.edition == '"first"'
    assert server.requests == ["HEAD /latest", "HEAD /file?signed=1"]
    server.headers = {}
    assert client.head(server.url) == Head(server.url, "", 300_000, "")
    assert client.head(server.url).edition == "300000"


def test_a_redirect_takes_a_turn_of_its_own(server: Server, client: Client, turns: NoTurns) -> None:
    server.redirects |= {"/a": "/b", "/b": "/file"}
    client.head(f"{server.root}/a")
    assert turns.taken == len(server.requests) == 3


def test_one_connection_serves_many_requests(server: Server, client: Client) -> None:
    server.answers["/api"] = b"{}"
    file = client.open(server.url)
    file.read(10)
    client.json(f"{server.root}/api")
    file.read(1_000)
    assert len(server.requests) == 4
    assert server.connections == 1


# --- What is tried again, and what is not -----------------------------------------------------

PASSING = {
    **{str(code): status(code) for code in (408, 425, 429, 500, 502, 503, 504)},
    "reset": reset,
    "stall": stall,
    "page": page,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
@pytest.mark.parametrize("method", ["head", "json", "read", "fetch"])
def test_a_fault_that_may_pass_is_tried_again(
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[_Handler], None],
    method: str,
) -> None:
    server.answers["/api"] = b'{"date": "2025-12-01"}'
    with Client(SOON, read_timeout_s=0.2) as client:
        file = client.open(server.url)
        server.faults, server.requests[:] = [fault, fault], []
        if method == "head":
            assert client.head(server.url).bytes == len(CONTENT)
        elif method == "json":
            assert client.json(f"{server.root}/api") == {"date": "2025-12-01"}
        elif method == "read":
            assert file.read(1_000) == CONTENT[:1_000]
        else:
            client.fetch(server.url, tmp_path / "file")
            assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.requests) == 3
    told = [r.getMessage() for r in caplog.records if r.name == "crime_assets.client"]
    assert len(told) == 2
    for attempt, line in enumerate(told, 1):
        assert re.fullmatch(
            rf"(HEAD|GET) {server.root}/(file|api)( bytes 0-999)?: .+ "
            rf"\(attempt {attempt} of 4; again in 0\.0 s\)",
            line,
        )


@pytest.mark.parametrize("fault", [torn_at(70), whole, shifted], ids=["torn", "whole", "shifted"])
def test_an_answer_that_is_not_the_part_that_was_asked_for_is_tried_again(
    server: Server, client: Client, fault: Callable[[_Handler], None]
) -> None:
    file = client.open(server.url)
    file.read(1)  # by now the server is known to give parts
    server.faults = [fault]
    assert file.read(1_000) == CONTENT[1:1_001]
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, SourceError),
        (401, SourceError),
        (403, SourceUnreachable),  # for now: worth another try, but not at once
        (404, FileNotFoundError),
        (410, FileNotFoundError),
        (418, SourceError),
    ],
)
def test_what_no_other_try_mends_is_tried_once(
    server: Server, client: Client, tmp_path: Path, code: int, error: type[Exception]
) -> None:
    for ask in (
        client.head,
        client.json,
        client.open,
        lambda url: client.fetch(url, tmp_path / "file"),
    ):
        server.faults, server.requests[:] = [status(code)], []
        with pytest.raises(error, match=rf"{server.url}: .*{code}") as raised:
            ask(server.url)
        assert type(raised.value) is error
        assert len(server.requests) == 1


def test_an_address_that_is_none_is_an_error_at_once(client: Client, waits: list[float]) -> None:
    with pytest.raises(SourceError, match=r"ftp://example\.org/a: cannot be asked for"):
        client.json("ftp://example.org/a")
    assert not waits


def test_when_attempts_are_used_up_the_error_names_address_attempts_and_the_last_cause(
    server: Server, client: Client
) -> None:
    server.faults = [status(500), status(502), reset, status(503)]
    with pytest.raises(SourceUnreachable) as raised:
        client.json(server.url)
    assert str(raised.value) == (
        f"GET {server.url}: no usable answer in 4 attempts, the last: status 503 "
        "Service Unavailable"
    )


def test_a_server_that_is_not_there_is_unreachable(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceUnreachable, match=r"in 4 attempts, the last: .*Connection refused"):
        client.head(f"http://127.0.0.1:{port}/")


def test_what_is_no_json_is_asked_for_again(server: Server, client: Client) -> None:
    server.answers["/api"] = b"busy"
    with pytest.raises(SourceUnreachable, match="no JSON, it starts with b'busy'"):
        client.json(f"{server.root}/api")
    assert len(server.requests) == 4


def test_a_file_that_its_reader_refuses_for_now_is_fetched_again(
    server: Server, client: Client, tmp_path: Path
) -> None:
    seen: list[bytes] = []

    def check(path: Path) -> int:
        seen.append(path.read_bytes())
        if len(seen) < 3:
            raise Passing("not yet")
        return len(seen)

    server.faults = [torn_at(100_000)]
    assert client.fetch(server.url, tmp_path / "file", check=check) == 3
    assert seen == [CONTENT] * 3  # what was torn was never shown


# --- How long is waited -----------------------------------------------------------------------


def test_waits_double_up_to_a_bound_and_are_drawn_below(
    server: Server, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = [status(503)] * 16
    with Client() as client, pytest.raises(SourceUnreachable, match="8 attempts"):
        client.head(server.url)
    bounds = [0.5, 1, 2, 4, 8, 16, 30]
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len({wait / bound for wait, bound in zip(waits, bounds, strict=True)}) == 7
    waits.clear()
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    with Client() as client, pytest.raises(SourceUnreachable):
        client.head(server.url)
    assert waits == bounds


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("9999", 120, 120),
        (timedelta(seconds=60), 30, 60),
        (timedelta(days=2), 120, 120),
        (timedelta(days=-2), 0, 0),
        ("soon", 0, 0),
    ],
    ids=["seconds", "none", "too-many", "a-minute", "in-two-days", "two-days-ago", "no-time"],
)
def test_a_server_that_names_a_time_is_heeded_within_reason(
    server: Server,
    client: Client,
    waits: list[float],
    asked: str | timedelta,
    least: float,
    most: float,
) -> None:
    if isinstance(asked, timedelta):
        asked = format_datetime(datetime.now(UTC) + asked, usegmt=True)
    server.faults = [status(429, Retry_After=asked)]
    client.head(server.url)
    assert len(waits) == 1
    assert least <= waits[0] <= most


# --- Files that are read in parts -------------------------------------------------------------


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]),
            st.integers(-310_000, 310_000),
            st.one_of(st.integers(0, 50_000), st.just(-1), st.none()),
        ),
        max_size=4,
    )
)
def test_a_file_on_a_server_reads_and_seeks_as_one_in_memory(
    server: Server, client: Client, steps: list[tuple[int, int, int | None]]
) -> None:
    remote, local = client.open(server.url), io.BytesIO(CONTENT)
    for whence, offset, size in steps:
        try:
            expected = local.seek(offset, whence)
        except ValueError:
            expected = None
        if (
            expected is None
            or {io.SEEK_CUR: local.tell(), io.SEEK_END: 300_000}.get(whence, 0) + offset < 0
        ):
            local.seek(remote.tell())
            continue
        assert remote.seek(offset, whence) == expected
        assert remote.read(size) == local.read(size)
        assert remote.tell() == local.tell()


def test_a_zip_on_a_server_is_read_without_downloading_it(server: Server, client: Client) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in "abcdefgh":
            archive.writestr(name, random.Random(name).randbytes(100_000))
    server.content = file.getvalue()
    remote = client.open(server.url)
    with zipfile.ZipFile(io.BufferedReader(remote, 2**14)) as archive:
        assert archive.namelist() == list("abcdefgh")
        assert archive.read("c") == random.Random("c").randbytes(100_000)
    spans = [re.findall(r"\d+", r.split("=")[1]) for r in server.requests if "=" in r]
    assert sum(int(last) - int(first) + 1 for first, last in spans) < 150_000


def test_a_read_that_breaks_goes_on_at_the_byte_where_it_broke(
    server: Server, client: Client
) -> None:
    file = client.open(server.url)
    file.seek(100)
    server.faults = [torn_at(70_001), torn_at(3), torn_at(0)]
    assert file.read(200_000) == CONTENT[100:200_100]
    assert server.requests[1:] == [
        "GET /file bytes=100-200099",
        "GET /file bytes=70101-200099",
        "GET /file bytes=70104-200099",
        "GET /file bytes=70104-200099",
    ]


def test_a_read_past_the_end_asks_nobody(server: Server, client: Client) -> None:
    file = client.open(server.url)
    file.seek(5, io.SEEK_END)
    assert file.read(10) == b""
    file.seek(-3, io.SEEK_END)
    assert file.read(10) == CONTENT[-3:]
    assert server.requests == ["HEAD /file", "GET /file bytes=299997-299999"]


def test_threads_read_one_file_each_with_its_own_position(server: Server, client: Client) -> None:
    file = client.open(server.url)

    def part(start: int) -> bytes:
        mine = file.again()
        mine.seek(start)
        return mine.read(1_000) + mine.read(500)

    starts = range(0, 200_000, 10_000)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(part, starts))
    assert parts == [CONTENT[start : start + 1_500] for start in starts]
    assert [r for r in server.requests if r.startswith("HEAD")] == ["HEAD /file"]


def test_where_a_redirect_led_is_remembered_for_as_long_as_it_is_good(
    server: Server, client: Client
) -> None:
    server.redirects["/latest"] = "/file?key=1"
    file = client.open(f"{server.root}/latest")
    assert file.read(2) == CONTENT[:2]
    assert file.again().read(2) == CONTENT[:2]
    server.redirects["/latest"] = "/file?key=2"
    server.faults = [status(403)]
    assert file.read(2) == CONTENT[2:4]
    assert [r.split()[1] for r in server.requests] == [
        *("/latest", "/file?key=1"),
        *("/file?key=1", "/file?key=1", "/file?key=1"),
        *("/latest", "/file?key=2"),
    ]


def test_a_server_that_gives_no_parts_is_an_error_and_no_download(
    server: Server, client: Client
) -> None:
    file = client.open(server.url)
    server.faults = [whole] * 5
    with pytest.raises(SourceError, match=r"gives no parts of it \(range requests\)"):
        file.read(10)
    assert len(server.requests) == 2


def test_a_server_that_promises_parts_is_asked_again_for_them(
    server: Server, client: Client
) -> None:
    server.headers["Accept-Ranges"] = "bytes"
    file = client.open(server.url)
    server.faults = [whole, whole]
    assert file.read(10) == CONTENT[:10]


# --- Editions ---------------------------------------------------------------------------------

CHANGES = {
    "etag": ({"ETag": '"first"'}, {"ETag": '"second"'}, CONTENT),
    "date": ({"Last-Modified": "Mon, 01 Dec 2025"}, {"Last-Modified": "Tue, 02 Dec 2025"}, CONTENT),
    "size": ({}, {}, CONTENT + b"more"),
    "shorter": ({}, {}, CONTENT[:1_000]),
}


@pytest.mark.parametrize(("before", "after", "content"), CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_is_replaced_between_two_reads_is_an_error(
    server: Server,
    client: Client,
    before: dict[str, str],
    after: dict[str, str],
    content: bytes,
) -> None:
    server.headers = before
    file = client.open(server.url)
    file.read(10)
    file.seek(2_000)
    server.headers, server.content = after, content
    with pytest.raises(EditionChanged, match=f"{server.url}: it was replaced") as changed:
        file.read(10)
    assert changed.value.was == file.head
    assert len(server.requests) == 3
    file = client.open(server.url)
    assert file.read(10) == content[:10]


def test_a_file_that_is_replaced_in_the_middle_of_a_read_is_an_error(
    server: Server, client: Client
) -> None:
    def torn_and_replaced(handler: _Handler) -> None:
        handler.send_part(only=50)
        server.headers = {"ETag": '"second"'}

    file = client.open(server.url)
    server.faults = [torn_and_replaced]
    with pytest.raises(EditionChanged, match='"first" is now "second"'):
        file.read(100)


def test_the_same_bytes_of_another_date_are_the_same_edition(
    server: Server, client: Client
) -> None:
    """The machines of a store may disagree on a file's date; its ETag is what counts."""
    file = client.open(server.url)
    server.headers["Last-Modified"] = "Tue, 02 Dec 2025 10:00:00 GMT"
    assert file.read(10) == CONTENT[:10]


# --- Turns ------------------------------------------------------------------------------------


def taken(folder: Path) -> list[int]:
    """When somebody had a turn, in milliseconds."""
    with closing(sqlite3.connect(folder / "requests.sqlite")) as database:
        rows = database.execute("select item_timestamp from rate_bucket order by 1").fetchall()
    return [time for (time,) in rows]


def assert_kept(times: list[int], a_second: int) -> None:
    """In no second are there more; the first and the one after the last are a second apart."""
    assert all(
        later - earlier > 1_000 for earlier, later in zip(times, times[a_second:], strict=False)
    )


def test_threads_take_turns(tmp_path: Path) -> None:
    turns = Turns(20, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: turns.wait(), range(45)))
    assert len(taken(tmp_path)) == 45
    assert_kept(taken(tmp_path), 20)


def process_of(tmp_path: Path, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_processes_take_turns_and_one_that_is_killed_holds_nobody_up(tmp_path: Path) -> None:
    turns = (
        "import sys, pathlib; from crime_assets.sources.client import Turns\n"
        "turns = Turns(10, pathlib.Path(sys.argv[1]))\n"
        "for _ in range(8): turns.wait()"
    )
    holder = process_of(
        tmp_path,
        "import sys, time, filelock\n"
        "lock = filelock.FileLock(sys.argv[1] + '/requests.sqlite.lock')\n"
        "lock.acquire()\n"
        "print('held', flush=True); time.sleep(60)",
    )
    assert holder.stdout.readline() == "held\n"
    others = [process_of(tmp_path, turns) for _ in range(3)]
    with pytest.raises(subprocess.TimeoutExpired):
        others[0].wait(timeout=3)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    for other in others:
        assert other.wait(timeout=60) == 0
    assert len(taken(tmp_path)) == 24
    assert_kept(taken(tmp_path), 10)


def test_where_turns_cannot_be_shared_a_process_counts_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "requests.sqlite").write_bytes(b"no database" * 1_000)
    turns = Turns(1_000, tmp_path)
    turns.wait()
    (tmp_path / "file").touch()
    Turns(1_000, tmp_path / "file").wait()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert all("counted in this process only" in line for line in told)
    assert "file is not a database" in told[0]


def test_where_the_folder_for_turns_is_another_s_a_process_counts_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Turns(1_000, None).wait()
    assert "counted in this process only" in caplog.text


def test_turns_that_stand_in_the_future_hold_nobody_up_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After the clock was put back, as it may be when a virtual machine wakes."""
    Turns(2, tmp_path).wait()
    with closing(sqlite3.connect(tmp_path / "requests.sqlite")) as database, database:
        database.execute("update rate_bucket set item_timestamp = item_timestamp + 3600000")
        database.execute("insert into rate_bucket select * from rate_bucket")
    monkeypatch.setattr(client_module, "LONGEST_TURN_S", 0.2)
    turns = Turns(2, tmp_path)
    turns.wait()
    assert "no turn for" in caplog.text
    turns.wait()


def test_a_lock_that_somebody_holds_is_waited_for(tmp_path: Path) -> None:
    turns = Turns(100, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        with FileLock(tmp_path / "requests.sqlite.lock"):
            waiting = pool.submit(turns.wait)
            assert not taken(tmp_path)
        waiting.result(timeout=30)
    assert len(taken(tmp_path)) == 1
