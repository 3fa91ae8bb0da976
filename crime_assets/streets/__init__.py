"""Streets: their pieces between junctions, which of them meet, and the crimes on each."""
