"""The lake: the old partition or the new one, whoever reads, writes, fails or is killed."""

from __future__ import annotations

import errno
import gc
import hashlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb
import pyarrow.parquet
import pytest

from crime_assets.lake import (
    ContractBroken,
    DuckDB,
    Lake,
    MissingPartition,
    atomic,
    code_version,
    create,
    sql,
)
from crime_assets.sources.police_uk import Member
from crime_assets.sources.street_crimes import read_crimes, read_member, write_member
from crime_assets.tables import TABLES
from crime_assets.warehouse.assets import create_view
from crime_assets_tests.sources.archives import checksums, street_csv

JANUARY, FEBRUARY, MARCH = ({"month": f"2025-0{n}"} for n in (1, 2, 3))
KENT = {"month": "2025-01", "force": "kent"}

# Processes that write are forked from one that has imported this module and opened no database.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([__name__])


def connect(threads: int = 2) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": threads, "python_enable_replacements": False})


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def make_counts(connection: duckdb.DuckDBPyConnection, crimes: int, rows: int = 3) -> str:
    """A relation for `hex_counts`: cells 1, 2 .., each with the same number of crimes."""
    connection.execute(
        "create or replace temp table counts as "
        "select 'kent' as force, 'Drugs' as crime_type, i::integer as hex_id, "
        "$crimes::integer as crimes from range(1, $rows + 1) as cell(i) order by i",
        {"crimes": crimes, "rows": rows},
    )
    return "counts"


def publish_counts(
    lake: Lake, connection: duckdb.DuckDBPyConnection, partition: dict[str, str], crimes: int
) -> str:
    """Publish that relation; returns its SHA-256."""
    counts = make_counts(connection, crimes)
    return lake.publish(connection, counts, "hex_counts", partition).sha256


# --- Publishing ---------------------------------------------------------------------------------


def test_a_partition_lies_where_its_hive_columns_say(lake: Lake) -> None:
    root = lake.root
    assert lake.path("street_crimes", {"month": "2025-09", "force": "kent"}) == (
        root / "street_crimes" / "month=2025-09" / "force=kent" / "data.parquet"
    )
    assert lake.path("hotspots", {"month": "2025-09"}) == (
        root / "hotspots" / "month=2025-09" / "data.parquet"
    )
    assert lake.path("hex_cells") == root / "hex_cells" / "data.parquet"


@pytest.mark.parametrize(
    "partition", [{}, {"force": "kent"}, {"month": "2025-01", "force": "kent"}]
)
def test_a_partition_with_other_columns_than_the_table_has_is_refused(
    lake: Lake, partition: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="hotspots is partitioned by"):
        lake.path("hotspots", partition)


def test_what_is_published_is_described_and_reads_back(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    published = lake.publish(connection, make_counts(connection, 7), "hex_counts", JANUARY)
    content = published.path.read_bytes()
    assert published.path == lake.path("hex_counts", JANUARY)
    assert published.rows == 3
    assert published.bytes == len(content)
    assert published.sha256 == hashlib.sha256(content).hexdigest()
    table = pyarrow.parquet.read_table(published.path, partitioning=None)
    assert table.to_pylist() == [
        {"force": "kent", "crime_type": "Drugs", "hex_id": cell, "crimes": 7} for cell in (1, 2, 3)
    ]
    assert [str(field.type) for field in table.schema] == ["string", "string", "int32", "int32"]
    column = pyarrow.parquet.ParquetFile(published.path).metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"


def test_columns_are_published_in_the_order_and_types_of_the_contract(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    relation = (
        "(select 1::hugeint as crimes, 2.0::double as hex_id, 'a' as force, 'b' as crime_type)"
    )
    published = lake.publish(connection, relation, "hex_counts", JANUARY)
    schema = pyarrow.parquet.read_schema(published.path)
    assert schema.names == [column.name for column in TABLES["hex_counts"].columns]
    assert [str(field.type) for field in schema] == ["string", "string", "int32", "int32"]


def test_a_relation_that_breaks_the_contract_is_refused_and_the_old_partition_stays(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    old = publish_counts(lake, connection, JANUARY, 1)
    broken = "(select 'kent' as force, 1 as hex_id, 2 as crimes, true as hot)"
    with pytest.raises(
        ContractBroken, match=r"hex_counts promises .* lacks \['crime_type'\] and adds \['hot'\]"
    ):
        lake.publish(connection, broken, "hex_counts", JANUARY)
    assert checksums(lake.root) == {"hex_counts/month=2025-01/data.parquet": old}


@pytest.mark.parametrize(
    "relation",
    [
        # the 200,000th row cannot be cast: some row groups are written by then
        "(select 'kent' as force, 'Drugs' as crime_type, i as hex_id, "
        "if(i < 200000, '1', 'many') as crimes from range(300000) as cell(i))",
        "(select 'kent' as force, 'Drugs' as crime_type, i as hex_id, "
        "if(i < 200000, 1, error('the disk is full')) as crimes from range(300000) as cell(i))",
    ],
)
def test_a_statement_that_fails_half_way_leaves_the_old_partition_and_nothing_else(
    lake: Lake, connection: duckdb.DuckDBPyConnection, relation: str
) -> None:
    old = publish_counts(lake, connection, JANUARY, 1)
    with pytest.raises(duckdb.Error):
        lake.publish(connection, relation, "hex_counts", JANUARY)
    assert checksums(lake.root) == {"hex_counts/month=2025-01/data.parquet": old}


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "data.txt"
    with atomic(path) as temporary:
        temporary.write_text("old")
        assert not path.exists()
    with atomic(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # else it could not be moved in one step
        assert temporary.name.startswith(".")
        temporary.write_text("new")
    assert path.read_text() == "new"

    def fail() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_provenance_is_kept_in_the_file(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    told = {"url": '/it\'s "here"/é.zip', "rows": 3, "published": True, "release": None}
    counts = make_counts(connection, 1)
    lake.publish(connection, counts, "hex_counts", JANUARY, told)
    lake.publish(connection, counts, "hex_counts", FEBRUARY)
    assert lake.provenance(connection, "hex_counts", JANUARY) == told
    assert lake.provenance(connection, "hex_counts", FEBRUARY) == {}
    metadata = pyarrow.parquet.read_metadata(lake.path("hex_counts", JANUARY)).metadata
    assert json.loads(metadata[b"provenance"]) == told
    with pytest.raises(MissingPartition):
        lake.provenance(connection, "hex_counts", MARCH)


# --- The same bytes -----------------------------------------------------------------------------


@pytest.mark.slow
def test_counts_are_the_same_bytes_whatever_the_threads_and_the_order_of_the_crimes(
    lake: Lake,
) -> None:
    """600,000 crimes in 400,000 groups: four row groups."""
    digests = {}
    for threads in (1, 2, 8):
        for order in ("i", "hash(i)"):
            with DuckDB(threads=threads).get_connection() as connection:
                connection.execute(
                    "create temp table street_crimes as select "
                    "['kent', 'essex', 'surrey'][1 + (hash(i) % 3)::int] as force, "
                    "['Drugs', 'Burglary', 'Robbery'][1 + (hash(i, 1) % 3)::int] as crime_type, "
                    "if(i % 50 = 0, null, hash(i, 2) % 100000)::integer as hex_id "
                    f"from range(600000) as crime(i) order by {order}"
                )
                counts = create(connection, "hexes/hex_counts")
                published = lake.publish(connection, counts, "hex_counts", JANUARY)
                digests[threads, order] = published.sha256
    assert pyarrow.parquet.read_metadata(published.path).num_row_groups >= 3
    assert len(set(digests.values())) == 1, digests


@pytest.mark.slow
def test_crimes_are_the_same_bytes_whatever_the_threads(lake: Lake) -> None:
    """310,000 crimes on 20,200 points, and rejected lines among them."""
    lines = [
        f"{n:x},2025-01,Kent Police,Kent Police,{0.5 + n % 200 / 1000:.3f},{51 + n % 101 / 99:.3f},"
        f"On or near Road {n % 977},E0102{n % 400:04d},Maidstone {n % 400:03d}A,"
        + ("Drugs,Under investigation," if n % 37 else "Drugs")
        for n in range(310_000)
    ]
    content = street_csv("2025-01", lines)
    digests = {}
    for threads in (1, 2, 8):
        with DuckDB(threads=threads).get_connection() as connection:
            counts = read_crimes(connection, content, "2025-01")
            assert counts.rejected == 8_379  # every 37th
            digests[threads] = [
                lake.publish(connection, table, table, KENT).sha256
                for table in ("street_crimes", "rejected_crimes")
            ]
    assert pyarrow.parquet.read_metadata(lake.path("street_crimes", KENT)).num_row_groups >= 3
    assert digests[1] == digests[2] == digests[8]


# --- Reading ------------------------------------------------------------------------------------


def rows(connection: duckdb.DuckDBPyConnection, table: str = "hex_counts") -> list[tuple]:
    return connection.execute(f"select month, hex_id, crimes from {table} order by all").fetchall()


def test_a_view_shows_exactly_the_partitions_that_are_named(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    for crimes, month in enumerate((JANUARY, FEBRUARY, MARCH), 1):
        publish_counts(lake, connection, month, crimes)
    assert lake.view(connection, "hex_counts", [JANUARY, MARCH]) == 2
    assert rows(connection) == [
        (month, cell, crimes)
        for month, crimes in (("2025-01", 1), ("2025-03", 3))
        for cell in (1, 2, 3)
    ]
    described = connection.execute("describe hex_counts").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [
        ("force", "VARCHAR"),
        ("crime_type", "VARCHAR"),
        ("hex_id", "INTEGER"),
        ("crimes", "INTEGER"),
        ("month", "VARCHAR"),
    ]


def test_a_view_of_a_partition_that_is_not_there_says_how_to_make_it(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_counts(lake, connection, JANUARY, 1)
    with pytest.raises(
        MissingPartition,
        match=r"hex_counts 2025-02 is not in the lake: materialise it first, with `dagster asset "
        r"materialize -m crime_assets.definitions --select hex_counts --partition '2025-02'`",
    ):
        lake.view(connection, "hex_counts", [JANUARY, FEBRUARY])
    with pytest.raises(MissingPartition, match=r"--partition 'kent\|2025-01'"):
        lake.require("street_crimes", KENT)
    with pytest.raises(MissingPartition, match=r"^hex_cells is not .* --select hex_cells`$"):
        lake.view(connection, "hex_cells")


def test_a_partition_of_an_older_version_without_a_column_says_to_make_it_again(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_counts(lake, connection, JANUARY, 1)
    older = lake.path("hex_counts", JANUARY)
    connection.execute(f"copy (select * exclude crimes from counts) to '{older}' (format parquet)")
    with pytest.raises(
        MissingPartition, match=r"1 of 1 partitions of hex_counts .* older version: materialise hex"
    ):
        lake.view(connection, "hex_counts", [JANUARY])
    publish_counts(lake, connection, JANUARY, 1)
    lake.view(connection, "hex_counts", [JANUARY])
    assert connection.execute("select sum(crimes) from hex_counts").fetchone() == (3,)


def test_an_older_partition_among_new_ones_is_named_whichever_comes_first(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    for month in (JANUARY, FEBRUARY):
        publish_counts(lake, connection, month, 1)
    older = lake.path("hex_counts", FEBRUARY)
    connection.execute(f"copy (select * exclude crimes from counts) to '{older}' (format parquet)")
    for order in ([JANUARY, FEBRUARY], [FEBRUARY, JANUARY]):
        with pytest.raises(MissingPartition, match=r"month=2025-02.*materialise hex_counts again"):
            lake.view(connection, "hex_counts", order)


def test_a_view_may_leave_out_what_is_missing_and_is_typed_when_all_is(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_counts(lake, connection, FEBRUARY, 5)
    asked = [JANUARY, FEBRUARY, MARCH]
    assert lake.view(connection, "hex_counts", asked, skip_missing=True) == 1
    assert {month for month, *_ in rows(connection)} == {"2025-02"}
    full = connection.execute("describe hex_counts").fetchall()

    assert lake.view(connection, "hex_counts", [JANUARY], skip_missing=True) == 0
    assert rows(connection) == []
    assert connection.execute("describe hex_counts").fetchall() == full
    assert lake.view(connection, "hex_counts", [], skip_missing=True) == 0
    assert rows(connection) == []


@pytest.mark.parametrize("folder", ["with spaces", "it's quoted", 'a "b"', "[a] b*c?", "é"])
def test_a_lake_may_lie_in_a_folder_of_any_name(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, folder: str
) -> None:
    lake = Lake(tmp_path / folder / "lake")
    counts = make_counts(connection, 4)
    lake.publish(connection, counts, "hex_counts", JANUARY, {"url": "x"})
    assert lake.view(connection, "hex_counts", [JANUARY]) == 1
    expected = [("2025-01", cell, 4) for cell in (1, 2, 3)]
    assert rows(connection) == expected
    assert lake.provenance(connection, "hex_counts", JANUARY) == {"url": "x"}
    with duckdb.connect() as analyst:
        create_view(analyst, lake, TABLES["hex_counts"])
        assert rows(analyst) == expected


def test_what_a_killed_writer_left_behind_is_not_read_and_disturbs_nobody(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    first = lake.path("hex_counts", JANUARY)
    left = first.with_name(".data.parquet.4711.0123abcd")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PAR1 and no more")
    assert not lake.has("hex_counts", JANUARY)
    assert lake.glob("hex_counts") is None
    publish_counts(lake, connection, JANUARY, 2)
    lake.view(connection, "hex_counts", [JANUARY])
    with duckdb.connect() as analyst:
        create_view(analyst, lake, TABLES["hex_counts"])
        assert rows(analyst) == rows(connection) == [("2025-01", cell, 2) for cell in (1, 2, 3)]
    assert left.read_bytes() == b"PAR1 and no more"


def test_a_view_shows_the_partitions_as_they_were_when_it_was_made(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    """Else a step would read one month before and after it was revised."""
    publish_counts(lake, connection, JANUARY, 1)
    with connect() as reader:
        lake.view(reader, "hex_counts", [JANUARY, FEBRUARY], skip_missing=True)
        publish_counts(lake, connection, JANUARY, 2)
        publish_counts(lake, connection, FEBRUARY, 2)
        assert {found for _, _, found in rows(reader)} == {1}
        lake.view(reader, "hex_counts", [JANUARY, FEBRUARY])
        assert {found for _, _, found in rows(reader)} == {2}
        lake.path("hex_counts", JANUARY).unlink()
        assert len(rows(reader)) == 6


def test_what_a_view_needs_is_gone_with_its_connection(lake: Lake) -> None:
    connection = connect()
    publish_counts(lake, connection, JANUARY, 1)
    for _ in range(3):
        lake.view(connection, "hex_counts", [JANUARY])
    assert len(rows(connection)) == 3
    beside = lake.root.with_name(".lake-in-use")
    assert len(list(beside.rglob("data.parquet"))) == 3
    assert [path.name for path in lake.root.rglob("*") if path.is_file()] == ["data.parquet"]
    connection.close()
    del connection
    gc.collect()
    assert list(beside.iterdir()) == []


def test_what_a_killed_reader_left_behind_goes_after_a_week(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_counts(lake, connection, JANUARY, 1)
    beside = lake.root.with_name(".lake-in-use")
    for name, days in (("lately", 6), ("long ago", 8)):
        (beside / name).mkdir(parents=True)
        then = time.time() - days * 24 * 3600
        os.utime(beside / name, (then, then))
    lake.view(connection, "hex_counts", [JANUARY])
    names = {path.name for path in beside.iterdir()}
    assert "lately" in names
    assert "long ago" not in names


def test_a_partition_that_is_replaced_while_a_view_is_made_is_not_missing(
    lake: Lake, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux tells who links a file that is replaced at that moment that there is none."""
    publish_counts(lake, connection, JANUARY, 1)
    link, tried = os.link, []

    def too_late_at_first(source: Path, name: Path) -> None:
        tried.append(source)
        if len(tried) < 3:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        link(source, name)

    monkeypatch.setattr(os, "link", too_late_at_first)
    assert lake.view(connection, "hex_counts", [JANUARY]) == 1
    assert len(tried) == 3
    assert len(rows(connection)) == 3


def _no_link(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_a_view_works_where_there_are_no_hard_links(
    lake: Lake, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _no_link)
    publish_counts(lake, connection, JANUARY, 4)
    asked = [JANUARY, FEBRUARY]
    assert lake.view(connection, "hex_counts", asked, skip_missing=True) == 1
    assert rows(connection) == [("2025-01", cell, 4) for cell in (1, 2, 3)]
    with pytest.raises(MissingPartition):
        lake.view(connection, "hex_counts", asked)


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_frozen_lake_stays_as_it_was(
    tmp_path: Path,
    connection: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    hard_links: bool,
) -> None:
    lake = Lake(tmp_path / "lake")
    publish_counts(lake, connection, JANUARY, 1)
    publish_counts(lake, connection, FEBRUARY, 2)
    before = checksums(lake.root)
    if not hard_links:
        monkeypatch.setattr(os, "link", _no_link)
    frozen = lake.freeze(tmp_path / "frozen" / "1")
    publish_counts(lake, connection, JANUARY, 3)
    publish_counts(lake, connection, MARCH, 3)
    assert checksums(frozen.root) == before
    create_view(connection, frozen, TABLES["hex_counts"])
    assert {(month, crimes) for month, _, crimes in rows(connection)} == {
        ("2025-01", 1),
        ("2025-02", 2),
    }


def test_an_analyst_who_stays_connected_sees_each_partition_as_it_is_now(tmp_path: Path) -> None:
    """DuckDB caches files: what it holds of the old one must not be taken for the new one."""
    lake = Lake(tmp_path / "lake")
    with connect() as writer, connect() as analyst:
        publish_counts(lake, writer, JANUARY, 1)
        create_view(analyst, lake, TABLES["hex_counts"])
        for crimes in range(2, 30):
            publish_counts(lake, writer, JANUARY, crimes)
            assert {found for _, _, found in rows(analyst)} == {crimes}


# --- Connections and statements -----------------------------------------------------------------


def test_a_connection_knows_no_python_variables_and_downloads_no_extensions() -> None:
    street_crimes = duckdb.sql("select 'of Python' as found")
    with DuckDB(threads=1).get_connection() as connection:
        with pytest.raises(duckdb.CatalogException, match="street_crimes does not exist"):
            connection.execute("select * from street_crimes")
        setting = "select current_setting($name)::varchar"
        found = connection.execute(setting, {"name": "autoinstall_known_extensions"}).fetchone()
        assert found == ("false",)
        assert connection.execute("select hex_id_at(82400, 5000)").fetchone() == (0,)
        assert connection.execute("select st_x(st_point(1, 2))").fetchone() == (1.0,)
    assert street_crimes.fetchone() == ("of Python",)


def test_a_connection_is_closed_when_the_step_raises() -> None:
    opened = []

    def step() -> None:
        with DuckDB(threads=1).get_connection() as connection:
            opened.append(connection)
            raise RuntimeError("the step")

    with pytest.raises(RuntimeError, match="the step"):
        step()
    with pytest.raises(duckdb.ConnectionException, match="closed"):
        opened[0].execute("select 1")


@pytest.mark.parametrize(("workers", "threads"), [(1, 4), (2, 2), (3, 1), (4, 1), (9, 1)])
def test_workers_share_the_threads(workers: int, threads: int) -> None:
    with DuckDB(threads=4).get_connection(workers) as connection:
        found = connection.execute("select current_setting('threads')").fetchone()
    assert found == (threads,)


def test_settings_of_a_connection_come_from_the_resource(tmp_path: Path) -> None:
    engine = DuckDB(threads=3, memory_limit="512MiB", temp_directory=str(tmp_path / "spill"))
    with engine.get_connection() as connection:
        found = connection.execute(
            "select current_setting('threads'), current_setting('memory_limit'), "
            "current_setting('temp_directory')"
        ).fetchone()
    assert found == (3, "512.0 MiB", str(tmp_path / "spill"))


def test_a_code_version_follows_from_statements_and_constants() -> None:
    version = code_version(["hexes/hex_counts"])
    assert version == code_version(["hexes/hex_counts"])
    others = [
        code_version(["hexes/hex_counts"], (0.1,)),
        code_version(["hexes/hex_counts"], (0.2,)),
        code_version(["hexes/snap_counts"]),
        code_version(["hexes/hex_counts", "hexes/snap_counts"]),
    ]
    assert len({version, *others}) == 5


def test_every_statement_says_at_its_top_what_it_makes() -> None:
    folder = Path(__file__).parents[1] / "sql"
    found = sorted(folder.rglob("*.sql"))
    assert len(found) > 10
    for path in found:
        text = sql(str(path.relative_to(folder).with_suffix("")))
        assert text == path.read_text(encoding="utf-8")
        assert text.startswith("-- "), path


# --- Many writers, a reader, and writers that are killed ----------------------------------------

WRITERS = 8
SHARED, OWN = "2025-01", [f"2024-{n:02d}" for n in range(1, WRITERS + 1)]
SECONDS = 15.0


def cells_of(crimes: int) -> int:
    """How many rows the partition has in which each cell has so many crimes."""
    return 1_000 + crimes % 97


def keep_publishing(root: Path, number: int, go: Event, stop: Event) -> None:
    """Publish whole partitions of three tables, over and over until told to stop.

    Of ``hex_counts`` and ``street_crimes`` the writer's own month and the one that all share, of
    ``snap_counts`` each month once.
    """
    rng = random.Random(number)
    lake = Lake(root)
    new_months = (f"{year}-{1 + number:02d}" for year in itertools.count(1000))
    with connect(1) as connection:
        go.wait()
        while not stop.is_set():
            crimes = rng.randrange(1, 1_000_000)
            counts = make_counts(connection, crimes, cells_of(crimes))
            partition = {"month": rng.choice([SHARED, OWN[number]])}
            lake.publish(connection, counts, "hex_counts", partition)
            force = {**partition, "force": f"force-{number % 2}"}
            lake.publish(connection, made(counts, "street_crimes"), "street_crimes", force)
            new = {"month": next(new_months)}
            lake.publish(connection, made(counts, "snap_counts"), "snap_counts", new)


def made(counts: str, table: str) -> str:
    """The crimes of each cell of ``counts`` as ``crime_id`` or ``crimes``, the rest null."""
    given = {"row": "hex_id as row", "crime_id": "crimes::varchar as crime_id", "crimes": "crimes"}
    names = [column.name for column in TABLES[table].columns]
    columns = ", ".join(given.get(name, f"null as {name}") for name in names)
    return f"(select {columns} from {counts})"


def assert_consistent(
    connection: duckdb.DuckDBPyConnection, tables: tuple[str, ...] = ("hex_counts", "street_crimes")
) -> int:
    """Each partition is one version as a whole; returns how many partitions were seen."""
    seen = 0
    for table in tables:
        crimes = "crime_id" if table == "street_crimes" else "crimes"
        partition = ", ".join(TABLES[table].partitions)
        query = (
            f"select {partition}, count(*), min({crimes}), max({crimes}) from {table} group by all"
        )
        for *key, found, least, most in connection.execute(query).fetchall():
            assert least == most, (table, key)
            assert found == cells_of(int(least)), (table, key)
            seen += 1
    return seen


@pytest.mark.slow
def test_eight_processes_publish_while_readers_scan(tmp_path: Path) -> None:
    """A step reads partitions that are replaced, one analyst a frozen lake, one those that come."""
    lake = Lake(tmp_path / "lake")
    months = [{"month": month} for month in (SHARED, *OWN)]
    forces = [{**month, "force": f"force-{n}"} for month in months for n in (0, 1)]
    go, stop = processes.Event(), processes.Event()
    writers = [
        processes.Process(target=keep_publishing, args=(lake.root, number, go, stop), daemon=True)
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    with connect(1) as first:
        counts = make_counts(first, 1, cells_of(1))
        for month in months:
            lake.publish(first, counts, "hex_counts", month)
        for force in forces:
            lake.publish(first, made(counts, "street_crimes"), "street_crimes", force)
        lake.publish(first, made(counts, "snap_counts"), "snap_counts", {"month": "0999-12"})
    database = tmp_path / "crime.duckdb"
    go.set()
    with duckdb.connect(str(database)) as connection:
        create_view(connection, lake, TABLES["snap_counts"])
        frozen = lake.freeze(tmp_path / "frozen")
        for table in ("hex_counts", "street_crimes"):
            create_view(connection, frozen, TABLES[table])

    scans, came = 0, [1]
    with connect() as reader, duckdb.connect(str(database), read_only=True) as analyst:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and (scans < 30 or came[-1] <= 20):
            assert all(writer.is_alive() for writer in writers)
            lake.view(reader, "hex_counts", months)
            lake.view(reader, "street_crimes", forces)
            for _ in range(3):
                assert assert_consistent(reader) == len(months) + len(forces)
            assert assert_consistent(analyst) == len(months) + len(forces)
            came.append(assert_consistent(analyst, ("snap_counts",)))
            scans += 1
    stop.set()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert scans >= 5
    assert came == sorted(came)
    assert came[-1] > 20
    assert {path.name for path in lake.root.rglob("*") if path.is_file()} == {"data.parquet"}


def write_two_by_turns(path: Path, kind: str, ready: Event) -> None:
    """Publish one of two versions, then the other, until killed."""
    write = versions(path, kind)
    ready.set()
    turn = os.getpid()
    while True:
        write(turn % 2)
        turn += 1


def versions(path: Path, kind: str) -> Callable[[int], object]:
    """What publishes version 0 or 1 of a partition, or of a file as published."""
    if kind == "published file":
        members = []
        for version in (0, 1):
            content = random.Random(version).randbytes(4_000_000)
            deflated = zlib.compress(content, 0, wbits=-zlib.MAX_WBITS)
            members.append(
                Member("2025-01", "kent", "", "", "", True, "", content=content, deflated=deflated)
            )
        return lambda version: write_member(path, members[version])
    connection = connect(1)
    lake = Lake(path.parents[2])
    for version in (0, 1):
        connection.execute(
            f"create temp table version_{version} as "
            "select 'kent' as force, 'Drugs' as crime_type, "
            f"(hash(i, {version}) % 3000000)::integer as hex_id, i::integer as crimes "
            "from range(40000) as cell(i)"
        )
    return lambda version: lake.publish(connection, f"version_{version}", "hex_counts", JANUARY)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["partition", "published file"])
def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, kind: str
) -> None:
    lake = Lake(tmp_path / "lake")
    path = (
        lake.path("hex_counts", JANUARY)
        if kind == "partition"
        else tmp_path / "raw" / "data.csv.gz"
    )
    write = versions(path, kind)
    whole = set()
    for version in (0, 1):
        write(version)
        whole.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(whole) == 2

    rng, found, end = random.Random(3), [], time.monotonic() + 15
    while len(found) < 60 and time.monotonic() < end:
        ready = processes.Event()
        writer = processes.Process(target=write_two_by_turns, args=(path, kind, ready))
        writer.start()
        assert ready.wait(20)
        time.sleep(rng.uniform(0, 0.06))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        found.append(hashlib.sha256(path.read_bytes()).hexdigest())
        assert found[-1] in whole

    assert len(found) >= 20
    assert set(found) == whole  # both versions were met
    left = [p for p in path.parent.iterdir() if p != path]
    assert left, "no writer was killed while it wrote"
    assert all(p.name.startswith(".data.") for p in left)
    if kind == "partition":
        with connect() as connection:
            lake.view(connection, "hex_counts", [JANUARY])
            assert connection.execute("select count(*) from hex_counts").fetchone() == (40_000,)
    else:
        assert len(read_member(path).content) == 4_000_000
