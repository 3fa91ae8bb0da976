"""The analysts' database over the lake."""
