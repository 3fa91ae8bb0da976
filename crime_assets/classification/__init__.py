"""Risk classes of areas: fitted, judged by what then happened, and shown."""
