"""A published file of street crimes, as it is kept and as it is read.

The file is kept as published in a gzip file whose extra field (RFC 1952, subfield ``CA``) holds
where it came from: one file, moved into place at once, and still one for ``zcat`` and DuckDB.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass

import duckdb

from crime_assets.lake import create
from crime_assets.register import CRIME_TYPES
from crime_assets.sources.police_uk import Member, SourceError
from crime_assets.storage import Folder, atomic

_GZIP_HEAD = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff"
"""Deflate, with an extra field, no time of writing (the same bytes each time), no system named."""

_ORIGIN = ("month", "force", "release", "newest_release", "published", "sha256")
"""Not the address: from a mirror, or from another folder, the same member gives the same bytes."""


@dataclass(frozen=True)
class ReadCounts:
    """What became of the lines of one published file."""

    published: int
    kept: int
    rejected: int
    located: int
    outside_grid: int
    type_out_of_its_months: int


def write_member(path: Folder, member: Member) -> int:
    """Keep a member as ``path``, compressed; returns the bytes written.

    The same member of the same kind of archive gives the same bytes: what a zip held deflated is
    kept as it was. Raises
    :class:`SourceError`, and keeps what was there, where the file does not read back.
    """
    origin = json.dumps({name: getattr(member, name) for name in _ORIGIN}, sort_keys=True).encode()
    extra = b"CA" + struct.pack("<H", len(origin)) + origin
    packed = b"".join(
        [
            _GZIP_HEAD,
            struct.pack("<H", len(extra)),
            extra,
            member.deflated or zlib.compress(member.content, 1, wbits=-zlib.MAX_WBITS),
            struct.pack("<II", zlib.crc32(member.content), len(member.content)),
        ]
    )
    with atomic(path) as temporary:
        temporary.write_bytes(packed)
        if temporary.read_bytes() != packed:
            raise SourceError(f"{path} does not read back as {member.name}")
    return len(packed)


def read_member(path: Folder) -> Member:
    """The member that :func:`write_member` kept.

    Raises :class:`SourceError` where the file is not what was written.
    """
    packed = path.read_bytes()
    start = len(_GZIP_HEAD) + 2 + 4
    try:
        (length,) = struct.unpack_from("<H", packed, start - 2)
        origin = json.loads(packed[start : start + length])
        content = zlib.decompress(packed, zlib.MAX_WBITS | 16, bufsize=8 * len(packed) + 1)
        return Member(**origin, url=str(path), content=content)
    except (struct.error, zlib.error, ValueError, TypeError) as error:
        raise SourceError(
            f"{path} is damaged ({error}): materialise street_crimes_csv of it again"
        ) from error


def read_crimes(connection: duckdb.DuckDBPyConnection, content: bytes, month: str) -> ReadCounts:
    """Read a published file into the temporary tables ``street_crimes`` and ``rejected_crimes``.

    ``content`` is the file's bytes (checked as a whole before; empty where nothing was
    published), ``month`` its month, ``2025-09``. ``published`` is counted in the bytes, the
    rest in the tables.
    """
    text = content.decode("utf-8")
    if b"\r" in content:
        text = text.replace("\r\n", "\n")
    text = text.removesuffix("\n")
    create(
        connection,
        "sources/published_lines",
        content=text,
        month=month,
        crime_types=list(CRIME_TYPES),
    )
    create(connection, "sources/rejected_crimes")
    create(connection, "sources/street_crimes")
    out_of_months = [
        t.crime_type
        for t in CRIME_TYPES.values()
        if month < t.first_month or (t.last_month and month > t.last_month)
    ]
    kept, located, in_grid, odd_types, rejected = connection.execute(
        """
        select
            count(*),
            count(longitude),
            count(hex_id),
            count(*) filter (where list_contains($types, crime_type)),
            (select count(*) from rejected_crimes)
        from street_crimes
        """,
        {"types": out_of_months},
    ).fetchone() or (0, 0, 0, 0, 0)
    return ReadCounts(text.count("\n"), kept, rejected, located, located - in_grid, odd_types)
