"""What police.uk, a network or a disk may do to a file: a clear failure, or a rejected line.

Through the assets themselves: what is broken as a whole is not published and the old partition
stays; a line that is no crime is kept beside them, with its reason.
"""

from __future__ import annotations

import csv
import random
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crime_assets.lake import DuckDB
from crime_assets.sources import police_uk
from crime_assets.sources.street_crimes import read_crimes
from crime_assets_tests.sources.archives import (
    HEADER,
    checksums,
    crime,
    failures,
    ingest,
    member_name,
    published,
    run_assets,
    settings_of,
    street_csv,
    write_folder,
    write_zip,
)

MONTH = "2025-01"
HTML = b"<!DOCTYPE html><html><title>404 Not Found</title></html>"


def files_of(data: Path, force: str, month: str = MONTH) -> dict[str, str]:
    """Every file of one partition, the published file included, with its SHA-256."""
    of_partition = f"/month={month}/force={force}/"
    return {path: digest for path, digest in checksums(data).items() if of_partition in path}


def overwrite_entry(archive: Path, name: str, offset: int, value: int) -> None:
    """Change four bytes of a member's entry in the directory of a zip."""
    packed = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        entry = packed.index(name.encode(), file.start_dir) - 46
    packed[entry + offset : entry + offset + 4] = value.to_bytes(4, "little")
    archive.write_bytes(packed)


# --- Files that are broken as a whole ---------------------------------------------------------

BROKEN: dict[str, tuple[bytes, str]] = {
    "bedfordshire": (b"", "zero bytes"),
    "btp": (street_csv(MONTH).replace(b"Crime ID", b"Crime No", 1), "the header is 'Crime No,"),
    "cheshire": (HTML, "an HTML page in place of a CSV file: '<!DOCTYPE html>"),
    "city-of-london": (
        street_csv(MONTH).replace(b"Parking", b"Caf\xe9", 1),
        f"not UTF-8: byte 0xe9 at byte {street_csv(MONTH).index(b'Parking') + 3}, in row 1",
    ),
    "cleveland": (
        street_csv(MONTH, 4) + street_csv(MONTH, 4),
        "the header stands again in row 5: two files in one?",
    ),
    "cumbria": (
        street_csv(MONTH, ["", "x" * 70_000]),
        "in row 2, more than 65,536 bytes without a line end",
    ),
    "dorset": (street_csv(MONTH), "damaged in the archive (its checksum (CRC-32) is wrong)"),
    "durham": (
        street_csv(MONTH),
        "it says that it unpacks to 4,000,000,000 bytes, more than the 536,870,912",
    ),
    "essex": (street_csv(MONTH), "the archive holds '../{name}' in its place"),
    "gloucestershire": (street_csv(MONTH), "the archive holds '{name}' and '{name}' in its place"),
}
OF_ANOTHER_MONTH = "derbyshire"  # whole as a file, but none of its crimes is of its month
WHOLE = ("avon-and-somerset", "cambridgeshire", "devon-and-cornwall", "dyfed-powys")
FIRST, LAST = f"avon-and-somerset|{MONTH}", f"gloucestershire|{MONTH}"


@dataclass(frozen=True)
class BrokenRun:
    """A run over 15 files, 11 of them bad, in a lake that held whole ones of the same forces."""

    archive: Path
    data: Path
    before: Mapping[str, str]
    result: dg.JobExecutionResult


@pytest.fixture(scope="module")
def broken_run(tmp_path_factory: pytest.TempPathFactory) -> BrokenRun:
    folder = tmp_path_factory.mktemp("broken")
    archive = folder / "archive" / "2025-01.zip"
    deployment = settings_of(archive.parent, folder / "data")

    forces = [*BROKEN, OF_ANOTHER_MONTH, *WHOLE]
    write_zip(archive, {member_name(MONTH, force): street_csv(MONTH, 9) for force in forces})
    assert ingest(deployment, FIRST, LAST).success
    before = checksums(folder / "data")

    members = [(member_name(MONTH, force), street_csv(MONTH, 30)) for force in WHOLE]
    december = [crime("2024-12", number) for number in range(7)]
    members.append((member_name(MONTH, OF_ANOTHER_MONTH), street_csv(MONTH, december)))
    for force, (content, _) in BROKEN.items():
        name = member_name(MONTH, force)
        members.append((f"../{name}" if force == "essex" else name, content))
        if force == "gloucestershire":
            members.append((name, content))
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_zip(archive, members)
    overwrite_entry(archive, member_name(MONTH, "dorset"), 16, 1)
    overwrite_entry(archive, member_name(MONTH, "durham"), 24, 4_000_000_000)
    return BrokenRun(archive, folder / "data", before, ingest(deployment, FIRST, LAST))


@pytest.mark.parametrize("force", BROKEN)
def test_a_broken_file_is_a_failure_that_names_archive_member_and_cause(
    broken_run: BrokenRun, force: str
) -> None:
    name = member_name(MONTH, force)
    told = failures(broken_run.result)["street_crimes_csv"].split("\n")
    (line,) = [line for line in told if line.startswith(f"{force}|{MONTH}: ")]
    assert line.startswith(f"{force}|{MONTH}: archive {broken_run.archive}, member {name}: ")
    assert BROKEN[force][1].format(name=name) in line


@pytest.mark.parametrize("force", BROKEN)
def test_nothing_of_a_broken_file_is_published_and_the_old_partition_stays(
    broken_run: BrokenRun, force: str
) -> None:
    old = {path: digest for path, digest in broken_run.before.items() if f"/force={force}/" in path}
    assert len(old) == 4  # as published, its crimes, its rejected lines, its issue
    assert files_of(broken_run.data, force) == old
    assert f"{force}|{MONTH}" not in published(broken_run.result, "street_crimes_csv")


def test_a_file_of_which_most_lines_are_rejected_is_a_failure_and_the_old_crimes_stay(
    broken_run: BrokenRun,
) -> None:
    key, name = f"derbyshire|{MONTH}", member_name(MONTH, "derbyshire")
    assert (
        f"{key}: 7 of 7 lines of {name} of the archive 2025-01 cannot be read, from row 1 on; "
        "most often: month 2024-12 in a file of 2025-01"
    ) in failures(broken_run.result)["street_crimes"]
    assert key in published(broken_run.result, "street_crimes_csv")
    assert key not in published(broken_run.result, "street_crimes")
    now = files_of(broken_run.data, OF_ANOTHER_MONTH)
    for table in ("street_crimes", "rejected_crimes"):
        path = f"lake/{table}/month={MONTH}/force=derbyshire/data.parquet"
        assert now[path] == broken_run.before[path]


def test_the_whole_files_of_the_same_run_are_published(broken_run: BrokenRun) -> None:
    rows = {
        key: event.metadata["dagster/partition_row_count"].value
        for key, event in published(broken_run.result, "street_crimes").items()
    }
    whole = {f"{force}|{MONTH}": 30 for force in WHOLE}
    assert {key: rows[key] for key in whole} == whole
    # those that were broken keep the 9 crimes of before: what follows read them once more
    assert {rows[f"{force}|{MONTH}"] for force in BROKEN} == {9}


def test_the_failures_of_a_run_are_counted_and_not_retried(broken_run: BrokenRun) -> None:
    told = failures(broken_run.result)
    # 15 of ours, and greater-manchester stands no longer between the first and the last
    assert told["street_crimes_csv"].startswith("10 of 15 partitions failed and were not published")
    assert told["street_crimes"].startswith("1 of 15 partitions failed and were not published")


def test_no_temporary_file_is_left(broken_run: BrokenRun) -> None:
    assert {Path(path).name for path in checksums(broken_run.data)} == {
        "data.csv.gz",
        "data.parquet",
    }


# --- Archives that are broken as a whole --------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda archive: archive[:-200], "a zip whose end is missing or damaged: truncated"),
        (lambda archive: archive[: len(archive) // 2], "truncated"),
        (lambda archive: b"", "zero bytes in place of a zip"),
        (lambda archive: HTML, "an HTML page in place of a zip: '<!DOCTYPE html>"),
        (lambda archive: archive[::-1], "no zip: it begins with"),
    ],
    ids=["cut at the end", "half", "empty", "HTML", "anything"],
)
def test_a_broken_archive_is_a_failure_and_what_other_archives_hold_is_published(
    tmp_path: Path, damage: Callable[[bytes], bytes], cause: str
) -> None:
    """The archive of 2021-12 is broken; that of 2024-12 goes back to 2022-01."""
    members = {member_name(m, "kent"): street_csv(m, 9) for m in ("2021-11", "2021-12")}
    old = write_zip(tmp_path / "archive" / "2021-12.zip", members)
    newer = {member_name(m, "kent"): street_csv(m, 5) for m in ("2022-01", "2022-02")}
    write_zip(tmp_path / "archive" / "2024-12.zip", newer)
    deployment = settings_of(tmp_path / "archive", tmp_path / "data")
    assert ingest(deployment, "kent|2021-11").success
    before = files_of(tmp_path / "data", "kent", "2021-11")
    assert len(before) == 4

    old.write_bytes(damage(old.read_bytes()))
    result = ingest(deployment, "kent|2021-11", "kent|2022-02")
    told = failures(result)["street_crimes_csv"].split("\n")
    assert told[0].startswith("2 of 4 partitions failed")
    for month, line in zip(("2021-11", "2021-12"), told[1:], strict=True):
        assert line.startswith(f"kent|{month}: archive {old}: ")
        assert cause in line
    assert files_of(tmp_path / "data", "kent", "2021-11") == before
    assert files_of(tmp_path / "data", "kent", "2021-12") == {}
    (waits,) = failures(result)["street_crimes"].split("\n")[1:]
    assert waits.startswith(
        "kent|2021-12: street_crimes_csv kent|2021-12 is not there: materialise"
    )
    assert {"kent|2022-01", "kent|2022-02"} <= set(published(result, "street_crimes"))


def test_what_is_whole_in_a_damaged_archive_is_published(tmp_path: Path) -> None:
    """An archive whose first 100 bytes are lost has lost its first member only."""
    members = {member_name(m, "kent"): street_csv(m, 9) for m in ("2024-12", "2025-01")}
    archive = write_zip(tmp_path / "archive" / "2025-01.zip", members)
    archive.write_bytes(archive.read_bytes()[100:])
    result = ingest(settings_of(archive.parent, tmp_path / "data"), "kent|2024-12", "kent|2025-01")
    (line,) = failures(result)["street_crimes_csv"].split("\n")[1:]
    assert line == (
        f"kent|2024-12: archive {archive}, member {member_name('2024-12', 'kent')}: "
        "damaged in the archive (it would begin before the archive)"
    )
    assert list(published(result, "street_crimes")) == ["kent|2025-01"]


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Collects the growth of this process in bytes, sampled until the end of the block."""
    process, done = psutil.Process(), threading.Event()
    start, growth = process.memory_info().rss, [0]

    def sample() -> None:
        while not done.wait(0.002):
            growth[0] = max(growth[0], process.memory_info().rss - start)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield growth
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
def test_a_line_of_200_mb_is_a_failure_that_takes_little_more_memory_than_the_line(
    tmp_path: Path, zipped: bool
) -> None:
    members = {member_name(MONTH, "kent"): street_csv(MONTH, 3) + b"x" * 200_000_000}
    if zipped:
        write_zip(tmp_path / "archive" / "2025-01.zip", members)
    else:
        write_folder(tmp_path / "archive", members)
    del members
    with peak_memory() as growth:
        result = ingest(settings_of(tmp_path / "archive", tmp_path / "data"), f"kent|{MONTH}")
    (line,) = failures(result)["street_crimes_csv"].split("\n")[1:]
    assert line.endswith(
        f"member {member_name(MONTH, 'kent')}: in row 4, more than 65,536 bytes without a line end"
    )
    assert files_of(tmp_path / "data", "kent") == {}
    assert growth[0] < 700_000_000


def test_a_member_that_unpacks_beyond_the_limit_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {
        member_name(MONTH, "kent"): street_csv(MONTH, 5),
        member_name(MONTH, "lancashire"): street_csv(MONTH, 500),
    }
    archive = write_zip(tmp_path / "archive" / "2025-01.zip", members)
    monkeypatch.setattr(police_uk, "MAX_MEMBER_BYTES", 10_000)
    result = ingest(
        settings_of(archive.parent, tmp_path / "data"), f"kent|{MONTH}", f"lancashire|{MONTH}"
    )
    (line,) = failures(result)["street_crimes_csv"].split("\n")[1:]
    assert line.startswith(
        f"lancashire|{MONTH}: archive {archive}, member {member_name(MONTH, 'lancashire')}: "
        "it says that it unpacks to"
    )
    assert list(published(result, "street_crimes")) == [f"kent|{MONTH}"]


@pytest.mark.slow
def test_a_published_file_that_was_damaged_on_disk_says_to_fetch_it_again(tmp_path: Path) -> None:
    archive = write_zip(
        tmp_path / "archive" / "2025-01.zip", {member_name(MONTH, "kent"): street_csv(MONTH, 9)}
    )
    deployment = settings_of(archive.parent, tmp_path / "data")
    assert ingest(deployment, f"kent|{MONTH}").success
    (kept,) = (tmp_path / "data" / "raw").rglob("data.csv.gz")
    whole, lake = kept.read_bytes(), checksums(tmp_path / "data" / "lake")
    for damaged in (whole[:-9], whole[:30], b"", whole[:-200] + bytes(50) + whole[-150:], HTML):
        kept.write_bytes(damaged)
        result = run_assets(deployment, ["street_crimes"], f"kent|{MONTH}")
        told = failures(result)["street_crimes"]
        assert f"{kept} is damaged" in told
        assert "materialise street_crimes_csv of it again" in told
        assert checksums(tmp_path / "data" / "lake") == lake


# --- Lines that are no crimes -------------------------------------------------------------------

QUOTED = '"Bournemouth, Christchurch and Poole 009D"'
LINES: dict[str, tuple[str, str | None]] = {
    "whole": (crime(MONTH, 1), None),
    "torn": (crime(MONTH, 2)[:100], "torn: 5 fields, not 12"),
    "two in one": (crime(MONTH, 3) + crime(MONTH, 4), "torn: 23 fields, not 12"),
    "blank": ("", "torn: 1 fields, not 12"),
    "spaces": ("   ", "torn: 1 fields, not 12"),
    "text": ("The rest of this file was lost.", "torn: 1 fields, not 12"),
    "of another month": (
        crime(MONTH, 5, month="2024-12"),
        "month 2024-12 in a file of 2025-01",
    ),
    "without month": (crime(MONTH, 5, month=""), "month  in a file of 2025-01"),
    "of a new type": (
        crime(MONTH, 6, crime_type="Fly-tipping"),
        'crime type "Fly-tipping" is in no list',
    ),
    "of a misspelt type": (
        crime(MONTH, 6, crime_type="burglary"),
        'crime type "burglary" is in no list',
    ),
    "of no type": (crime(MONTH, 6, crime_type=""), 'crime type "" is in no list'),
    "words for a coordinate": (
        crime(MONTH, 7, longitude="west"),
        "coordinate west, 51.270000 is no number",
    ),
    "a comma too much": (crime(MONTH, 7, latitude="51,27"), "torn: 13 fields, not 12"),
    "hexadecimal": (crime(MONTH, 7, latitude="0x33"), "coordinate 0.507000, 0x33 is no number"),
    "underscore": (crime(MONTH, 7, latitude="5_1.3"), "coordinate 0.507000, 5_1.3 is no number"),
    "not a number": (crime(MONTH, 7, latitude="nan"), "coordinate 0.507000, nan is no number"),
    "infinite": (crime(MONTH, 7, longitude="-inf"), "coordinate -inf, 51.270000 is no number"),
    "only longitude": (crime(MONTH, 8, latitude=""), "one coordinate is missing"),
    "only latitude": (crime(MONTH, 8, longitude=""), "one coordinate is missing"),
    "null island": (
        crime(MONTH, 9, longitude="0", latitude="0"),
        "outside the United Kingdom: 0, 0",
    ),
    "swapped": (
        crime(MONTH, 9, longitude="51.27", latitude="0.5"),
        "outside the United Kingdom: 51.27, 0.5",
    ),
    "in Paris": (
        crime(MONTH, 9, longitude="2.35", latitude="48.86"),
        "outside the United Kingdom: 2.35, 48.86",
    ),
    "in Lerwick": (crime(MONTH, 9, longitude="-1.1449", latitude="60.1546"), None),
    "in Fermanagh": (crime(MONTH, 9, longitude="-8.1", latitude="54.47"), None),
    "in Lowestoft": (crime(MONTH, 9, longitude="1.7625", latitude="52.4811"), None),
    "without location": (crime(MONTH, 10, longitude="", latitude="", lsoa_code=""), None),
    "a name with commas": (crime(MONTH, 11, lsoa_name=QUOTED), None),
    "a quoted quotation mark": (crime(MONTH, 11, location='"On or near ""The Crown"""'), None),
    "stray quotation marks": (crime(MONTH, 11, location='On or near "The Crown"'), None),
    "a quotation mark that is not closed": (
        crime(MONTH, 11, location='"On or near The Crown'),
        "torn: a quotation mark is not closed",
    ),
    "a quotation mark that closes too late": (
        crime(MONTH, 11, location='"On or near', lsoa_name='The Crown"'),
        "torn: 10 fields, not 12",
    ),
    "accents": (crime(MONTH, 12, lsoa_name="Ynys Môn 001A", location="Café ☕"), None),
    "a legacy type": (crime(MONTH, 13, crime_type="Violent crime"), None),
    "an id that repeats": (crime(MONTH, 1), None),
    "control characters": (crime(MONTH, 14, location="a\x00b\x0bc\x1cd\u2028e\x85f"), None),
    "a carriage return inside": (crime(MONTH, 14, location="On or\rnear"), None),
    "last": (crime(MONTH, 15), None),
}
ROW = {name: row for row, name in enumerate(LINES, 1)}
Row = tuple[int, str, str]


@pytest.fixture(scope="module")
def lines_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dg.JobExecutionResult]:
    """A file of all these lines, through the assets: the data folder, and the run."""
    folder = tmp_path_factory.mktemp("lines")
    lines = [line for line, _ in LINES.values()]
    lines += [crime(MONTH, number) for number in range(100, 130)]
    members = {member_name(MONTH, "kent"): street_csv(MONTH, lines)}
    write_zip(folder / "archive" / "2025-01.zip", members)
    result = ingest(settings_of(folder / "archive", folder / "data"), f"kent|{MONTH}")
    assert result.success, failures(result)
    return folder / "data", result


def table(data: Path, name: str, select: str) -> list[tuple]:
    path = data / "lake" / name / f"month={MONTH}" / "force=kent" / "data.parquet"
    return duckdb.execute(
        f"select {select} from read_parquet($path)", {"path": str(path)}
    ).fetchall()


@pytest.mark.parametrize("name", [name for name, (_, reason) in LINES.items() if reason])
def test_a_line_that_is_no_crime_is_kept_with_its_row_text_and_reason(
    lines_run: tuple[Path, dg.JobExecutionResult], name: str
) -> None:
    rejected = {
        row: rest for row, *rest in table(lines_run[0], "rejected_crimes", "row, line, reason")
    }
    assert rejected[ROW[name]] == list(LINES[name])


@pytest.mark.parametrize("name", [name for name, (_, reason) in LINES.items() if not reason])
def test_a_line_that_is_a_crime_is_read_however_odd(
    lines_run: tuple[Path, dg.JobExecutionResult], name: str
) -> None:
    (line,) = csv.reader([LINES[name][0].replace("\r", "<CR>")])
    columns = "row, crime_id, location, lsoa_code, lsoa_name, crime_type, last_outcome"
    read = {row: rest for row, *rest in table(lines_run[0], "street_crimes", columns)}
    expected = [line[i].replace("<CR>", "\r") or None for i in (0, 6, 7, 8, 9, 10)]
    if name == "stray quotation marks":
        assert expected[1] == 'On or near "The Crown"'
    assert read[ROW[name]] == expected


def test_rows_published_are_rows_kept_and_rows_rejected(
    lines_run: tuple[Path, dg.JobExecutionResult],
) -> None:
    data, result = lines_run
    kept = [row for (row,) in table(data, "street_crimes", "row")]
    rejected = [row for (row,) in table(data, "rejected_crimes", "row")]
    assert kept == sorted(kept)
    assert rejected == sorted(rejected)
    assert sorted(kept + rejected) == list(range(1, len(LINES) + 30 + 1))
    metadata = published(result, "street_crimes")[f"kent|{MONTH}"].metadata
    assert metadata["dagster/partition_row_count"].value == len(kept)
    assert metadata["rejected"].value == len(rejected)
    assert metadata["types_outside_their_months"].value == 1
    # Lerwick lies north of the last row of cells, and Fermanagh west of the first column
    assert metadata["located"].value == len(kept) - 1
    assert metadata["outside_grid"].value == 2
    assert "one coordinate is missing | 2 |" in metadata["rejected_by_reason"].value


# --- Reading never loses a line -----------------------------------------------------------------


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1, memory_limit="1GB").get_connection() as connection:
        yield connection


GOOD = [crime(MONTH, number) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"", 0),  # not published
        (HEADER.encode(), 0),
        (f"{HEADER}\n".encode(), 0),
        (street_csv(MONTH, GOOD), 5),
        (street_csv(MONTH, GOOD).rstrip(b"\n"), 5),
        (street_csv(MONTH, GOOD, line_end="\r\n"), 5),
        (street_csv(MONTH, GOOD, line_end="\r\n").rstrip(b"\r\n"), 5),
        (street_csv(MONTH, GOOD, line_end="\r\n").removesuffix(b"\n"), 5),  # cut in a line end
        (b"\xef\xbb\xbf" + street_csv(MONTH, GOOD), 5),
    ],
    ids=["nothing", "header", "header line", "LF", "no LF at end", "CRLF", "no CRLF at end",
         "CR at end", "byte-order mark"],
)  # fmt: skip
def test_line_ends_and_a_byte_order_mark_make_no_difference(
    connection: duckdb.DuckDBPyConnection, content: bytes, rows: int
) -> None:
    counts = read_crimes(connection, content, MONTH)
    assert (counts.published, counts.kept, counts.rejected) == (rows, rows, 0)
    read = connection.execute("select row, crime_id, crime_type from street_crimes").fetchall()
    fields = [line.split(",") for line in GOOD[:rows]]
    assert read == [(row, f[0], f[9]) for row, f in enumerate(fields, 1)]


def test_a_blank_line_at_the_end_is_rejected_as_one_in_the_middle_is(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    counts = read_crimes(connection, street_csv(MONTH, [GOOD[0], "", GOOD[1], ""]), MONTH)
    assert (counts.published, counts.kept, counts.rejected) == (4, 2, 2)
    assert connection.execute("select row, line from rejected_crimes").fetchall() == [
        (2, ""),
        (4, ""),
    ]


def test_a_line_break_inside_quotation_marks_tears_the_crime_in_two(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    torn = crime(MONTH, 2, location='"On or\nnear"')
    counts = read_crimes(connection, street_csv(MONTH, [GOOD[0], torn, GOOD[1]]), MONTH)
    assert (counts.published, counts.kept, counts.rejected) == (4, 2, 2)
    assert connection.execute("select line from rejected_crimes order by row").fetchall() == [
        (half,) for half in torn.split("\n")
    ]


def mangled(line: str, seed: int) -> str:
    """A line with a few characters dropped, doubled, swapped or replaced by awkward ones."""
    rng, characters = random.Random(seed), list(line)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(characters) + 1)
        match rng.randrange(4):
            case 0:
                del characters[at : at + rng.randint(1, 90)]
            case 1:
                characters[at:at] = rng.choice(['"', ",", "\n", "\r", "\r\n", '""', "\0", "é", "_"])
            case 2:
                characters[at : at + 1] = rng.choice(["", "-", "9", "e", " ", '",'])
            case _:
                rng.shuffle(characters[at : at + 3])
    return "".join(characters)


a_mangled_line = st.builds(
    mangled, st.sampled_from([*GOOD, crime(MONTH, 9, lsoa_name=QUOTED)]), st.integers()
)
any_text = st.text(st.one_of(st.sampled_from(',"\n\r'), st.characters(exclude_categories=["Cs"])))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.one_of(a_mangled_line, a_mangled_line, any_text), max_size=12), st.booleans())
def test_reading_never_loses_a_line_and_never_raises(
    connection: duckdb.DuckDBPyConnection, lines: list[str], crlf: bool
) -> None:
    text = "\n".join([HEADER, *lines])
    content = (text.replace("\n", "\r\n") if crlf else text).encode()
    body = content.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")[1:]

    counts = read_crimes(connection, content, MONTH)

    kept = connection.execute(
        "select row, crime_id, reported_by, longitude, latitude, easting, crime_type "
        "from street_crimes"
    ).fetchall()
    rejected = connection.execute("select row, line, reason from rejected_crimes").fetchall()
    assert counts.published == len(body)
    assert (counts.kept, counts.rejected) == (len(kept), len(rejected))
    assert sorted(row for row, *_ in kept + rejected) == list(range(1, len(body) + 1))
    for row, line, reason in rejected:
        assert line == body[row - 1]
        assert reason
    for row, *read in kept:
        line = body[row - 1]
        if '"' not in line:
            fields = line.split(",")
            assert len(fields) == 12
            assert fields[1] == MONTH
            longitude, latitude = (float(f) if f else None for f in fields[4:6])
            assert read[:4] == [fields[0] or None, fields[2], longitude, latitude]
            assert (read[4] is None) == (longitude is None)
            assert read[5] == fields[9]
