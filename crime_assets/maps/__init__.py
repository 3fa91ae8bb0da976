"""The published site: where hotspots are and how lasting they are, as static files."""
