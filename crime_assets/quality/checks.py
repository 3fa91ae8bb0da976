"""Placeholder, replaced by the expectation suites."""

from __future__ import annotations

import dagster as dg


def expectation_checks() -> list[dg.AssetChecksDefinition]:
    return []
