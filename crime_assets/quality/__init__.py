"""Statistical expectations of every table, and how they are run."""
