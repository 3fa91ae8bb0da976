"""A published file of street crimes, as it is kept and as it is read.

The file is kept as published in a gzip file whose extra field (RFC 1952, subfield ``CA``) holds
where it came from: one file, moved into place at once, and still one for ``zcat`` and DuckDB.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from crime_assets.lake import atomic, create
from crime_assets.sources.police_uk import Member
from crime_assets.sources.register import CRIME_TYPES

_GZIP_HEAD = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff"
"""Deflate, with an extra field, no time of writing (the same bytes each time), no system named."""


@dataclass(frozen=True)
class ReadCounts:
    """What became of the lines of one published file."""

    published: int
    kept: int
    rejected: int
    located: int
    outside_grid: int
    type_out_of_its_months: int


def write_member(path: Path, member: Member) -> int:
    """Keep a member as ``path``, compressed; returns the bytes written.

    The same member gives the same bytes.
    """
    origin = json.dumps(
        {
            "month": member.month,
            "force": member.force,
            "release": member.release,
            "newest_release": member.newest_release,
            "url": member.url,
            "published": member.published,
        },
        sort_keys=True,
    ).encode()
    extra = b"CA" + struct.pack("<H", len(origin)) + origin
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    with atomic(path) as temporary:
        temporary.write_bytes(
            b"".join(
                [
                    _GZIP_HEAD,
                    struct.pack("<H", len(extra)),
                    extra,
                    deflate.compress(member.content),
                    deflate.flush(),
                    struct.pack("<II", zlib.crc32(member.content), len(member.content)),
                ]
            )
        )
    return path.stat().st_size


def read_member(path: Path) -> Member:
    """The member that :func:`write_member` kept."""
    packed = path.read_bytes()
    start = len(_GZIP_HEAD) + 2 + 4
    (length,) = struct.unpack_from("<H", packed, start - 2)
    member = Member(**json.loads(packed[start : start + length]))
    return replace(member, content=zlib.decompress(packed, wbits=zlib.MAX_WBITS | 16))


def read_crimes(connection: duckdb.DuckDBPyConnection, content: bytes, month: str) -> ReadCounts:
    """Read a published file into the temporary tables ``street_crimes`` and ``rejected_crimes``.

    ``content`` is the file's bytes (checked as a whole before; empty where nothing was
    published), ``month`` its month, ``2025-09``. ``published`` is counted in the bytes, the
    rest in the tables.
    """
    text = content.decode("utf-8").replace("\r\n", "\n").removesuffix("\n")
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
