"""The lake: relations in, hive-partitioned Parquet out, one file a partition.

The only module that knows where tables lie. A partition is written elsewhere and put into place at
once (:mod:`crime_assets.storage`), so a reader sees the old partition or the new one, never half.
That is true of one opening: DuckDB opens a file twice, for its footer and for its data, and fails
(or worse) where it was replaced between. So a view reads hard links, made when it is made: names
of the files as they then were, which nobody replaces. Object storage has no links; there DuckDB
sees that a file is another one than it opened, and the step fails and may be run again.

:class:`DuckDB` opens the connections: in memory, one a step, with the extensions from PyPI.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from dagster_duckdb import DuckDBResource

from crime_assets import DataError
from crime_assets.register import CRIME_TYPES, FORCES
from crime_assets.storage import Folder, atomic, extension, open_storage
from crime_assets.tables import TABLES, Table

FOOTERS_AT_A_TIME = 16
"""How many files of a lake in object storage are looked into at a time."""

Partition = Mapping[str, str]
"""The hive columns of one partition, such as ``{"month": "2025-09", "force": "kent"}``."""


class MissingPartition(DataError):
    """A partition that a step needs is not in the lake; the message says how to make it."""


class ContractBroken(DataError):
    """A relation does not have the columns that its table promises."""


@dataclass(frozen=True)
class Published:
    """A partition as it now lies in the lake. ``sha256`` is that of the file's bytes."""

    path: Folder
    rows: int
    bytes: int
    sha256: str


# --- SQL ------------------------------------------------------------------------------------


@cache
def sql_folder() -> Path:
    """``sql/``: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    folder = next((f for f in (here / "sql", here.parent / "sql") if f.is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"no folder sql/ in {here} or {here.parent}")
    return folder


@cache
def sql(statement: str) -> str:
    """The text of ``sql/<statement>.sql``, such as ``hexes/hex_counts``."""
    return (sql_folder() / f"{statement}.sql").read_text(encoding="utf-8")


def code_version(statements: Iterable[str], constants: object = ()) -> str:
    """What a table's code is: a hash of its SQL and of the constants that it uses."""
    text = "\0".join(sql(statement) for statement in statements) + repr(constants)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# --- Connections ----------------------------------------------------------------------------


class DuckDB(DuckDBResource):
    """DuckDB in memory. Unlike the resource it extends, it closes a connection that failed."""

    database: str = ":memory:"
    memory_limit: str = "4GB"
    threads: int = 2
    temp_directory: str = ""

    @contextmanager
    def get_connection(self, workers: int = 1) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with ``spatial``, the macro ``hex_id_at``, and the register as types.

        ``force_slug`` and ``crime_type_name`` are enumerations in alphabetical order: numbers,
        which group and sort faster than words, and in the same order.

        Replacement scans are off: else ``from street_crimes`` would find the Python function of
        that name. Opening one takes a fifth of a second, most of it for ``spatial``: a step opens
        one and hands out cursors. ``workers`` of them at a time share the threads: two that read
        a file each with one thread take two thirds of the time that they take with two.
        """
        config: dict[str, Any] = {
            "memory_limit": self.memory_limit,
            "threads": max(1, self.threads // workers),
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "preserve_insertion_order": True,
            **self.connection_config,
        }
        if self.temp_directory:
            config["temp_directory"] = self.temp_directory
        connection = duckdb.connect(self.database, config=config)
        try:
            connection.load_extension(str(extension("spatial")))
            connection.execute(sql("hexes/hex_id_at"))
            for name, words in (("force_slug", FORCES), ("crime_type_name", CRIME_TYPES)):
                quoted = ", ".join("'" + word.replace("'", "''") + "'" for word in sorted(words))
                connection.execute(f"create type {name} as enum ({quoted})")
            yield connection
        finally:
            connection.close()


def create(
    connection: duckdb.DuckDBPyConnection, statement: str, /, table: str = "", **parameters: object
) -> str:
    """Run ``sql/<statement>.sql`` into the temporary table of its name (or ``table``).

    Returns the table's name. ``parameters`` are the statement's ``$name``.
    """
    name = table or statement.rsplit("/", 1)[-1]
    connection.execute(f"create or replace temp table {name} as\n{sql(statement)}", parameters)
    return name


# --- Partitions -----------------------------------------------------------------------------


class Lake:
    """The tables below ``root``, one Parquet file a partition."""

    def __init__(self, root: Folder) -> None:
        self.root = root

    def path(self, table: str, partition: Partition | None = None) -> Folder:
        """Where a partition lies: ``<table>/month=2025-09/force=kent/data.parquet``."""
        return self.root / self._place(table, partition or {})

    @staticmethod
    def _place(table: str, partition: Partition) -> str:
        """That, below the root."""
        expected = TABLES[table].partitions
        if set(partition) != set(expected):
            raise ValueError(
                f"{table} is partitioned by {list(expected)}, not by {list(partition)}"
            )
        folders = [f"{column}={partition[column]}" for column in expected]
        return "/".join([table, *folders, "data.parquet"])

    def has(self, table: str, partition: Partition | None = None) -> bool:
        """Whether the partition is in the lake."""
        return self.path(table, partition).exists()

    def glob(self, table: str) -> str | None:
        """A pattern of all partitions of ``table``, for analysts; ``None`` where there is none.

        The pipeline itself never reads one: it would find what no step was told of.
        """
        root = re.sub(r"([*?\[])", r"[\1]", str(self.root))
        return f"{root}/{_pattern(table)}" if next(self._files(table), None) else None

    def require(self, table: str, partition: Partition | None = None) -> Folder:
        """The path of a partition; raises :class:`MissingPartition` where there is none."""
        path = self.path(table, partition)
        if not path.exists():
            raise self._missing(table, partition)
        return path

    @staticmethod
    def _missing(table: str, partition: Partition | None) -> MissingPartition:
        place = dict(partition or {})
        model = place.pop("model", "")
        place.pop("unit", "")
        select = f"'key:\"{table}/{model}\"'" if model else table
        key = "|".join(place[c] for c in sorted(place))
        return MissingPartition(
            f"{' '.join([table, model, key]).replace('  ', ' ').strip()} is not in the lake: "
            "materialise it first, with "
            f"`dagster asset materialize -m crime_assets.definitions --select {select}"
            + (f" --partition '{key}'`" if key else "`")
        )

    def pin(self, table: str, partition: Partition | None, folder: Folder) -> Folder | None:
        """A name below ``folder`` of the partition's file as it is now, ``None`` if there is none.

        Replacing the partition does not change what the name leads to. ``folder`` must be on the
        lake's file system; where that knows no hard links, or may not be written to, and in object
        storage, it is the partition's own path.
        """
        path = self.path(table, partition)
        if not (isinstance(path, Path) and isinstance(folder, Path)):
            return path if path.exists() else None
        name = folder / path.relative_to(str(self.root))
        while path.exists():
            try:
                name.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, name)
            except FileNotFoundError:
                continue  # it was replaced at this very moment: the file that it was is gone
            except OSError:
                return path
            return name
        return None

    def freeze(self, folder: Path) -> Lake:
        """A lake in ``folder`` that holds every partition as it is now, and stays so.

        For readers by pattern, who would meet partitions while they are replaced. Of hard links:
        it takes no space until partitions are replaced. ``folder`` must be on the lake's file
        system; one that knows no hard links gets copies. In object storage nothing can be held, and
        it is this lake itself.
        """
        if not isinstance(self.root, Path):
            return self
        for table in TABLES:
            for path in self.root.glob(_pattern(table)):
                name = folder / path.relative_to(self.root)
                name.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(path, name)
                except OSError:
                    shutil.copyfile(path, name)
        return Lake(folder)

    def files(self) -> Iterator[tuple[str, int, int]]:
        """Each partition's file: its place below the root, its bytes, when it was written (ns)."""
        for table in TABLES:
            yield from self._files(table)

    def _files(self, table: str) -> Iterator[tuple[str, int, int]]:
        """Those of one table."""
        if isinstance(self.root, Path):
            for path in self.root.glob(_pattern(table)):
                found = path.stat()
                yield str(path.relative_to(self.root)), found.st_size, found.st_mtime_ns
        else:  # one listing of all: to go through the folders would ask for each
            root = self.root.path
            for place, told in self.root.fs.find(f"{root}/{table}", detail=True).items():
                if fnmatchcase(place, f"{root}/{_pattern(table)}"):
                    written = told["LastModified"].timestamp()
                    yield place.removeprefix(f"{root}/"), told["size"], round(written * 1e9)

    def _folder_of_links(self, connection: duckdb.DuckDBPyConnection) -> Folder:
        """A folder beside the lake that is gone when the connection is."""
        if not isinstance(self.root, Path):
            return self.root
        parent = self.root.with_name(f".{self.root.name}-in-use")
        folder = parent / uuid.uuid4().hex
        if parent.exists():  # what readers that were killed have left: no view lives for a week
            for left in parent.iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > 7 * 24 * 3600:
                        shutil.rmtree(left, ignore_errors=True)
        weakref.finalize(connection, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def provenance(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        partition: Partition | None = None,
    ) -> dict[str, Any]:
        """What :meth:`publish` was told of the partition's origin."""
        open_storage(connection, self.root)
        found = connection.execute(
            "select decode(value) from parquet_kv_metadata($path) where decode(key) = 'provenance'",
            {"path": str(self.require(table, partition))},
        ).fetchone()
        return json.loads(found[0]) if found else {}

    def partitions(self, table: str) -> list[dict[str, str]]:
        """All partitions of ``table`` that are there, from one listing.

        For taking stock. A step reads those that it was told of.
        """
        places = (Path(place).parts[1:-1] for place, *_ in self._files(table))
        return [dict(folder.split("=", 1) for folder in folders) for folders in places]

    def provenances(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        partitions: Iterable[Partition],
    ) -> list[tuple[Partition, dict[str, Any]]]:
        """:meth:`provenance` of ``partitions``, all of which are there, read together."""
        open_storage(connection, self.root)
        places = {str(self.path(table, p)): p for p in partitions}
        if not places:
            return []
        # DuckDB reads one footer after the other: far away, many are asked for at a time
        readers = 1 if isinstance(self.root, Path) else min(FOOTERS_AT_A_TIME, len(places))

        def read(paths: list[str]) -> list[tuple[str, str]]:
            with connection.cursor() as cursor:
                return cursor.execute(
                    "select file_name, decode(value) from parquet_kv_metadata($paths) "
                    "where decode(key) = 'provenance'",
                    {"paths": paths},
                ).fetchall()

        with ThreadPoolExecutor(readers) as pool:
            found = pool.map(read, (list(places)[first::readers] for first in range(readers)))
        return [(places[path], json.loads(told)) for part in found for path, told in part]

    def sha256(self, table: str, partition: Partition | None = None) -> str:
        """The SHA-256 of a partition's file, which is its data version."""
        return file_sha256(self.require(table, partition))[0]

    def view(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        partitions: Iterable[Partition] = ({},),
        *,
        skip_missing: bool = False,
    ) -> int:
        """Let ``table`` be a view of exactly these partitions; returns how many there are.

        The view shows them as they are now, for as long as the connection lives, whatever is
        published meanwhile. With ``skip_missing`` a partition that is not there is left out, else
        it raises :class:`MissingPartition`. Where none is there, the view is empty but typed.
        """
        contract = TABLES[table]
        open_storage(connection, self.root)
        folder = self._folder_of_links(connection)
        partitions = list(partitions)
        if len(partitions) > 1 and not isinstance(self.root, Path):
            there: set[str] | None = {place for place, *_ in self._files(table)}  # asked once
        else:
            there = None
        paths = []
        for partition in partitions:
            if there is None:
                path = self.pin(table, partition, folder)
            else:
                place = self._place(table, partition)
                path = self.root / place if place in there else None
            if path is not None:
                paths.append(path)
            elif not skip_missing:
                raise self._missing(table, partition)
        hive = ", ".join(f"{column}::varchar as {column}" for column in contract.partitions)
        columns = ", ".join(filter(None, (contract.select_list(), hive)))
        if paths:
            files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
            source = f"read_parquet([{files}], hive_partitioning=true, hive_types_autocast=false)"
        else:
            nulls = [c.name for c in contract.columns] + list(contract.partitions)
            source = "(select " + ", ".join(f'null as "{n}"' for n in nulls) + ") where false"
        self._check_columns(connection, paths, contract)
        connection.execute(f"create or replace temp view {table} as select {columns} from {source}")
        return len(paths)

    @staticmethod
    def _check_columns(
        connection: duckdb.DuckDBPyConnection, paths: list[Folder], contract: Table
    ) -> None:
        """Raise :class:`MissingPartition` where a file lacks a column; DuckDB sees the first."""
        if not paths:
            return
        names = [column.name for column in contract.columns]
        older = connection.execute(
            "select file_name from parquet_schema($paths) where list_contains($names, name) "
            "group by file_name having count(distinct name) < len($names) order by file_name",
            {"paths": [str(path) for path in paths], "names": names},
        ).fetchall()
        if older:
            place = " ".join(part for part in Path(older[0][0]).parent.parts if "=" in part)
            raise MissingPartition(
                f"{len(older)} of {len(paths)} partitions of {contract.name} (the first {place}) "
                "lack a column that it has now, so they were made by an older version: "
                f"materialise {contract.name} again"
            )

    def publish(
        self,
        connection: duckdb.DuckDBPyConnection,
        relation: str,
        table: str,
        partition: Partition | None = None,
        provenance: Mapping[str, object] | None = None,
    ) -> Published:
        """Write the relation as the partition, in the relation's own order, in one move.

        The same relation gives the same bytes. Raises :class:`ContractBroken` where its columns
        are not those of the table, and :class:`~crime_assets.storage.DiskFull` where there is no
        room for it; the old partition then stays.
        """
        contract = TABLES[table]
        self._check_contract(connection, relation, contract)
        path = self.path(table, partition)
        metadata = json.dumps(dict(provenance or {}), sort_keys=True).replace("'", "''")
        with atomic(path) as temporary:
            quoted = str(temporary).replace("'", "''")
            written = connection.execute(
                # level 1: no larger than level 3, in two thirds of its time
                f"copy (select {contract.select_list()} from {relation}) to '{quoted}' "
                "(format parquet, compression zstd, compression_level 1, "
                f"kv_metadata {{provenance: '{metadata}'}})"
            ).fetchone()
            content_hash, size = file_sha256(temporary)
        return Published(path, written[0] if written else 0, size, content_hash)

    @staticmethod
    def _check_contract(
        connection: duckdb.DuckDBPyConnection, relation: str, contract: Table
    ) -> None:
        found = [d[0] for d in connection.execute(f"select * from {relation} limit 0").description]
        expected = [c.name for c in contract.columns]
        lacks, adds = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        if lacks or adds:
            raise ContractBroken(
                f"{contract.name} promises the columns {expected}; this relation lacks {lacks} "
                f"and adds {adds}"
            )


def _pattern(table: str) -> str:
    """The pattern of all partitions of a table, below the lake's root."""
    folders = [f"{column}=*" for column in TABLES[table].partitions]
    return "/".join([table, *folders, "data.parquet"])


def file_sha256(path: Folder) -> tuple[str, int]:
    """The SHA-256 and the size in bytes of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
        return digest.hexdigest(), file.tell()
