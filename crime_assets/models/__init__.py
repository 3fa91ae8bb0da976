"""Models that are fitted: numerical code, without Dagster."""
