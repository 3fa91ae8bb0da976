"""The grid study made again: will a cell be hot, by networks, classifiers and naive rules."""
