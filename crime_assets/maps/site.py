"""The folder of a map: static files that any web server can give out.

``map.json`` says what there is and names the folder of the data, which is never changed once it is
there. It is replaced last, at once, so whoever opens the page sees the old map or the new one.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crime_assets.storage import Folder, atomic, remove, room_for, upload

FORMAT = 1
"""Of the data; the page refuses another."""

PAGE = Path(__file__).parent / "page"
"""The page's program, built from ``site/`` by ``make site``; it travels in the wheel."""

INDEX = "map.json"

ABANDONED_S = 24 * 3600
"""No map is written for so long."""

NOT_BUILT = (
    "the page's program is missing: `make site` builds it (the wheel has it built); "
    "then materialise the map again"
)


class Files:
    """The data of a new map, written one by one; :func:`publish` puts them where they are read."""

    def __init__(self, target: Folder) -> None:
        self.target = target
        if isinstance(target, Path):
            target.mkdir(parents=True, exist_ok=True)
            for left in target.glob(".data-*"):  # by writers that were killed
                if time.time() - left.stat().st_mtime > ABANDONED_S:
                    shutil.rmtree(left, ignore_errors=True)
            self.folder = target / f".data-{os.getpid()}-{uuid.uuid4().hex}"
            self.folder.mkdir()
        else:
            self.folder = Path(tempfile.mkdtemp(prefix="crime_assets-map-"))
        self.count = 0
        self.bytes = 0
        self._digest = hashlib.sha256()

    def add(self, name: str, content: Any) -> None:
        """Write what ``content`` is in JSON, packed with gzip, as ``<name>.json.gz``."""
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        packed = gzip.compress(text.encode(), compresslevel=6, mtime=0)
        path = self.folder / f"{name}.json.gz"
        with room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed)
        self.count += 1
        self.bytes += len(packed)
        self._digest.update(name.encode() + b"\0" + packed)

    def read(self, name: str) -> Any:
        """What :meth:`add` wrote, as it stands on disk."""
        return unpack(self.folder / f"{name}.json.gz")

    @property
    def version(self) -> str:
        """A hash of all that was written."""
        return self._digest.hexdigest()[:12]

    def discard(self) -> None:
        """Remove what was written and not published."""
        shutil.rmtree(self.folder, ignore_errors=True)


def unpack(path: Path) -> Any:
    """What a file of the map's data holds."""
    return json.loads(gzip.decompress(path.read_bytes()))


def publish(files: Files, description: dict[str, Any]) -> str:
    """Make ``files`` the data of the map in their target, and ``description`` its ``map.json``.

    Returns the version: a hash of both. The data of the map before stays, for pages that are open;
    what was before that goes. So it is with the parts of the page. Without a built page the data is
    published alone.
    """
    target = files.target
    name = f"data-{files.version}"
    if not isinstance(target, Path):
        upload(files.folder, target / name)  # again, too: it may have been cut off
        files.discard()
    elif (target / name).exists():
        files.discard()
    else:
        files.folder.rename(target / name)
    index = json.dumps(
        {"format": FORMAT, "data": name, **description},
        separators=(",", ":"),
        ensure_ascii=False,
    )
    before = _described(target).get("data")
    old_page = _copy_page(target)
    with atomic(target / INDEX) as path:
        path.write_text(index + "\n", encoding="utf-8")
    if before != name:  # else the data before it may still be looked at
        for old in target.glob("data-*"):
            if old.name not in (name, before):
                remove(old)
    for old in old_page:
        old.unlink(missing_ok=True)
    _list_maps(target.parent)
    return hashlib.sha256(index.encode()).hexdigest()


def is_built() -> bool:
    """Whether the page's program is there."""
    return (PAGE / "index.html").exists()


def _described(folder: Folder) -> dict[str, Any]:
    """What the ``map.json`` of a folder says; nothing where none can be read."""
    try:
        described = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return described if isinstance(described, dict) else {}


def _copy_page(target: Folder) -> set[Folder]:
    """Copy the built page: first what it is made of, whose names are hashes, then its start.

    Returns what nobody needs any more: the parts that neither it nor the page before can load.
    Where it is the page before that is copied again, these are none.
    """
    if not is_built():
        return set()
    start, parts = target / "index.html", target / "assets"
    is_same = start.exists() and start.read_bytes() == (PAGE / "index.html").read_bytes()
    needed = {parts / path.name for path in _parts(target) | _parts(PAGE)}
    unneeded = set() if is_same else {path for path in parts.glob("[!.]*") if path not in needed}
    files = sorted(p for p in PAGE.rglob("*") if p.is_file())
    for source in sorted(files, key=lambda p: p.name == "index.html"):
        there = target / source.relative_to(PAGE).as_posix()
        with atomic(there) as path:
            shutil.copyfile(source, path)
    return unneeded


def _parts(page: Folder) -> set[Folder]:
    """The parts that a page can load: those that its start names, or a part that it can load."""
    start = page / "index.html"
    unread: list[Folder] = [start] if start.exists() else []
    left: set[Folder] = set((page / "assets").glob("[!.]*"))
    found: set[Folder] = set()
    while unread:
        text = unread.pop().read_bytes()
        named = {path for path in left if path.name.encode() in text}
        found |= named
        left -= named
        unread += named
    return found


def _list_maps(folder: Folder) -> None:
    """Write the start page of all maps: links to the months, the newest first."""
    links = "\n".join(
        f'<li><a href="{month}/">{html.escape(title)}, {month}</a></li>'
        if (folder / month / "index.html").exists()
        else f"<li>{html.escape(title)}, {month}: the data alone, without a page</li>"
        for month, title in sorted(_maps(folder), reverse=True)
    )
    with atomic(folder / "index.html") as path:
        path.write_text(
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            "<title>Hotspot maps</title>\n"
            "<style>:root { color-scheme: light dark; font: 1rem/1.6 system-ui; } "
            "body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }</style>\n"
            f"<h1>Hotspot maps</h1>\n<p>Each looks back on 36 months.</p>\n<ul>\n{links}\n</ul>\n",
            encoding="utf-8",
        )


def _maps(folder: Folder) -> Iterator[tuple[str, str]]:
    """Month and title of each map below ``folder``."""
    for path in folder.glob(f"*/{INDEX}"):
        title = _described(path.parent).get("title")
        if title:
            yield path.parent.name, str(title)
