"""Griffe extension: the roles of the docstrings (``:class:`crime_assets.lake.Lake```) as links.

The docstrings use Sphinx's roles, which Markdown does not know. Each becomes a link where the page
of its object is in the site, else plain code.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:py:)?(?:class|func|meth|data|attr|mod|exc):`(~?)([\w.]+)`")


class SphinxRoles(Extension):
    """Rewrites the docstring of every object as it is loaded."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Replace the roles in the docstring of ``obj``."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(
                lambda role: _link(obj, role[2], short=bool(role[1])), obj.docstring.value
            )


def _link(obj: Object, name: str, *, short: bool) -> str:
    text = name.rsplit(".", 1)[-1] if short else name
    return f'<autoref optional identifier="{_path(obj, name)}"><code>{text}</code></autoref>'


def _path(obj: Object, name: str) -> str:
    """The whole path of a name as it is used in the docstring of ``obj``."""
    if name.startswith("crime_assets."):
        return name
    scope: Object | None = obj
    while scope is not None:
        if name.split(".")[0] in scope.members:
            return f"{scope.path}.{name}"
        scope = scope.parent  # type: ignore[assignment]
    return name
