"""A data folder in S3-compatible storage: moto's server is the double of it."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import dagster as dg
import duckdb
import pytest
import s3fs
from moto.server import ThreadedMotoServer
from upath import UPath

from crime_assets import DataError, storage
from crime_assets.classification import files
from crime_assets.definitions import build_definitions
from crime_assets.demo import sample_environment
from crime_assets.gldnet.assets import _train
from crime_assets.lake import DuckDB, Lake, MissingPartition
from crime_assets.maps import site
from crime_assets.settings import SettingError, Settings
from crime_assets.storage import PartitionReplaced, atomic, explained, on_disk, open_storage
from crime_assets_tests.conftest import Demo, run_job

pytestmark = pytest.mark.slow

BUCKET = "crime"
LAST = "2025-12"
JANUARY = {"month": "2025-01"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an empty bucket's server, which the variables of the process name."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "it's secret")
        patch.setenv("AWS_REGION", "eu-west-2")
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        forget()
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield address
    forget()
    server.stop()


def forget() -> None:
    """Let the variables be read anew."""
    storage._session.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def folder(endpoint: str, request: pytest.FixtureRequest) -> UPath:
    """A folder of the bucket for one test."""
    data_dir = Settings.from_environment(
        {"CRIME_DATA_DIR": f"s3://{BUCKET}/{request.node.name}"}
    ).data_dir
    assert isinstance(data_dir, UPath)
    return data_dir


@dataclass(frozen=True)
class Both:
    """The same runs on a folder of this machine, and on one in object storage."""

    local: Settings
    there: Settings


@pytest.fixture(scope="module")
def both(endpoint: str, demo: Demo) -> Both:
    """The sample's last month through the jobs, on the demo's tables of the months before."""
    there = Settings.from_environment(
        sample_environment(demo.folder) | {"CRIME_DATA_DIR": f"s3://{BUCKET}/whole/lake of ours"}
    )
    assert isinstance(there.data_dir, UPath)
    before = [
        path.relative_to(demo.folder)
        for path in demo.folder.glob("lake/*/month=*/data.parquet")
        if path.parent.name != f"month={LAST}"
    ]
    there.data_dir.fs.put(
        [str(demo.folder / path) for path in before],
        [(there.data_dir / path.as_posix()).path for path in before],
    )
    corner = [f"{force}|{LAST}" for force in (there.forces[0], there.forces[-1])]
    for job, *partitions in (
        ("study_area",),
        ("ingest", *corner),
        ("rank_hotspots", LAST),
        ("draw_map", LAST),
        ("build_warehouse",),
    ):
        assert run_job(there, job, *partitions).success
    return Both(demo.settings, there)


def checksums(folder: Path | UPath) -> dict[str, str]:
    """The SHA-256 of each file below a folder, hidden ones too."""
    if isinstance(folder, Path):
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }
    return {
        place.removeprefix(f"{folder.path}/"): hashlib.sha256(folder.fs.cat(place)).hexdigest()
        for place in folder.fs.find(folder.path)
    }


def counts(connection: duckdb.DuckDBPyConnection, crimes: int, rows: int = 3) -> str:
    """A relation for `hex_counts`."""
    connection.execute(
        "create or replace temp table counts as select 'kent' as force, 'Drugs' as crime_type, "
        f"i::integer as hex_id, ({crimes} + hash(i) % 1000)::integer as crimes "
        f"from range(1, {rows + 1}) as cell(i) order by i"
    )
    return "counts"


@pytest.mark.parametrize("part", ["raw", "lake", "maps"])
def test_the_same_bytes_lie_in_object_storage_and_on_a_disk(both: Both, part: str) -> None:
    force_months = re.compile(r"month=[^/]*/force=")
    expected = {
        path: content
        for path, content in checksums(both.local.data_dir / part).items()
        if f"month={LAST}" in path or not force_months.search(path)
    }
    assert len(expected) >= len(both.there.forces)
    assert checksums(both.there.data_dir / part) == expected


def test_nothing_else_lies_there(both: Both) -> None:
    found = {place.split("/")[0] for place in checksums(both.there.data_dir)}
    assert found == {"raw", "lake", "maps", "crime.duckdb"}


def test_the_lake_lists_what_lies_there(both: Both) -> None:
    local, there = (Lake(settings.data_dir / "lake") for settings in (both.local, both.there))
    sizes = {place: size for place, size, _ in local.files()}
    found = {place: size for place, size, _ in there.files()}
    assert found.items() <= sizes.items()
    assert f"street_crimes/month={LAST}/force={both.there.forces[0]}/data.parquet" in found
    assert "hex_cells/data.parquet" in found
    assert there.glob("hotspots") == f"{there.root}/hotspots/month=*/data.parquet"
    assert there.glob("forecasts") is None
    assert there.has("hotspots", {"month": LAST})
    assert not there.has("hotspots", {"month": "2020-01"})
    assert there.sha256("hex_cells") == local.sha256("hex_cells")


def test_the_origin_of_a_partition_can_be_read(both: Both) -> None:
    place = {"month": LAST, "force": both.there.forces[0]}
    with duckdb.connect() as connection:
        local, there = (
            Lake(settings.data_dir / "lake").provenance(connection, "street_crimes", place)
            for settings in (both.local, both.there)
        )
    assert there == local
    assert there["force"] == both.there.forces[0]


def test_the_analysts_database_shows_the_lake_to_whoever_has_the_credentials(
    both: Both, tmp_path: Path
) -> None:
    (tmp_path / "crime.duckdb").write_bytes((both.there.data_dir / "crime.duckdb").read_bytes())
    query = "select count(*), sum(crimes) from hotspots where month >= '2025-01'"
    with duckdb.connect(str(both.local.data_dir / "crime.duckdb"), read_only=True) as connection:
        expected = connection.execute(query).fetchall()
    with duckdb.connect(str(tmp_path / "crime.duckdb"), read_only=True) as connection:
        open_storage(connection, both.there.data_dir)
        assert connection.execute(query).fetchall() == expected
    with duckdb.connect() as connection:  # or without a copy
        open_storage(connection, both.there.data_dir)
        connection.execute(f"attach '{both.there.data_dir}/crime.duckdb' as crime (read_only)")
        connection.execute("use crime")
        assert connection.execute(query).fetchall() == expected


def test_a_map_that_is_drawn_again_keeps_the_data_of_the_one_before_and_no_older(
    folder: UPath,
) -> None:
    described = {"title": "A map"}
    for crimes in (1, 2, 3, 3):
        made = site.Files(folder / "maps" / LAST)
        made.add("rankings/nation", {"crimes": crimes})
        site.publish(made, described | {"crimes": crimes})
        assert not made.folder.exists()
    index = json.loads((folder / "maps" / LAST / "map.json").read_text())
    data = folder / "maps" / LAST / index["data"]
    assert site.unpack(data / "rankings" / "nation.json.gz") == {"crimes": 3}
    assert len(list((folder / "maps" / LAST).glob("data-*"))) == 2
    assert f'href="{LAST}/"' in (folder / "maps" / "index.html").read_text() or not site.is_built()


def test_pages_of_the_map_have_the_type_that_a_browser_needs(both: Both) -> None:
    if not site.is_built():
        pytest.skip("the page's program is not built")
    kinds = {
        path.suffix: path.fs.info(path.path)["ContentType"]
        for path in (both.there.data_dir / "maps" / LAST).glob("*.*")
    }
    assert kinds[".html"] == "text/html"
    assert kinds[".json"] == "application/json"


# --- Errors ---------------------------------------------------------------------------------------


@contextmanager
def cut_off_after(endpoint: str, share: float) -> Iterator[str]:
    """A way to the server that ends each upload when it has passed on a ``share`` of it."""
    server = urlsplit(endpoint)

    class Handler(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += self.rfile.readline()
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index]
            with socket.create_connection((server.hostname, server.port), timeout=10) as onward:
                onward.sendall(re.sub(rb"(?i)expect: [^\r]*\r\n", b"", head))
                onward.sendall(self.rfile.read(int(length * share)))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as way:
        way.daemon_threads = True
        threading.Thread(target=way.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{way.server_address[1]}"
        way.shutdown()


def test_an_upload_that_is_cut_off_leaves_the_old_file(folder: UPath, endpoint: str) -> None:
    path = folder / "data.parquet"
    with atomic(path) as temporary:
        temporary.write_bytes(b"old")
    with cut_off_after(endpoint, share=0.5) as way:
        cut = UPath(
            str(path),
            endpoint_url=way,
            use_listings_cache=False,
            config_kwargs={"retries": {"max_attempts": 0}, "connect_timeout": 5},
        )
        cut.fs.retries = 1
        with pytest.raises(Exception, match=r"(?i)connection|disconnect"), atomic(cut) as temporary:
            temporary.write_bytes(b"new" * 100_000)
    assert path.read_bytes() == b"old"
    assert checksums(folder).keys() == {"data.parquet"}


def test_a_writer_that_fails_puts_nothing(folder: UPath) -> None:
    with pytest.raises(ZeroDivisionError), atomic(folder / "data.parquet") as temporary:
        temporary.write_bytes(b"half" * (1 // 0))
    assert checksums(folder) == {}
    assert not temporary.parent.exists()


def test_a_view_of_many_partitions_asks_for_one_listing(
    folder: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(folder / "lake of ours")
    months = [{"month": month} for month in ("2025-01", "2025-02", "2025-03")]
    with DuckDB().get_connection() as connection:
        for month in months[:2]:
            lake.publish(connection, counts(connection, 1), "hex_counts", month)
        monkeypatch.delattr(UPath, "exists")
        found = lake.view(connection, "hex_counts", months, skip_missing=True)
        rows = connection.execute("select count(*) from hex_counts").fetchone()
        with pytest.raises(MissingPartition, match="2025-03"):
            lake.view(connection, "hex_counts", months)
    assert (found, rows) == (2, (6,))


def test_a_step_whose_partition_is_replaced_while_it_reads_may_be_run_again(
    folder: UPath,
) -> None:
    lake = Lake(folder / "lake")
    with DuckDB().get_connection() as connection:
        lake.publish(connection, counts(connection, 1, 500_000), "hex_counts", JANUARY)
        lake.view(connection, "hex_counts", [JANUARY])
        reader = connection.cursor()
        lake.view(reader, "hex_counts", [JANUARY])
        reader.execute("set streaming_buffer_size = '1KB'")
        reading = reader.execute("select hex_id, crimes from hex_counts").to_arrow_reader(1000)
        reading.read_next_batch()
        lake.publish(connection, counts(connection, 2, 400_000), "hex_counts", JANUARY)
        with pytest.raises(Exception, match="ETag") as caught:
            reading.read_all()
        found = lake.view(connection, "hex_counts", [JANUARY])
        rows = connection.execute("select count(*) from hex_counts").fetchone()
    assert (found, rows) == (1, (400_000,))
    error = explained(duckdb.HTTPException(str(caught.value)), "")
    assert isinstance(error, PartitionReplaced)
    assert not isinstance(error, DataError)  # those are not tried again
    assert str(error) == (
        f"{lake.path('hex_counts', JANUARY)} was replaced while it was read: run it again"
    )


def test_whoever_reads_while_partitions_are_replaced_reads_the_old_or_the_new(
    folder: UPath,
) -> None:
    lake = Lake(folder / "lake")
    stop = threading.Event()

    def replace() -> None:
        with DuckDB().get_connection() as connection:
            for crimes in range(2, 500):
                lake.publish(connection, counts(connection, 1000 * crimes), "hex_counts", JANUARY)
                if stop.is_set():
                    return

    def total(connection: duckdb.DuckDBPyConnection) -> int:
        lake.view(connection, "hex_counts", [JANUARY])
        (found,) = connection.execute("select sum(crimes // 1000) from hex_counts").fetchone() or (
            0,
        )
        return int(found)

    with DuckDB().get_connection() as connection:
        lake.publish(connection, counts(connection, 1000), "hex_counts", JANUARY)
        writer = threading.Thread(target=replace)
        writer.start()
        found: set[int] = set()
        errors: list[Exception] = []
        try:
            for _ in range(30):
                try:
                    found.add(total(connection))
                except (duckdb.Error, UnicodeDecodeError) as error:
                    errors.append(explained(error, ""))
        finally:
            stop.set()
            writer.join(60)
    assert all(of % 3 == 0 for of in found)  # three cells of the same writing
    assert all(isinstance(error, PartitionReplaced) for error in errors)
    assert len(found) > 3


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gs://bucket/lake", "'gs://bucket/lake'; it must be a local folder, or s3://bucket/"),
        ("s3://", "it must be a local folder, or s3://bucket/folder"),
        ("s3://bucket/a=b", "a folder with an equals sign"),
        ("s3://bucket/a*", r"an address with \* would be taken for a pattern"),
    ],
)
def test_an_address_that_cannot_be_the_data_folder_is_refused(
    endpoint: str, address: str, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        Settings.from_environment({"CRIME_DATA_DIR": address})


def test_without_credentials_the_setting_says_what_to_set(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    forget()
    try:
        with pytest.raises(SettingError, match="no credentials for it: set AWS_ACCESS_KEY_ID and"):
            Settings.from_environment({"CRIME_DATA_DIR": f"s3://{BUCKET}/lake"})
    finally:
        monkeypatch.undo()
        forget()


def test_without_the_extra_the_setting_says_which(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"install the extra s3: crime-assets\[s3\]"):
        Settings.from_environment({"CRIME_DATA_DIR": f"s3://{BUCKET}/lake"})


def test_a_bucket_that_is_not_there_is_an_error_and_is_not_made(endpoint: str) -> None:
    settings = Settings.from_environment({"CRIME_DATA_DIR": "s3://no-such-bucket/lake"})
    with (
        pytest.raises(FileNotFoundError, match="bucket does not exist"),
        atomic(settings.data_dir / "file") as temporary,
    ):
        temporary.write_bytes(b"")
    assert [b["Name"] for b in boto3.client("s3").list_buckets()["Buckets"]] == [BUCKET]


# --- What needs real files ------------------------------------------------------------------------


def test_programs_that_need_real_files_work_in_a_folder_of_this_machine(
    folder: UPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.tempfile, "tempdir", str(tmp_path))
    settings = Settings.from_environment({"CRIME_DATA_DIR": str(folder)})
    assert settings.work_dir.is_relative_to(tmp_path)
    assert settings.work_dir.parts[-2:] == (BUCKET, folder.name)
    engine = build_definitions(settings).resources["engine"]
    assert engine.temp_directory == str(settings.work_dir / "tmp")
    (own,) = tmp_path.iterdir()
    assert own.stat().st_mode & 0o77 == 0  # nobody else's models and checkpoints are read
    with atomic(folder / "gldnet" / "model.keras") as temporary:
        temporary.write_bytes(b"weights")
    model = on_disk(folder / "gldnet" / "model.keras")
    assert model == settings.work_dir / "gldnet" / "model.keras"
    assert model.read_bytes() == b"weights"


def test_a_ray_cluster_is_refused_in_words(folder: UPath) -> None:
    settings = Settings.from_environment({"CRIME_DATA_DIR": str(folder), "CRIME_TRAINER": "ray"})
    trainer = build_definitions(settings).resources["trainer"]
    with pytest.raises(DataError, match="a folder that all its machines see"):
        _train(dg.build_asset_context(), trainer, settings, None, [], seed=1)  # type: ignore[arg-type]


def test_what_lies_beside_the_tables_is_uploaded(folder: UPath) -> None:
    place = files.folder(folder, LAST, "random_forest")
    written = files.write_models([], place, "random_forest", {"cut-off": LAST})
    assert [str(path) for path in written] == [
        f"{folder}/classifiers/{LAST}/random_forest/model_card.{kind}" for kind in ("html", "md")
    ]
    assert "# Model card: Random forest" in (place / "model_card.md").read_text(encoding="utf-8")
