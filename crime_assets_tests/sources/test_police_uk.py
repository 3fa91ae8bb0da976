"""Finding and reading members: from zips, from folders, over HTTP, and what is no archive."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import random
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crime_assets.sources import client, double, police_uk
from crime_assets.sources.client import Client, Patience
from crime_assets.sources.double import FAULTS, PoliceUkDouble
from crime_assets.sources.police_uk import (
    IndexedMember,
    Member,
    PoliceUkArchive,
    Release,
    SourceError,
    SourceUnreachable,
    UnknownMonth,
    check_content,
)
from crime_assets_tests.sources.archives import (
    HEADER,
    crime,
    member_name,
    street_csv,
    write_folder,
    write_zip,
)

# Two releases. The newer one revises kent's 2024-12 and lacks essex's; surrey publishes nothing
# that is in any, and the older one alone holds 2024-10.
OLDER = {
    member_name("2024-10", "kent"): street_csv("2024-10", 5),
    member_name("2024-12", "essex"): street_csv("2024-12", 6, line_end="\r\n"),
    member_name("2024-12", "kent"): street_csv("2024-12", 7),
}
NEWER = {
    member_name("2024-12", "kent"): street_csv("2024-12", 9),
    member_name("2025-01", "kent"): street_csv("2025-01", 8).rstrip(b"\n"),
}
NEWEST_OF_EACH = OLDER | NEWER


@pytest.fixture
def zips(tmp_path: Path) -> Path:
    write_zip(tmp_path / "zips" / "2024-12.zip", OLDER)
    write_zip(tmp_path / "zips" / "2025-01.zip", NEWER)
    return tmp_path / "zips"


# --- A website -------------------------------------------------------------------------------


class Website(ThreadingHTTPServer):
    """data.police.uk on the loopback: every archive's address leads to a store elsewhere.

    ``answers`` may give a path another answer: a status, and a body. What is sent is counted.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.folder = folder
        self.ranges = True
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.bytes_sent = 0
        self.requests: list[str] = []
        self.lock = threading.Lock()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"{self.root}/data/archive"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no concern of the tests."""


class _Page(BaseHTTPRequestHandler):
    server: Website
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0]
        asked = self.headers.get("Range")
        with self.server.lock:
            self.server.requests.append(f"{self.command} {path} {asked or ''}".strip())
        if path in self.server.answers:
            status, body = self.server.answers[path]
            return self.send(status, body, with_body)
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/data/archive/"):
            if name == "latest.zip":
                newest = max(p.name for p in self.server.folder.glob("????-??.zip"))
                return self.redirect(f"/data/archive/{newest}")
            return self.redirect(f"/store/{name}?signature=abc")
        file = self.server.folder / name
        if not path.startswith("/store/") or not file.exists():
            return self.send(404, b"<html>Page not found</html>", with_body)
        body = file.read_bytes()
        if asked and self.server.ranges:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", asked).groups()
            part = body[int(first) : int(last) + 1]
            stretch = f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"
            return self.send(206, part, with_body, {"Content-Range": stretch})
        return self.send(200, body, with_body)

    def redirect(self, location: str) -> None:
        self.send(302, b"", False, {"Location": location})

    def send(
        self, status: int, body: bytes, with_body: bool, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            with self.server.lock:
                self.server.bytes_sent += len(body)
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests read ``requests``."""


@contextmanager
def serve(folder: Path) -> Iterator[Website]:
    with Website(folder) as website:
        thread = threading.Thread(target=website.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield website
        finally:
            website.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A website on the loopback is asked at any rate, and again without waiting."""

    class NoTurns:
        def wait(self) -> None:
            """It is always the caller's turn."""

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    patience = Patience(attempts=3, first_s=0.0, longest_asked_s=0.0)
    monkeypatch.setattr(client, "PATIENCE", patience)
    monkeypatch.setattr(client, "turns", NoTurns)


@pytest.fixture
def website(zips: Path) -> Iterator[Website]:
    with serve(zips) as website:
        yield website


# --- The same bytes from each kind -----------------------------------------------------------


def test_zips_csv_files_and_a_website_give_the_same_bytes(
    zips: Path, website: Website, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "csv", NEWEST_OF_EACH)
    kinds = [PoliceUkArchive(url=str(u)) for u in (zips, folder, website.url)]
    for name, content in NEWEST_OF_EACH.items():
        month, force = name[:7], name[16 : -len("-street.csv")]
        found = [kind.find(month, force) for kind in kinds]
        assert [member.content for member in found] == [content] * 3
        assert [member.sha256 for member in found] == [hashlib.sha256(content).hexdigest()] * 3
        assert all(member.published for member in found)
        assert [member.url for member in found] == [
            f"{zips}/{found[0].release}.zip/{name}",
            f"{folder}/{name}",
            f"{website.url}/{found[2].release}.zip/{name}",
        ]
        assert found[0].release == found[2].release


def test_a_url_may_be_a_file_address_or_end_with_a_slash(zips: Path) -> None:
    for url in (f"{zips}/", zips.as_uri(), f"{zips.as_uri()}/"):
        assert PoliceUkArchive(url=url).find("2025-01", "kent").release == "2025-01"


def test_other_files_beside_archives_and_members_disturb_nobody(zips: Path, tmp_path: Path) -> None:
    (zips / "latest.zip").write_bytes(b"a copy that was half downloaded")
    (zips / "2025-02.zip.part").write_bytes(b"")
    assert PoliceUkArchive(url=str(zips)).find("2025-01", "kent").release == "2025-01"
    folder = write_folder(
        tmp_path / "csv",
        {
            **NEWEST_OF_EACH,
            "2025-01/2025-01-kent-outcomes.csv": b"",
            "2025-01/2024-12-surrey-street.csv": b"in the folder of another month",
            "2025-01/old/2025-01-surrey-street.csv": b"too deep",
            "README.txt": b"",
        },
    )
    archive = PoliceUkArchive(url=str(folder))
    assert archive.find("2025-01", "kent").published
    assert not archive.find("2024-12", "surrey").published
    assert not archive.find("2025-01", "surrey").published


# --- The newest archive that holds the member ------------------------------------------------


@pytest.mark.parametrize("over_http", [False, True])
def test_a_member_comes_from_the_newest_archive_that_holds_it(
    zips: Path, website: Website, over_http: bool
) -> None:
    archive = PoliceUkArchive(url=website.url if over_http else str(zips))

    def releases(month: str, force: str) -> tuple[str, str, bool]:
        member = archive.find(month, force)
        return member.release, member.newest_release, member.published

    assert releases("2024-12", "kent") == ("2025-01", "2025-01", True)  # in both: the revision
    assert archive.find("2024-12", "kent").content == NEWER[member_name("2024-12", "kent")]
    assert releases("2024-12", "essex") == ("2024-12", "2025-01", True)  # left out of the newer
    assert releases("2024-10", "kent") == ("2024-12", "2024-12", True)  # the newer lacks the month
    assert releases("2025-01", "essex") == ("2025-01", "2025-01", False)
    assert releases("2024-10", "essex") == ("2024-12", "2024-12", False)


def test_a_member_that_no_archive_holds_is_not_published_and_empty(zips: Path) -> None:
    assert PoliceUkArchive(url=str(zips)).find("2025-01", "essex") == Member(
        month="2025-01",
        force="essex",
        release="2025-01",
        newest_release="2025-01",
        url=f"{zips}/2025-01.zip",
        published=False,
        sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",  # of no bytes
        content=b"",
    )


@pytest.mark.parametrize("month", ["2025-02", "2024-11", "2010-12"])
def test_a_month_that_no_archive_holds_is_an_error_that_says_so(
    zips: Path, website: Website, month: str
) -> None:
    for url in (str(zips), website.url):
        with pytest.raises(UnknownMonth) as error:
            PoliceUkArchive(url=url).find(month, "kent")
        assert str(error.value) == f"no archive in {url} holds {month}; the newest is 2025-01"


def test_an_archive_is_asked_for_its_36_months_only(tmp_path: Path) -> None:
    months = {"2022-01": "2025-01", "2022-02": "2025-01"}  # the first is not among the 36
    write_zip(tmp_path / "2025-01.zip", {member_name(m, "kent"): street_csv(m) for m in months})
    (tmp_path / "2019-12.zip").write_bytes(b"no archive, but nobody asks it")
    archive = PoliceUkArchive(url=str(tmp_path))
    assert archive.find("2022-02", "kent").published
    with pytest.raises(UnknownMonth):
        archive.find("2022-01", "kent")


def test_an_archive_that_goes_away_after_it_was_listed_is_no_force_that_published_nothing(
    tmp_path: Path,
) -> None:
    for release, forces in (("2025-01", ["kent"]), ("2025-02", ["kent", "essex"])):
        members = {member_name("2025-01", force): street_csv("2025-01") for force in forces}
        old = {member_name("2022-02", "kent"): street_csv("2022-02")}
        write_zip(tmp_path / f"{release}.zip", members | (old if release == "2025-01" else {}))
    archive = PoliceUkArchive(url=str(tmp_path))
    assert archive.find("2022-02", "kent").published  # of the older one, and both are listed
    (tmp_path / "2025-02.zip").unlink()
    with pytest.raises(SourceUnreachable, match=r"2025-02\.zip: it was listed, and is gone"):
        archive.find("2025-01", "essex")


def test_an_archive_that_is_replaced_between_two_runs_is_read_anew(zips: Path) -> None:
    assert PoliceUkArchive(url=str(zips)).find("2025-01", "kent").content.count(b"\n") == 8
    write_zip(zips / "2025-01.zip", {member_name("2025-01", "kent"): street_csv("2025-01", 30)})
    assert PoliceUkArchive(url=str(zips)).find("2025-01", "kent").content.count(b"\n") == 31


# --- Over HTTP -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 months of 44 forces as in a real archive, of random bytes that do not get smaller."""
    rng = random.Random(1)
    months = [f"{year}-{month:02d}" for year in (2022, 2023, 2024) for month in range(1, 13)]
    members = {
        member_name(month, force): street_csv(
            month, [crime(month, crime_id=rng.randbytes(4_000).hex())]
        )
        for month in months
        for force in ["kent", *(f"force-{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(43))]
    }
    return write_zip(tmp_path_factory.mktemp("large") / "2024-12.zip", members)


def test_one_force_and_month_over_http_costs_kilobytes(large_archive: Path) -> None:
    with zipfile.ZipFile(large_archive) as archive:
        name = member_name("2024-07", "kent")
        content, packed = archive.read(name), archive.getinfo(name).compress_size
        directory = large_archive.stat().st_size - archive.start_dir
    with serve(large_archive.parent) as website:
        source = PoliceUkArchive(url=website.url)
        assert source.find("2024-07", "kent").content == content
        # the directory, once, and the member
        assert website.bytes_sent < directory + packed + 1_000
        assert website.bytes_sent < 200_000
        assert large_archive.stat().st_size > 6_000_000

        before, website.requests[:] = website.bytes_sent, []
        assert source.find("2024-06", "kent").published
        assert website.bytes_sent - before < packed + 1_000
        (request,) = website.requests  # where the archive's address leads is known by now
        assert request.startswith("GET /store/2024-12.zip bytes=")


def test_threads_that_ask_at_a_time_read_the_directory_once(large_archive: Path) -> None:
    directory = large_archive.stat().st_size - zipfile.ZipFile(large_archive).start_dir
    with serve(large_archive.parent) as website, ThreadPoolExecutor(8) as pool:
        source = PoliceUkArchive(url=website.url)
        months = [f"2024-{month:02d}" for month in range(1, 13)]
        found = list(pool.map(lambda month: source.find(month, "kent"), months))
        assert [member.month for member in found] == months
        members = sum(len(member.deflated) for member in found)
        assert website.bytes_sent < directory + members + 5_000


def test_an_older_archive_that_the_website_no_longer_keeps_is_passed_over(
    website: Website, zips: Path
) -> None:
    (zips / "2024-12.zip").unlink()
    member = PoliceUkArchive(url=website.url).find("2024-12", "essex")
    assert not member.published
    assert member.newest_release == "2025-01"


@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_archive_that_cannot_be_read_now_is_never_taken_for_one_that_is_not_there(
    website: Website, status: int
) -> None:
    """Else a bad day of the website would turn a month into `not_published`."""
    website.answers["/store/2024-12.zip"] = (status, b"try again later")
    with pytest.raises(SourceUnreachable, match=rf"2024-12\.zip.*cannot be read now.*{status}"):
        PoliceUkArchive(url=website.url).find("2024-12", "essex")


def test_a_website_that_fails_between_directory_and_member_names_both(website: Website) -> None:
    source = PoliceUkArchive(url=website.url)
    assert source.find("2024-12", "kent").published
    website.answers["/store/2025-01.zip"] = (503, b"")
    with pytest.raises(
        SourceUnreachable,
        match=r"2025-01\.zip, member 2025-01/2025-01-kent-street\.csv: .*cannot be read now.*503",
    ):
        source.find("2025-01", "kent")
    del website.answers["/store/2025-01.zip"]
    assert source.find("2025-01", "kent").published


def test_a_website_that_is_not_there_is_an_error_that_names_its_address(tmp_path: Path) -> None:
    with serve(tmp_path) as website:
        url = website.url
    with pytest.raises(SourceUnreachable, match=rf"{url}/latest\.zip cannot be asked.*Connect"):
        PoliceUkArchive(url=url).find("2025-01", "kent")


def test_latest_zip_must_lead_to_a_release(website: Website) -> None:
    website.answers["/data/archive/latest.zip"] = (200, b"PK")
    with pytest.raises(SourceError, match=r"latest\.zip leads to .*, not to a YYYY-MM\.zip"):
        PoliceUkArchive(url=website.url).find("2025-01", "kent")


def test_an_html_page_in_place_of_an_archive_over_http_is_named_so(website: Website) -> None:
    page = b"<!DOCTYPE html><title>Down for maintenance</title>"
    website.answers["/store/2025-01.zip"] = (200, page)
    with pytest.raises(SourceUnreachable, match=r"2025-01\.zip.* an HTML page in place.*DOCTYPE"):
        PoliceUkArchive(url=website.url).find("2025-01", "kent")


def test_a_server_without_range_requests_is_an_error_not_a_download_of_everything(
    website: Website,
) -> None:
    website.ranges = False
    with pytest.raises(SourceError, match=r"2025-01\.zip.*range requests"):
        PoliceUkArchive(url=website.url).find("2025-01", "kent")


# --- A website that misbehaves ---------------------------------------------------------------


@pytest.fixture
def police(zips: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PoliceUkDouble]:
    monkeypatch.setattr(double, "_DRIP_PAUSE_S", 0.001)
    with PoliceUkDouble(zips, limited=False) as police:
        yield police


@pytest.mark.parametrize("fault", FAULTS)
def test_an_archive_is_read_whichever_request_meets_a_fault(
    police: PoliceUkDouble, fault: str
) -> None:
    """Which archive is the newest, where it is, its directory, that of an older one, a member."""
    PoliceUkArchive(url=police.archive_url).find("2024-12", "essex")
    requests = len(police.requests)
    assert requests == 2 + (1 + 3) + (1 + 3) + 1
    for after in range(requests):
        police.requests.clear()
        police.order(fault, after=after)
        found = PoliceUkArchive(url=police.archive_url).find("2024-12", "essex")
        assert found.content == OLDER[member_name("2024-12", "essex")]
        assert police.requests[after].fault


def test_threads_read_the_same_bytes_from_a_website_that_fails_often(
    police: PoliceUkDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE", Patience(first_s=0.0, longest_asked_s=0.0))
    police.disturb(0.2, seed=4)
    archive = PoliceUkArchive(url=police.archive_url)
    wanted = list(NEWEST_OF_EACH) * 10
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda n: archive.find(n[:7], n[16 : -len("-street.csv")]), wanted)
        assert [member.content for member in found] == [NEWEST_OF_EACH[name] for name in wanted]
    assert sum(request.fault is not None for request in police.requests) > 5


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_directory_that_cannot_be_read_now_is_no_damaged_zip(
    police: PoliceUkDouble, after: int
) -> None:
    """zipfile says of every error of the file below it that the file is no zip."""
    police.order("unavailable", times=100, path="2025-01.zip", after=after + 1)
    with pytest.raises(SourceUnreachable, match=r"2025-01\.zip: it cannot be read now: .*503"):
        PoliceUkArchive(url=police.archive_url).find("2025-01", "kent")


def test_an_archive_that_is_issued_anew_during_a_run_is_read_anew(
    police: PoliceUkDouble, tmp_path: Path
) -> None:
    archive = PoliceUkArchive(url=police.archive_url)
    before = archive.index("2025-01")
    assert archive.find("2025-01", "kent").content == NEWER[member_name("2025-01", "kent")]
    anew = {
        member_name("2025-01", "essex"): street_csv("2025-01", 400),
        member_name("2025-01", "kent"): street_csv("2025-01", 30),
    }
    police.publish("2025-01", write_zip(tmp_path / "anew" / "2025-01.zip", anew))
    assert archive.find("2025-01", "kent").content == anew[member_name("2025-01", "kent")]
    assert archive.find("2025-01", "essex").published
    after = archive.index("2025-01")
    assert after.etag == archive.newest().etag != before.etag
    assert [member.bytes for member in after.members] == [len(anew[name]) for name in sorted(anew)]


def test_an_archive_that_changes_all_the_time_is_left_for_another_day(
    police: PoliceUkDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Client.head
    monkeypatch.setattr(
        Client, "head", lambda self, url: dataclasses.replace(head(self, url), etag='"another"')
    )
    with pytest.raises(
        SourceUnreachable, match=r"anew 5 times .* the last: .*2025-01\.zip: it was"
    ):
        PoliceUkArchive(url=police.archive_url).find("2025-01", "kent")
    assert sum(request.method == "GET" for request in police.requests) == 5


def test_who_is_in_a_hurry_gives_up_sooner(
    police: PoliceUkDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(police_uk, "IN_A_HURRY", Patience(attempts=2, first_s=0.0))
    police.order("unavailable", times=100)
    with pytest.raises(SourceUnreachable, match="in 2 attempts"):
        PoliceUkArchive(url=police.archive_url).in_a_hurry().newest()
    assert police_uk.IN_A_HURRY.attempts < len(police.requests) + 1 == 3


# --- What is out -----------------------------------------------------------------------------


def test_the_newest_release_of_a_website_costs_one_redirect(zips: Path, tmp_path: Path) -> None:
    with PoliceUkDouble(zips, releases=["2024-12"]) as police:
        archive = PoliceUkArchive(url=police.archive_url)
        newest = archive.newest()
        asked = [(request.method, request.path, request.status) for request in police.requests]
        assert asked == [
            ("HEAD", "/data/archive/latest.zip", 302),
            ("HEAD", "/data/archive/2024-12.zip", 200),
        ]
        path = zips / "2024-12.zip"
        assert newest.release == "2024-12"
        assert newest.url == f"{police.archive_url}/2024-12.zip"
        assert newest.bytes == path.stat().st_size
        assert hashlib.sha256(path.read_bytes()).hexdigest() in newest.etag
        assert newest.last_modified.endswith(" GMT")
        assert archive.newest() == newest

        police.publish("2025-01")
        assert archive.newest().release == "2025-01"
        before = archive.newest()
        police.publish("2025-01", write_zip(tmp_path / "anew" / "2025-01.zip", OLDER))
        assert archive.newest().release == "2025-01"
        assert archive.newest().etag != before.etag


def test_a_website_without_etags_tells_editions_by_date_and_size(website: Website) -> None:
    newest = PoliceUkArchive(url=website.url).newest()
    size = (website.folder / "2025-01.zip").stat().st_size
    assert newest == Release("2025-01", f"{website.url}/2025-01.zip", str(size), size, "")


@pytest.mark.parametrize("unpacked", [False, True])
def test_the_edition_of_a_folder_changes_with_its_files_and_with_nothing_else(
    zips: Path, tmp_path: Path, unpacked: bool
) -> None:
    folder = write_folder(tmp_path / "csv", NEWEST_OF_EACH) if unpacked else zips
    file = folder / (member_name("2025-01", "kent") if unpacked else "2025-01.zip")
    os.utime(file, (2_000_000_000, 2_000_000_000))
    archive = PoliceUkArchive(url=str(folder))
    first = archive.newest()
    sizes = [len(c) for c in NEWEST_OF_EACH.values()] if unpacked else [file.stat().st_size]
    assert first.release == "2025-01"
    assert first.url == str(folder if unpacked else file)
    assert first.bytes == sum(sizes)
    assert first.last_modified == "Wed, 18 May 2033 03:33:20 GMT"
    (folder / "notes.txt").touch()
    assert archive.newest() == first
    os.utime(file, (2_000_000_001, 2_000_000_001))
    assert archive.newest().etag != first.etag
    os.utime(file, (2_000_000_000, 2_000_000_000))
    assert archive.newest() == first
    file.write_bytes(file.read_bytes() + b"\n")
    os.utime(file, (2_000_000_000, 2_000_000_000))
    assert archive.newest().etag != first.etag
    assert PoliceUkArchive(url=str(folder)).index("2025-01").etag == archive.newest().etag


def test_the_index_of_a_release_lists_its_members_with_their_checksums(
    zips: Path, website: Website, tmp_path: Path
) -> None:
    expected = []
    with zipfile.ZipFile(zips / "2024-12.zip") as archive:
        for name, content in sorted(OLDER.items()):
            packed = archive.getinfo(name).compress_size
            month, force = name[:7], name[16 : -len("-street.csv")]
            crc = zlib.crc32(content)
            expected.append(IndexedMember(month, force, name, len(content), packed, crc))
    for url in (str(zips), website.url):
        index = PoliceUkArchive(url=url).index("2024-12")
        assert index.members == tuple(expected)
        assert index.release == "2024-12"
        assert index.url == f"{url}/2024-12.zip"
        assert index.bytes == (zips / "2024-12.zip").stat().st_size
    folder = write_folder(tmp_path / "csv", OLDER)
    unpacked = PoliceUkArchive(url=str(folder)).index("2024-12")
    assert unpacked.members == tuple(
        dataclasses.replace(member, packed_bytes=member.bytes) for member in expected
    )
    assert unpacked.bytes == sum(len(content) for content in OLDER.values())


def test_an_index_over_http_costs_the_directory_alone(large_archive: Path) -> None:
    with zipfile.ZipFile(large_archive) as archive:
        names = archive.namelist()
        directory = large_archive.stat().st_size - archive.start_dir
    with serve(large_archive.parent) as website:
        index = PoliceUkArchive(url=website.url).index("2024-12")
        assert sorted(member.name for member in index.members) == sorted(names)
        assert website.bytes_sent < directory + 1_000


@pytest.mark.parametrize("release", ["2025-02", "2024-11", "latest", ""])
def test_a_release_that_is_not_there_has_no_index(
    zips: Path, website: Website, tmp_path: Path, release: str
) -> None:
    folder = write_folder(tmp_path / "csv", NEWEST_OF_EACH)
    for url in (str(zips), website.url, str(folder)):
        with pytest.raises(SourceError, match=r"holds no release|there is no such release"):
            PoliceUkArchive(url=url).index(release)


def test_the_api_says_which_month_is_the_newest(police: PoliceUkDouble) -> None:
    archive = PoliceUkArchive(url=police.archive_url)
    assert archive.last_updated(police.api_url) == "2025-01"
    assert archive.last_updated(f"{police.api_url}/") == "2025-01"
    with pytest.raises(SourceError, match="is it the address of police"):
        archive.last_updated(f"{police.url}/elsewhere")


@pytest.mark.parametrize("answer", [b"[]", b"null", b"{}", b'{"date": "soon"}', b'{"date": 2025}'])
def test_an_api_that_answers_otherwise_is_an_error_that_shows_it(
    website: Website, answer: bytes
) -> None:
    website.answers["/api/crime-last-updated"] = (200, answer)
    with pytest.raises(SourceError, match="crime-last-updated: answered"):
        PoliceUkArchive(url=website.url).last_updated(f"{website.root}/api")


# --- Zips as others write them ---------------------------------------------------------------


def test_members_are_read_however_their_zip_was_written(tmp_path: Path) -> None:
    """Stored, streamed (sizes after the data), with extra fields, after a self-extractor's stub."""
    content = street_csv("2025-01", 500)
    name = member_name("2025-01", "kent")

    def stored(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, content)

    def streamed(file: io.BytesIO) -> None:
        class Pipe(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, data: bytes) -> int:
                return file.write(data)

        with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)

    def with_extra_field(file: io.BytesIO) -> None:
        info = zipfile.ZipInfo(name)
        info.extra = b"UT\x00\x02" + bytes(512)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
        # the directory's copy may lack what the local header has
        packed = bytearray(file.getvalue())
        assert packed.count(b"UT\x00\x02") == 2
        with zipfile.ZipFile(file) as archive:
            start = archive.start_dir
        lean = packed[: start + 30] + b"\0\0" + packed[start + 32 :]
        del lean[start + 46 + len(name) : start + 46 + len(name) + 516]
        end = lean.rindex(b"PK\x05\x06")
        size = int.from_bytes(lean[end + 12 : end + 16], "little") - 516
        lean[end + 12 : end + 16] = size.to_bytes(4, "little")
        file.seek(0)
        file.truncate()
        file.write(lean)

    def with_stub(file: io.BytesIO) -> None:
        inner = io.BytesIO()
        stored(inner)
        file.write(b"#!/bin/sh\nexit 0\n" + inner.getvalue())

    def with_comment(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = b"made by hand " * 100
            archive.writestr(name, content)

    for write in (stored, streamed, with_extra_field, with_stub, with_comment):
        file = io.BytesIO()
        write(file)
        with zipfile.ZipFile(file) as archive:
            assert archive.read(name) == content, write.__name__
        (tmp_path / "2025-01.zip").write_bytes(file.getvalue())
        found = PoliceUkArchive(url=str(tmp_path)).find("2025-01", "kent")
        assert found.content == content, write.__name__


def damaged(content: bytes = street_csv("2025-01", 50), **written: int) -> bytes:
    """A zip of kent's 2025-01 of which single numbers of the directory are changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member_name("2025-01", "kent"), content)
        start = archive.start_dir
    packed = bytearray(file.getvalue())
    places = {
        "flags": (8, 2),
        "method": (10, 2),
        "crc": (16, 4),
        "packed": (20, 4),
        "unpacked": (24, 4),
        "header": (42, 4),
    }
    for field, value in written.items():
        at, size = places[field]
        packed[start + at : start + at + size] = value.to_bytes(size, "little")
    return bytes(packed)


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ({"crc": 123}, r"checksum \(CRC-32\) is wrong"),
        ({"flags": 1}, "encrypted"),
        ({"method": 14}, "packed by method 14"),  # LZMA
        ({"header": 4}, "nothing begins where the directory says"),
        ({"header": 900_000}, "nothing begins where the directory says"),
        ({"packed": 40}, "its end is not where"),
        ({"packed": 900_000}, "900,000 packed bytes of"),
        ({"unpacked": 10}, "its end is not where"),
        ({"unpacked": 100_000}, "bytes, but the archive promises 100,000"),
        ({"unpacked": 2**31}, "unpacks to 2,147,483,648 bytes, more than the 536,870,912"),
    ],
)
def test_a_member_that_its_archive_damaged_is_an_error_that_names_the_damage(
    tmp_path: Path, written: dict[str, int], cause: str
) -> None:
    (tmp_path / "2025-01.zip").write_bytes(damaged(**written))
    with pytest.raises(
        SourceError, match=rf"2025-01\.zip, member 2025-01/2025-01-kent-street\.csv: .*{cause}"
    ):
        PoliceUkArchive(url=str(tmp_path)).find("2025-01", "kent")


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(tmp_path: Path) -> None:
    """It unpacks to 64 MiB and says 1,000 bytes: reading stops after the 1,001st."""
    (tmp_path / "2025-01.zip").write_bytes(damaged(bytes(2**26), unpacked=1_000))
    with pytest.raises(SourceError, match=r"unpacked 1,001 bytes, and its end is not"):
        PoliceUkArchive(url=str(tmp_path)).find("2025-01", "kent")


def test_a_csv_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, {member_name("2025-01", "kent"): street_csv("2025-01", 50)})
    monkeypatch.setattr(police_uk, "MAX_MEMBER_BYTES", 1_000)
    with pytest.raises(SourceError, match=r"kent-street\.csv: [0-9,]+ bytes, more than the"):
        PoliceUkArchive(url=str(tmp_path)).find("2025-01", "kent")


@pytest.mark.parametrize(
    "name",
    [
        "../2025-01/2025-01-kent-street.csv",
        "/2025-01/2025-01-kent-street.csv",
        "2025-01.zip/2025-01/2025-01-kent-street.csv",
        "2025-01\\2025-01-kent-street.csv",
        "../../etc/2025-01/2025-01-kent-street.csv",
    ],
)
def test_a_member_at_another_path_is_an_error_and_not_a_force_that_published_nothing(
    tmp_path: Path, name: str
) -> None:
    write_zip(tmp_path / "2025-01.zip", {name: street_csv("2025-01")})
    with pytest.raises(
        SourceError,
        match=r"2025-01\.zip, member 2025-01/2025-01-kent-street\.csv: the archive holds "
        + re.escape(repr(name)),
    ):
        PoliceUkArchive(url=str(tmp_path)).find("2025-01", "kent")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "second", ["2025-01/2025-01-kent-street.csv", "new/2025-01/2025-01-kent-street.csv"]
)
def test_a_member_that_stands_twice_is_an_error_and_not_the_last_of_them(
    tmp_path: Path, second: str
) -> None:
    first = member_name("2025-01", "kent")
    write_zip(
        tmp_path / "2025-01.zip",
        [(first, street_csv("2025-01", 3)), (second, street_csv("2025-01", 4))],
    )
    with pytest.raises(SourceError, match=re.escape(f"{first!r} and {second!r} in its place")):
        PoliceUkArchive(url=str(tmp_path)).find("2025-01", "kent")


@pytest.fixture(scope="module")
def whole_zip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    content = street_csv("2025-01", 12)
    members = {member_name("2025-01", force): content for force in ("essex", "kent", "surrey")}
    return write_zip(tmp_path_factory.mktemp("whole") / "2025-01.zip", members).read_bytes()


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_zip_damaged_anywhere_gives_the_right_bytes_or_a_readable_error(
    whole_zip: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    damage = data.draw(st.sampled_from(["cut", "overwrite", "insert"]))
    at = data.draw(st.integers(0, len(whole_zip) - 1))
    if damage == "cut":
        packed = whole_zip[:at]
    else:
        noise = data.draw(st.binary(min_size=1, max_size=8))
        packed = whole_zip[:at] + noise + whole_zip[at + len(noise) * (damage == "overwrite") :]
    (tmp_path / "2025-01.zip").write_bytes(packed)
    try:
        found = PoliceUkArchive(url=str(tmp_path)).find("2025-01", "kent")
    except SourceError as error:
        found, told = None, str(error)
    if found is None:
        assert "2025-01" in told
    elif found.published:
        assert found.content == street_csv("2025-01", 12)
    else:  # its name was damaged: then the archive does not hold it
        assert packed != whole_zip


# --- Folders that are no archive -------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder.rmdir(), "there is no such folder"),
        (lambda folder: None, r"holds neither archives YYYY-MM\.zip nor unpacked months YYYY-MM/"),
        (
            lambda folder: (
                write_zip(folder / "2025-01.zip", NEWER),
                write_folder(folder, OLDER),
            ),
            r"holds archives \(2025-01\.zip \.\.\) and unpacked months \(2024-10 \.\.\)",
        ),
    ],
)
def test_a_folder_that_is_no_archive_is_an_error_that_says_why(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    make(folder)
    with pytest.raises(SourceError, match=message):
        PoliceUkArchive(url=str(folder)).find("2025-01", "kent")


def test_a_csv_file_that_goes_away_is_an_error_that_names_it(tmp_path: Path) -> None:
    write_folder(tmp_path, NEWEST_OF_EACH)
    archive = PoliceUkArchive(url=str(tmp_path))
    assert archive.find("2024-12", "kent").published
    (tmp_path / member_name("2025-01", "kent")).unlink()
    with pytest.raises(SourceUnreachable, match=r"member 2025-01/2025-01-kent-street\.csv: .* now"):
        archive.find("2025-01", "kent")


# --- What a member must be -------------------------------------------------------------------


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_whole_file_passes_with_either_line_end_and_with_a_byte_order_mark(
    mark: bytes, line_end: str
) -> None:
    check_content(mark + street_csv("2025-01", 3, line_end=line_end), "here")
    check_content(mark + HEADER.encode(), "here")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "here: zero bytes"),
        (b"\n", "here: the header is '', not 'Crime ID,Month"),
        (b"  <html><body>Not found</body>", "here: an HTML page in place of a CSV file: '  <html>"),
        (b'<?xml version="1.0"?><Error>', "here: an HTML page in place of a CSV file"),
        (HEADER.replace("Context", "Notes").encode(), "here: the header is 'Crime ID.*,Notes'"),
        (HEADER.replace(",", ";").encode(), "here: the header is 'Crime ID;Month"),
        (street_csv("2025-01", 3)[len(HEADER) + 1 :], "here: the header is '[0-9a-f]{64},2025-01"),
        (street_csv("2025-01", 2) + street_csv("2025-01", 2), "stands again in row 3: two files"),
        (street_csv("2025-01", [crime("2025-01", location="caf\xe9")]).decode().encode("latin-1"),
         r"here: not UTF-8: byte 0xe9 at byte 248, in row 1"),
        (b"\xff" + HEADER.encode(), "here: not UTF-8: byte 0xff at byte 0, in the header"),
        (HEADER.encode("utf-16"), "here: not UTF-8: byte 0xff at byte 0, in the header"),
        (street_csv("2025-01", ["x", "y" * 65_537, "z"]), "here: in row 2, more than 65,536 bytes"),
        (street_csv("2025-01", ["x", "y" * 70_000]).rstrip(b"\n"), "here: in row 2, more than"),
        (b"x" * 70_000, "here: in the header, more than 65,536 bytes"),
    ],
)  # fmt: skip
def test_a_file_that_is_broken_as_a_whole_is_an_error_that_says_where(
    content: bytes, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        check_content(content, "here")


def test_a_file_of_too_many_lines_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a gigabyte of line ends packs to half a megabyte."""
    monkeypatch.setattr(police_uk, "MAX_LINES", 50)
    check_content(street_csv("2025-01", 49), "here")
    with pytest.raises(SourceError, match="here: 51 lines, more than the 50 of any month"):
        check_content(street_csv("2025-01", 50), "here")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 25), max_size=30), st.booleans())
def test_the_first_long_line_is_found_wherever_it_stands(lengths: list[int], ended: bool) -> None:
    content = b"\n".join(b"x" * length for length in lengths) + b"\n" * ended
    expected = next((row for row, length in enumerate(lengths) if length > 16), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(police_uk, "MAX_LINE_BYTES", 16)
        assert police_uk._first_long_line(content) == expected


# --- The real archives -----------------------------------------------------------------------


def test_real_members_have_the_bytes_that_zipfile_reads(shared_data: Path) -> None:
    folder = shared_data / "police_uk" / "archive"
    source = PoliceUkArchive(url=str(folder))
    newest: dict[str, str] = {}
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            newest |= dict.fromkeys(archive.namelist(), path.stem)
    chosen = random.Random(2).sample(sorted(newest), 40)
    for name in chosen:
        found = source.find(name[:7], name[16 : -len("-street.csv")])
        assert found.release == newest[name]
        with zipfile.ZipFile(folder / f"{found.release}.zip") as archive:
            assert found.content == archive.read(name)


def test_real_members_come_whole_from_a_website_that_fails_often(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE", Patience(first_s=0.0, longest_asked_s=0.0))
    monkeypatch.setattr(double, "_DRIP_PAUSE_S", 0.001)
    folder = shared_data / "police_uk" / "archive"
    with zipfile.ZipFile(folder / "2025-12.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith("-city-of-london-street.csv")]
        expected = {name: archive.read(name) for name in names}
    with PoliceUkDouble(folder, releases=["2025-12"], limited=False) as police:
        police.disturb(0.3, seed=4)
        source = PoliceUkArchive(url=police.archive_url)
        found = {name: source.find(name[:7], "city-of-london").content for name in names}
        assert len({request.fault for request in police.requests}) > 4
    assert len(names) == 27
    assert found == expected


def test_real_months_that_stand_in_no_archive_are_unknown(shared_data: Path) -> None:
    """City of London 2017-09..11 is in none, and nobody else is in those archives."""
    source = PoliceUkArchive(url=str(shared_data / "police_uk" / "archive"))
    with pytest.raises(UnknownMonth, match="holds 2017-10; the newest is 2025-12"):
        source.find("2017-10", "city-of-london")
    assert not source.find("2017-12", "gwent").published
