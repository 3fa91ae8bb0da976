"""Hotspots, forecasts and maps from the open crime data of England and Wales, as Dagster assets."""

import warnings

# Dagster calls backfill policies, multi-dimensional mappings and partitioned checks beta or
# preview. Its version is pinned; a warning at each of a hundred uses tells nobody anything.
warnings.filterwarnings("ignore", message=".* is currently in (beta|preview)")


class DataError(Exception):
    """The data is at fault, not the code: the message says what was found, where, what to do."""
