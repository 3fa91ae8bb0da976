"""Fixtures of the whole suite.

Tests marked ``real_data`` read real archives and boundaries that lie beside the checkout; where
they are not there, such a test skips, but on CI it fails: it must not go unnoticed that it did not
run. ``slow`` tests are left out of ``make test-fast``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, ``../shared/data`` seen from the checkout."""
    if not _SHARED_DATA.is_dir():
        message = f"no real data in {_SHARED_DATA.parent.name}/{_SHARED_DATA.name}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return _SHARED_DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that takes ``shared_data`` is a ``real_data`` test, whether it says so or not."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)
