"""The grid of 200 m hexagons: cells, counts, hotspots, and how lasting hotspots are."""
