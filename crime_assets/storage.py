"""Files, on a disk or in S3-compatible storage: written whole or not at all, or with a clear error.

A folder of a deployment is a :class:`pathlib.Path`, or a ``upath.UPath`` such as
``s3://bucket/folder``; both have the same methods. What differs stands here and in ``lake.py``.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import duckdb
from upath import UPath

Folder = Path | UPath
"""A folder or a file: on this machine, or in object storage."""


class DiskFull(OSError):
    """There is no room for what was to be written. With room, the same is made again."""


class PartitionReplaced(Exception):
    """A file in object storage was replaced while it was read; the same run reads the new one."""


class NoStorage(ValueError):
    """An address is none that can be written to from here; the message says why."""


# --- Where --------------------------------------------------------------------------------------


def object_folder(address: str) -> UPath:
    """The folder ``s3://bucket/folder``, as the credentials of this machine reach it.

    They, the region and the endpoint are what botocore finds: the variables ``AWS_*``, a profile,
    the role of the machine. Raises :class:`NoStorage` for another kind of address, and where there
    are no credentials or the extra ``s3`` is not installed.
    """
    scheme, _, rest = address.partition("://")
    if scheme != "s3" or not rest.strip("/"):
        raise NoStorage("it must be a local folder, or s3://bucket/folder")
    if odd := sorted(set(rest) & set("*?[]#%+\\")):
        raise NoStorage(f"an address with {' '.join(odd)} would be taken for a pattern")
    if not (find_spec("s3fs") and find_spec("duckdb_extension_httpfs")):
        raise NoStorage("for object storage, install the extra s3: crime-assets[s3]")
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

    try:
        credentials = _credentials()
    except BotoCoreError as error:  # such as a profile that is not there
        raise NoStorage(str(error)) from error
    if credentials is None:
        raise NoStorage(
            "there are no credentials for it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE"
        )
    # listings that s3fs keeps would hide what other processes have written since
    return UPath(
        address.rstrip("/"),
        use_listings_cache=False,
        client_kwargs={"region_name": _session()[1].meta.region_name},
    )


def work_folder(folder: Folder) -> Path:
    """Where programs work that need real files: the folder itself, or one on this machine for it.

    For object storage it is ``crime_assets-<user id>/bucket/folder`` in the folder for temporary
    files (``TMPDIR``). Raises :class:`NoStorage` where that belongs to somebody else.
    """
    if isinstance(folder, Path):
        return folder
    return own_folder() / folder.path


def own_folder() -> Path:
    """This user's folder below that for temporary files, ``crime_assets-<user id>``.

    Raises :class:`NoStorage` where it belongs to somebody else.
    """
    own = Path(tempfile.gettempdir(), f"crime_assets-{os.getuid()}")
    own.mkdir(mode=0o700, exist_ok=True)
    if own.is_symlink() or own.stat().st_uid != os.getuid():
        raise NoStorage(f"{own} belongs to somebody else: set TMPDIR to a folder of yours")
    return own


def on_disk(path: Folder) -> Path:
    """A real file with what ``path`` holds: itself, or a copy in the :func:`work_folder`."""
    if isinstance(path, Path):
        return path
    there = work_folder(path.parent) / path.name
    with atomic(there) as temporary:
        path.fs.get_file(path.path, str(temporary))
    return there


# --- Reading object storage with DuckDB ---------------------------------------------------------

_opening = Lock()


@cache
def _session() -> tuple[Any, Any]:
    """A session of botocore, which renews credentials that expire, and a client of S3."""
    import botocore.session  # type: ignore[import-untyped]

    # botocore itself does not know AWS_REGION, which most other clients read
    region = ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], "us-east-1", None)
    session = botocore.session.Session(session_vars={"region": region})
    return session, session.create_client("s3")


def _credentials() -> Any:
    """Key, secret and token as they are now; ``None`` where there are none."""
    found = _session()[0].get_credentials()
    return found and found.get_frozen_credentials()


@cache
def extension(name: str) -> Path:
    """The DuckDB extension ``name`` that its PyPI package ships for this DuckDB."""
    module = __import__(f"duckdb_extension_{name}")
    found = sorted(Path(module.__path__[0]).glob(f"extensions/*/{name}.duckdb_extension"))
    if not found:
        raise FileNotFoundError(f"the package duckdb-extension-{name} holds no extension")
    return found[-1]


def open_storage(connection: duckdb.DuckDBPyConnection, folder: Folder) -> None:
    """Let a connection read what lies in ``folder``, with the credentials of now."""
    if isinstance(folder, Path):
        return
    credentials, meta = _credentials(), _session()[1].meta
    endpoint = urlsplit(meta.endpoint_url)
    options = {
        "provider": "config",
        "scope": f"s3://{folder.path.split('/', 1)[0]}",
        "key_id": credentials.access_key,
        "secret": credentials.secret_key,
        "session_token": credentials.token or "",
        "region": meta.region_name,
        "endpoint": endpoint.netloc + endpoint.path.rstrip("/"),
        "url_style": "path",
        "use_ssl": str(endpoint.scheme == "https").lower(),
    }
    secret = ", ".join(
        f"{name} '{value.replace(chr(39), 2 * chr(39))}'" for name, value in options.items()
    )
    with _opening:  # connections to one database may come at once
        connection.load_extension(str(extension("httpfs")))
        connection.execute(f"create or replace temporary secret crime_data (type s3, {secret})")


# --- Writing ------------------------------------------------------------------------------------


@contextmanager
def atomic(path: Folder) -> Iterator[Path]:
    """A path to write a file to, on this machine; it becomes ``path`` at the end, not on an error.

    Whoever reads ``path`` meanwhile, or after the writer was killed, reads what was there before.
    On a disk the file is written beside ``path`` under a hidden name and moved, in object storage
    it is one upload. Raises :class:`DiskFull` where there is no room.
    """
    with room_for(path):
        if isinstance(path, Path):
            yield from _moved_into(path)
        else:
            with tempfile.TemporaryDirectory(prefix="crime_assets-") as folder:
                temporary = Path(folder, path.name)  # whose ending says what is in it
                yield temporary
                path.fs.put_file(str(temporary), path.path)


def _moved_into(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):  # by writers that were killed
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > 24 * 3600:
                left.unlink()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def upload(folder: Path, there: UPath) -> None:
    """Put all files of ``folder`` below ``there``: each at once, one after the other."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [(there / path.relative_to(folder).as_posix()).path for path in files]
    there.fs.put([str(path) for path in files], names)


def remove(folder: Folder) -> None:
    """Remove a folder with all that is in it, as far as that can be done."""
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        with suppress(OSError):
            folder.fs.rm(folder.path, recursive=True)


# --- Errors -------------------------------------------------------------------------------------

_FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT))


@contextmanager
def room_for(path: Folder) -> Iterator[None]:
    """Raise :class:`DiskFull`, which says where and what to do, where ``path`` finds no room."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        is_full = (
            error.errno in (errno.ENOSPC, errno.EDQUOT)
            if isinstance(error, OSError)
            else any(words in str(error) for words in _FULL)
        )
        if not is_full:
            raise
        folder = path.parent if isinstance(path, Path) else Path(tempfile.gettempdir())
        raise DiskFull(
            f"no room to write {path}: {_free(folder)} are free in {folder}, and it needs more. "
            "What was there before stays, and nothing half written is left. Make room, then run "
            f"it again ({error})"
        ) from error


def explained(error: Exception, spill_folder: str) -> Exception:
    """What DuckDB says of storage, in words that say what to do; any other error as it is.

    ``spill_folder`` is where the connection puts what its memory does not hold.
    """
    text = str(error)
    if isinstance(error, duckdb.Error) and "failed to offload data block" in text:
        clear: Exception = DiskFull(
            f"no room for what does not fit into memory: {_free(Path(spill_folder))} are free in "
            f"{spill_folder}. Nothing was written. Make room, or let CRIME_MEMORY_LIMIT be more or "
            f"CRIME_THREADS less; then run it again ({text.splitlines()[0]})"
        )
    elif isinstance(error, duckdb.Error) and (
        found := re.search(r'ETag on reading file "([^"]*)"', text)
    ):
        clear = PartitionReplaced(f"{found[1]} was replaced while it was read: run it again")
    elif isinstance(error, UnicodeDecodeError) and _session.cache_info().currsize:
        # the same error: DuckDB cannot hand it over, as the file's bytes that it holds are no text
        clear = PartitionReplaced(
            "a file in object storage was replaced while it was read: run it again"
        )
    else:
        return error
    clear.__cause__ = error
    return clear


def _free(folder: Path) -> str:
    while not folder.exists():
        folder = folder.parent
    return f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB"
