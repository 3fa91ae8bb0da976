"""Incidents of cities by day: open data in the publishers' own columns, to grids of squares."""
