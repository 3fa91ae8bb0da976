"""The double of data.police.uk as its clients see it: requests, http.client, raw sockets."""

from __future__ import annotations

import hashlib
import http.client
import io
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from crime_assets.sources.double import FAULTS, PoliceUkDouble, earlier_release
from crime_assets.sources.sample import write_sample
from crime_assets_tests.sources.archives import member_name, street_csv, write_zip

OCTOBER, NOVEMBER, DECEMBER = (member_name(f"2025-{month}", "kent") for month in (10, 11, 12))
OLDER = {OCTOBER: street_csv("2025-10", 700), NOVEMBER: street_csv("2025-11", 800)}
NEWER = {
    OCTOBER: street_csv("2025-10", 900),
    NOVEMBER: OLDER[NOVEMBER],
    DECEMBER: street_csv("2025-12", 1000),
}
ZIP = "/data/archive/2025-12.zip"
LAST_UPDATED = "/api/crime-last-updated"
TIMEOUT_S = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_zip(folder / "2025-11.zip", OLDER)
    write_zip(folder / "2025-12.zip", NEWER)
    (folder / "notes.txt").write_text("no archive")
    return folder


@pytest.fixture(scope="module")
def published(folder: Path) -> bytes:
    """The bytes of the newest archive."""
    return (folder / "2025-12.zip").read_bytes()


@pytest.fixture
def double(folder: Path) -> Iterator[PoliceUkDouble]:
    with PoliceUkDouble(folder, limited=False) as double:
        yield double


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def get(double: PoliceUkDouble, path: str, **headers: str) -> requests.Response:
    """A GET on a connection of its own; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(double.url + path, headers=named, timeout=TIMEOUT_S, allow_redirects=False)


@contextmanager
def connection(double: PoliceUkDouble) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(double.url).netloc, timeout=TIMEOUT_S)
    yield connection
    connection.close()


def checksums(archive: bytes) -> dict[str, int]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {member.filename: member.CRC for member in opened.infolist()}


def deflated(archive: bytes) -> dict[str, bytes]:
    """The bytes of members as the zip holds them, found by hand."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for member in opened.infolist():
            header = archive[member.header_offset :][:30]
            assert header[:4] == b"PK\x03\x04"
            assert int.from_bytes(header[14:18], "little") == member.CRC
            name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
            start = member.header_offset + 30 + name + extra
            found[member.filename] = archive[start : start + member.compress_size]
    return found


# --- The website ------------------------------------------------------------------------------


def test_an_archive_is_served_as_it_is(double: PoliceUkDouble, published: bytes) -> None:
    answer = get(double, ZIP)
    assert (answer.status_code, answer.content) == (200, published)
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(published).hexdigest()}"'
    assert double.archive_url + "/2025-12.zip" == double.url + ZIP


def test_last_modified_is_the_time_of_the_file(double: PoliceUkDouble, folder: Path) -> None:
    said = parsedate_to_datetime(get(double, ZIP).headers["Last-Modified"])
    assert said.timestamp() == int((folder / "2025-12.zip").stat().st_mtime)


def test_a_head_tells_what_a_get_would_and_sends_nothing(
    double: PoliceUkDouble, published: bytes
) -> None:
    with connection(double) as asked:
        asked.request("HEAD", ZIP, headers={"Range": "bytes=0-9"})  # ranges are of GET alone
        head = asked.getresponse()
        assert (head.status, head.read()) == (200, b"")
        assert head.headers["Content-Length"] == str(len(published))
        assert head.headers["ETag"] == get(double, ZIP).headers["ETag"]
        asked.request("GET", LAST_UPDATED)  # a body after the head would be read as this answer
        assert asked.getresponse().status == 200


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-4099", 100, 4099),
        ("bytes=5000-", 5000, -1),
        ("bytes=-22", -22, -1),
        ("bytes=10-999999999", 10, -1),
        ("bytes=-999999999", 0, -1),
    ],
)
def test_a_range_is_that_part_of_the_file(
    double: PoliceUkDouble, published: bytes, asked: str, first: int, last: int
) -> None:
    size = len(published)
    first, last = first % size, last % size
    answer = get(double, ZIP, Range=asked)
    assert (answer.status_code, answer.content) == (206, published[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert answer.headers["ETag"] == get(double, ZIP).headers["ETag"]


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0"])
def test_a_range_outside_the_file_is_refused(
    double: PoliceUkDouble, published: bytes, asked: str
) -> None:
    answer = get(double, ZIP, Range=asked)
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{len(published)}"


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=-", "bytes=0-1,5-6", "lines=1-2"])
def test_what_is_no_single_range_is_answered_whole(
    double: PoliceUkDouble, published: bytes, asked: str
) -> None:
    answer = get(double, ZIP, Range=asked)
    assert (answer.status_code, answer.content) == (200, published)


def test_preconditions_are_honoured(double: PoliceUkDouble) -> None:
    tag = get(double, ZIP).headers["ETag"]
    modified = get(double, ZIP).headers["Last-Modified"]
    for headers, status in (
        ({"If_Match": tag}, 200),
        ({"If_Match": f'"other", {tag}'}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": '"other"'}, 412),
        ({"If_Match": f"W/{tag}"}, 412),  # a weak one never matches here
        ({"If_Match": '"other"', "Range": "bytes=0-9"}, 412),
        ({"If_None_Match": tag}, 304),
        ({"If_None_Match": f'"other", W/{tag}'}, 304),
        ({"If_None_Match": '"other"'}, 200),
        ({"If_Range": tag, "Range": "bytes=0-9"}, 206),
        ({"If_Range": modified, "Range": "bytes=0-9"}, 206),
        ({"If_Range": '"other"', "Range": "bytes=0-9"}, 200),
        ({"If_Range": f"W/{tag}", "Range": "bytes=0-9"}, 200),
    ):
        answer = get(double, ZIP, **headers)
        assert answer.status_code == status, headers
        assert bool(answer.content) == (status in {200, 206}), headers


def test_latest_leads_to_the_newest_release(double: PoliceUkDouble) -> None:
    answer = get(double, "/data/archive/latest.zip")
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["Location"] == f"{double.archive_url}/2025-12.zip"


def test_the_api_dates_the_newest_release(double: PoliceUkDouble) -> None:
    answer = requests.get(f"{double.api_url}/crime-last-updated", timeout=TIMEOUT_S)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"date": "2025-12-01"}


@pytest.mark.parametrize(
    "path",
    ["/data/archive/2025-10.zip", "/data/archive/notes.txt", "/data/archive/../x", "/api/forces"],
)
def test_what_is_not_there_is_a_small_page_of_status_404(double: PoliceUkDouble, path: str) -> None:
    answer = get(double, path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Page not found" in answer.text
    assert len(answer.content) < 500


def test_a_connection_serves_many_requests(double: PoliceUkDouble, published: bytes) -> None:
    with connection(double) as asked:
        ports = set()
        for first in range(5):
            asked.request("GET", ZIP, headers={"Range": f"bytes={first}-{first + 9}"})
            assert asked.getresponse().read() == published[first : first + 10]
            ports.add(asked.sock.getsockname()[1])
            asked.request("GET", "/nothing")
            assert asked.getresponse().read()
        asked.request("POST", "/double/publish/2025-12", body=b"some form")
        assert asked.getresponse().read()
        asked.request("GET", LAST_UPDATED)
        assert asked.getresponse().status == 200
        assert ports == {asked.sock.getsockname()[1]}


def test_many_clients_at_a_time_get_their_own_ranges(
    double: PoliceUkDouble, published: bytes
) -> None:
    def fetch(first: int) -> bytes:
        return get(double, ZIP, Range=f"bytes={first}-{first + 999}").content

    with ThreadPoolExecutor(8) as pool:
        starts = range(0, 20_000, 500)
        assert list(pool.map(fetch, starts)) == [published[a : a + 1000] for a in starts]


def test_what_was_asked_is_on_record(double: PoliceUkDouble) -> None:
    get(double, ZIP, Range="bytes=0-9", User_Agent="crime_assets/0")
    get(double, "/nothing?at=all")
    requests.head(double.url + LAST_UPDATED, timeout=TIMEOUT_S)
    first, *others = double.requests
    assert (first.method, first.path, first.range) == ("GET", ZIP, "bytes=0-9")
    assert (first.status, first.fault) == (206, None)
    assert first.headers["User-Agent"] == "crime_assets/0"
    assert [(other.method, other.path, other.range, other.status) for other in others] == [
        ("GET", "/nothing?at=all", None, 404),
        ("HEAD", LAST_UPDATED, None, 200),
    ]


def test_a_client_that_goes_away_leaves_no_traceback(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = random.Random(1).randbytes(8 * 2**20)  # more than the sockets take in
    path = write_zip(tmp_path / "large.zip", {DECEMBER: noise})
    with PoliceUkDouble(folder, limited=False) as double:
        double.publish("2025-12", path)
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", urlsplit(double.url).port)) as client:
                client.sendall(f"GET {ZIP} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert client.recv(12) == b"HTTP/1.1 200"
        deadline = time.monotonic() + TIMEOUT_S
        while double._server._connections and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not double._server._connections
        assert get(double, LAST_UPDATED).status_code == 200
    assert capfd.readouterr().err == ""


def test_a_closed_double_hangs_up_and_frees_its_port(folder: Path) -> None:
    with PoliceUkDouble(folder) as double, connection(double) as asked:
        asked.request("GET", LAST_UPDATED)
        assert asked.getresponse().read()
        kept = asked.sock
        double.close()
        assert kept.recv(1) == b""
        with pytest.raises(requests.ConnectionError):
            get(double, LAST_UPDATED)
        port = urlsplit(double.url).port
        assert port is not None
        with PoliceUkDouble(folder, port=port) as another:
            assert get(another, LAST_UPDATED).status_code == 200


# --- Releases ---------------------------------------------------------------------------------


def test_a_withheld_release_is_not_out_until_it_is_published(folder: Path) -> None:
    with PoliceUkDouble(folder, releases=["2025-11"]) as double:
        assert get(double, ZIP).status_code == 404
        assert get(double, LAST_UPDATED).json() == {"date": "2025-11-01"}
        assert get(double, "/data/archive/latest.zip").headers["Location"].endswith("/2025-11.zip")
        double.publish("2025-12")
        assert get(double, ZIP).status_code == 200
        assert get(double, LAST_UPDATED).json() == {"date": "2025-12-01"}
        assert get(double, "/data/archive/latest.zip").headers["Location"].endswith("/2025-12.zip")


def test_before_the_first_release_there_is_no_latest(folder: Path) -> None:
    with PoliceUkDouble(folder, releases=[]) as double:
        assert get(double, "/data/archive/latest.zip").status_code == 404
        assert get(double, LAST_UPDATED).status_code == 404


def test_a_release_issued_anew_has_other_bytes_and_another_etag(
    double: PoliceUkDouble, folder: Path
) -> None:
    before = get(double, ZIP)
    double.publish("2025-12", folder / "2025-11.zip")
    after = get(double, ZIP)
    assert after.content == (folder / "2025-11.zip").read_bytes()
    assert after.headers["ETag"] != before.headers["ETag"]
    assert get(double, ZIP, If_Match=before.headers["ETag"]).status_code == 412
    double.publish("2025-12")
    assert get(double, ZIP).headers["ETag"] == before.headers["ETag"]


def test_the_etag_is_of_the_content_alone(folder: Path, tmp_path: Path) -> None:
    """Neither its length nor its time nor its name tells an edition from another."""
    first, same, other = (tmp_path / f"{name}.zip" for name in ("first", "same", "other"))
    first.write_bytes(b"edition 1")
    same.write_bytes(b"edition 1")
    other.write_bytes(b"edition 2")
    tags = []
    with PoliceUkDouble(folder) as double:
        for path in (first, same, other):
            double.publish("2025-12", path)
            tags.append(get(double, ZIP).headers["ETag"])
    assert tags[0] == tags[1] != tags[2]


def test_a_release_without_a_file_cannot_be_published(double: PoliceUkDouble) -> None:
    with pytest.raises(FileNotFoundError, match=r"2026-01\.zip"):
        double.publish("2026-01")
    with pytest.raises(FileNotFoundError, match=r"1999-01\.zip"):
        PoliceUkDouble(double._archive, releases=["1999-01"])


def test_the_page_publishes_what_is_withheld(folder: Path) -> None:
    with PoliceUkDouble(folder, releases=["2025-11"]) as double:
        page = get(double, "/").text
        assert "not data.police.uk" in page
        assert "<form method=post action=/double/publish/2025-12>" in page
        assert "publish/2025-11" not in page
        answer = requests.post(f"{double.url}/double/publish/2025-12", timeout=TIMEOUT_S)
        assert (answer.status_code, answer.text) == (200, "2025-12 is published")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert double.withheld == []
        assert double.published == ["2025-11", "2025-12"]
        assert "<form" not in get(double, "/").text


def test_nothing_else_can_be_posted(double: PoliceUkDouble) -> None:
    for path, status in (
        ("/double/publish/2026-01", 404),
        ("/double/publish/..%2Fx", 404),
        (ZIP, 405),
        (LAST_UPDATED, 405),
    ):
        assert requests.post(double.url + path, timeout=TIMEOUT_S).status_code == status, path
    assert get(double, "/double/publish/2025-12").status_code == 404


# --- The limit --------------------------------------------------------------------------------


def test_more_than_thirty_requests_at_once_are_too_many(
    folder: Path, session: requests.Session
) -> None:
    with PoliceUkDouble(folder) as double:
        answers = [session.get(double.url + LAST_UPDATED, timeout=TIMEOUT_S) for _ in range(60)]
        codes = [answer.status_code for answer in answers]
        assert set(codes[:30]) == {200}
        assert 429 in codes[30:]
        refused = answers[codes.index(429)]
        assert refused.headers["Retry-After"] == "1"
        assert Counter(request.status for request in double.requests) == Counter(codes)
        assert {request.fault for request in double.requests} == {None}
        deadline = time.monotonic() + TIMEOUT_S
        while session.get(double.url + LAST_UPDATED, timeout=TIMEOUT_S).status_code == 429:
            assert time.monotonic() < deadline, "the limit never lets anything through again"
            time.sleep(0.1)


def test_the_bucket_fills_by_fifteen_a_second_and_holds_thirty(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with PoliceUkDouble(folder) as double:
        assert [double._take_token() for _ in range(31)] == [True] * 30 + [False]
        now += 0.2
        assert [double._take_token() for _ in range(4)] == [True] * 3 + [False]
        now += 60
        assert [double._take_token() for _ in range(31)] == [True] * 30 + [False]


def test_the_limit_can_be_switched_off(double: PoliceUkDouble, session: requests.Session) -> None:
    url = double.url + LAST_UPDATED
    codes = {session.get(url, timeout=TIMEOUT_S).status_code for _ in range(60)}
    assert codes == {200}


# --- Faults -----------------------------------------------------------------------------------


def raw(double: PoliceUkDouble, asked_range: str) -> tuple[bytes, bytes, BaseException | None]:
    """Headers, as much of the body as came, and how the connection ended."""
    came, error = b"", None
    with socket.create_connection(("127.0.0.1", urlsplit(double.url).port), TIMEOUT_S) as client:
        client.sendall(f"GET {ZIP} HTTP/1.1\r\nHost: x\r\nRange: {asked_range}\r\n\r\n".encode())
        try:
            while some := client.recv(65536):
                came += some
        except OSError as raised:
            error = raised
    headers, _, body = came.partition(b"\r\n\r\n")
    return headers, body, error


def test_a_reset_ends_the_body_half_way(double: PoliceUkDouble, published: bytes) -> None:
    double.order("reset")
    headers, body, error = raw(double, "bytes=0-9999")
    assert b"Content-Length: 10000" in headers
    assert 0 < len(body) < 10_000
    assert published.startswith(body)
    assert isinstance(error, ConnectionResetError)
    double.order("reset")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get(double, ZIP)
    assert get(double, ZIP).content == published
    assert [(request.status, request.fault) for request in double.requests] == [
        (206, "reset"),
        (200, "reset"),
        (200, None),
    ]


def test_a_reset_without_a_body_comes_at_once(double: PoliceUkDouble) -> None:
    double.order("reset", times=2)
    for ask in (
        lambda: requests.head(double.url + ZIP, timeout=TIMEOUT_S),
        lambda: get(double, "/data/archive/latest.zip"),
    ):
        with pytest.raises(requests.ConnectionError, match="reset"):
            ask()
    assert [(request.status, request.fault) for request in double.requests] == [(0, "reset")] * 2


def test_a_server_error_comes_twice_for_what_was_asked(double: PoliceUkDouble) -> None:
    double.order("server_error")
    asked = [("bytes=0-9", 500), ("bytes=10-19", 206), ("bytes=0-9", 500), ("bytes=0-9", 206)]
    for of, status in asked:
        assert get(double, ZIP, Range=of).status_code == status
    double.order("server_error", times=2)
    assert [get(double, ZIP).status_code for _ in range(5)] == [500] * 4 + [200]


def test_a_short_answer_promises_more_than_it_holds(
    double: PoliceUkDouble, published: bytes
) -> None:
    double.order("short")
    headers, body, error = raw(double, "bytes=0-9999")
    assert b"Content-Length: 10000" in headers
    assert (body, error) == (published[:5000], None)
    double.order("short")
    with connection(double) as asked:
        asked.request("GET", ZIP)
        with pytest.raises(http.client.IncompleteRead) as raised:
            asked.getresponse().read()
    assert raised.value.partial == published[: len(published) // 2]


def test_a_dripping_answer_is_whole_but_takes_its_time(
    double: PoliceUkDouble, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("crime_assets.sources.double.time.sleep", pauses.append)
    double.order("drip")
    assert get(double, ZIP, Range="bytes=0-4999").content == published[:5000]
    assert len(pauses) == 12  # 1 + 2 + .. + 2048 = 4095 bytes, and the others after the last pause
    pauses.clear()
    double.order("drip")
    assert get(double, ZIP).content == published
    assert 1 < sum(pauses) <= 2


def test_a_dripping_answer_comes_in_pieces(double: PoliceUkDouble, published: bytes) -> None:
    double.order("drip")
    answer = requests.get(
        double.url + ZIP, headers={"Range": "bytes=0-15"}, stream=True, timeout=TIMEOUT_S
    )
    pieces = []
    while some := answer.raw.read1(100):
        pieces.append(some)
    assert b"".join(pieces) == published[:16]
    assert len(pieces) > 1


def test_a_changed_range_is_of_an_edition_with_the_same_members_elsewhere(
    double: PoliceUkDouble, published: bytes
) -> None:
    etag = get(double, ZIP).headers["ETag"]
    double.order("changed", times=4)
    answer = get(double, ZIP, Range="bytes=0-")
    changed = answer.content
    assert answer.status_code == 206
    assert answer.headers["ETag"] == f'"{hashlib.sha256(changed).hexdigest()}"' != etag
    assert len(published) + 2048 < len(changed) < len(published) + 8192
    with zipfile.ZipFile(io.BytesIO(changed)) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in NEWER} == NEWER
        assert [*opened.namelist()] == ["README.txt", *NEWER]
    held = deflated(changed)
    del held["README.txt"]
    assert held == deflated(published)
    again = get(double, ZIP, Range="bytes=100-199")
    assert again.content == changed[100:200] != published[100:200]
    assert get(double, ZIP, Range="bytes=0-9", If_Match=etag).status_code == 412
    assert get(double, ZIP, Range="bytes=0-9", If_Range=etag).content == changed
    assert get(double, ZIP, Range="bytes=0-9").headers["ETag"] == etag  # that was all


def test_a_captive_portal_answers_everything_with_its_page(double: PoliceUkDouble) -> None:
    double.order("html", times=3)
    for answer in (
        get(double, ZIP, Range="bytes=0-9"),
        get(double, LAST_UPDATED),
        requests.head(double.url + "/data/archive/latest.zip", timeout=TIMEOUT_S),
    ):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        assert not {"ETag", "Content-Range", "Location"} & {*answer.headers}
    assert double.requests[-1].fault == "html"


def test_too_many_and_unavailable_are_answers(double: PoliceUkDouble) -> None:
    double.order("too_many")
    double.order("unavailable")
    first, second = get(double, ZIP), get(double, ZIP)
    assert (first.status_code, first.headers["Retry-After"]) == (429, "1")
    assert second.status_code == 503
    assert [request.fault for request in double.requests] == ["too_many", "unavailable"]


@pytest.mark.parametrize(
    ("fault", "method", "path", "asked_range"),
    [
        ("changed", "GET", LAST_UPDATED, "bytes=0-1"),
        ("changed", "GET", ZIP, None),
        ("changed", "HEAD", ZIP, "bytes=0-9"),
        ("changed", "GET", "/data/archive/2031-01.zip", "bytes=0-9"),
        ("short", "HEAD", ZIP, None),
        ("short", "GET", "/data/archive/latest.zip", None),
        ("drip", "HEAD", LAST_UPDATED, None),
    ],
)
def test_a_fault_that_cannot_apply_is_a_server_error(
    double: PoliceUkDouble, fault: str, method: str, path: str, asked_range: str | None
) -> None:
    double.order(fault)
    for status in (500, 500):
        answer = requests.request(
            method,
            double.url + path,
            headers={"Range": asked_range} if asked_range else {},
            allow_redirects=False,
            timeout=TIMEOUT_S,
        )
        assert answer.status_code == status
    assert [request.fault for request in double.requests] == ["server_error"] * 2
    assert get(double, path).status_code != 500


def test_an_order_counts_the_requests_that_it_is_for(double: PoliceUkDouble) -> None:
    double.order("unavailable", times=2, path="2025-12", after=1)
    older = "/data/archive/2025-11.zip"
    asked = [older, ZIP, older, ZIP, older, ZIP, ZIP]
    assert [get(double, path).status_code for path in asked] == [200, 200, 200, 503, 200, 503, 200]


def test_orders_are_met_in_turn(double: PoliceUkDouble) -> None:
    double.order("unavailable", after=1)
    double.order("too_many", times=2)
    double.order("html", path="/api")
    assert [get(double, ZIP).status_code for _ in range(4)] == [429, 503, 429, 200]
    assert get(double, LAST_UPDATED).headers["Content-Type"].startswith("text/html")


def test_a_fault_of_another_name_is_refused(double: PoliceUkDouble) -> None:
    with pytest.raises(ValueError, match="no fault is called 'teapot'; there are reset, "):
        double.order("teapot")


def test_the_doubles_own_pages_never_fail(double: PoliceUkDouble) -> None:
    double.order("unavailable")
    assert get(double, "/").status_code == 200
    post = requests.post(f"{double.url}/double/publish/2025-12", timeout=TIMEOUT_S)
    assert post.status_code == 200
    assert get(double, ZIP).status_code == 503


def disturbed(folder: Path, share: float, seed: int, workers: int = 1) -> Counter[str]:
    """The faults that 240 requests for ranges met, as `range: fault`."""

    def ask(first: int) -> None:
        with connection(double) as asked:
            asked.request("GET", ZIP, headers={"Range": f"bytes={first % 100}-{first % 100 + 9}"})
            with suppress(http.client.HTTPException, OSError):  # some are to fail
                asked.getresponse().read()

    with PoliceUkDouble(folder, limited=False) as double:
        double.disturb(share, seed)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(ask, range(240)))
        return Counter(f"{request.range}: {request.fault}" for request in double.requests)


def test_the_same_seed_disturbs_in_the_same_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crime_assets.sources.double._DRIP_PAUSE_S", 0)
    once = disturbed(folder, 0.2, seed=3)
    assert disturbed(folder, 0.2, seed=3, workers=4) == once  # in whatever order they come
    assert disturbed(folder, 0.2, seed=4) != once
    faults = Counter[str]()
    for met, times in once.items():
        faults[met.partition(": ")[2]] += times
    assert {*faults} == {*FAULTS, "None"}
    # 48 drawn and, for each of about six server errors, one more
    assert 30 <= 240 - faults["None"] <= 80


def test_a_disturbance_ends(double: PoliceUkDouble) -> None:
    double.disturb(1)
    met = set()
    for _ in range(40):
        with connection(double) as asked, suppress(OSError):  # some are reset
            asked.request("HEAD", ZIP)
            asked.getresponse()
        met.add(double.requests[-1].fault)
    assert met == {"reset", "server_error", "html", "too_many", "unavailable"}  # what a HEAD meets
    double.disturb(0)
    assert {get(double, ZIP).status_code for _ in range(20)} == {200}


def test_a_disturbance_starts_anew_with_its_seed(
    double: PoliceUkDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crime_assets.sources.double.FAULTS", ("unavailable", "server_error"))
    met = []
    for _ in range(2):
        double.disturb(0.5, seed=1)
        met.append([get(double, ZIP).status_code for _ in range(20)])
    assert met[0] == met[1]
    assert {*met[0]} == {200, 500, 503}


# --- An earlier release -----------------------------------------------------------------------


def test_the_earlier_release_lacks_a_month_and_a_revision(folder: Path, tmp_path: Path) -> None:
    assert earlier_release(folder, tmp_path / "made") == ["2025-11", "2025-12"]
    newer = (tmp_path / "made" / "2025-12.zip").read_bytes()
    assert newer == (folder / "2025-12.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "made" / "2025-11.zip") as older:
        assert older.testzip() is None
        assert {name: older.read(name) for name in older.namelist()} == OLDER
    assert OLDER[OCTOBER] != NEWER[OCTOBER]
    held = deflated((tmp_path / "made" / "2025-11.zip").read_bytes())
    assert held == deflated((folder / "2025-11.zip").read_bytes())


def test_the_earlier_release_has_the_same_bytes_each_time(folder: Path, tmp_path: Path) -> None:
    made = [tmp_path / "once", tmp_path / "again"]
    for into in (*made, made[1]):  # over what is there, too
        earlier_release(folder, into)
    once, again = ((into / "2025-11.zip").read_bytes() for into in made)
    assert once == again
    assert sorted(path.name for path in made[1].iterdir()) == ["2025-11.zip", "2025-12.zip"]


def test_a_lone_archive_of_january_follows_one_of_december(tmp_path: Path) -> None:
    members = {
        member_name("2025-12", "kent"): street_csv("2025-12", 5),
        member_name("2026-01", "kent"): street_csv("2026-01", 6),
    }
    write_zip(tmp_path / "archive" / "2026-01.zip", members)
    assert earlier_release(tmp_path / "archive", tmp_path / "made") == ["2025-12", "2026-01"]
    with zipfile.ZipFile(tmp_path / "made" / "2025-12.zip") as older:
        assert older.namelist() == [member_name("2025-12", "kent")]
    with pytest.raises(FileNotFoundError, match=r"no YYYY-MM\.zip"):
        earlier_release(tmp_path, tmp_path / "made")


@pytest.mark.slow
def test_the_samples_earlier_release_is_without_december_and_its_revision(tmp_path: Path) -> None:
    archive = write_sample(tmp_path / "sample").archive
    assert earlier_release(archive, tmp_path / "made") == ["2025-11", "2025-12"]
    older = checksums((tmp_path / "made" / "2025-11.zip").read_bytes())
    newer = checksums((tmp_path / "made" / "2025-12.zip").read_bytes())
    added = {member_name("2025-12", force) for force in ("sample-dogger", "sample-silverpit")}
    assert newer.keys() - older.keys() == added
    assert not older.keys() - newer.keys()
    revised = {name for name in older if older[name] != newer[name]}
    assert revised == {member_name("2025-10", "sample-dogger")}
    assert older.items() >= checksums((archive / "2025-11.zip").read_bytes()).items()
    with PoliceUkDouble(tmp_path / "made", releases=["2025-11"]) as double:
        double.order("changed")
        changed = get(double, "/data/archive/2025-11.zip", Range="bytes=0-").content
    assert older.items() <= checksums(changed).items()


# --- Command line -----------------------------------------------------------------------------


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "crime_assets.sources.double", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killing = threading.Timer(TIMEOUT_S, process.kill)
    killing.start()
    try:
        yield process
    finally:
        killing.cancel()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_publishes_and_ends_cleanly(
    folder: Path, ended_by: signal.Signals
) -> None:
    arguments = (str(folder), "--port", "0", "--withhold", "1", "--publish-after", "0.1")
    with started(*arguments) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(5)]
        url = next(word for word in said[0].split() if word.startswith("http://")).rstrip(",")
        assert said[0] == f"serving {folder} at {url}, not the real data.police.uk"
        assert said[1:4] == [
            "published: 2025-11",
            "withheld: 2025-12",
            f"CRIME_ARCHIVE_URL={url}/data/archive CRIME_API_URL={url}/api",
        ]
        size = (folder / "2025-12.zip").stat().st_size
        assert said[4] == f"published: 2025-12 ({size:,} bytes)"
        dated = requests.get(f"{url}/api/crime-last-updated", timeout=TIMEOUT_S)
        assert dated.json() == {"date": "2025-12-01"}
        process.send_signal(ended_by)
        assert process.wait(TIMEOUT_S) == 0
        assert process.stdout.read() == ""


def test_the_command_says_what_it_cannot_serve(folder: Path, tmp_path: Path) -> None:
    with started(str(tmp_path)) as process:
        assert process.stdout is not None
        assert f"no YYYY-MM.zip in {tmp_path}" in process.stdout.read()
        assert process.wait(TIMEOUT_S) == 2
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with started(str(folder), "--port", port) as process:
            assert process.stdout is not None
            assert f"cannot serve on port {port}" in process.stdout.read()
            assert process.wait(TIMEOUT_S) == 2
