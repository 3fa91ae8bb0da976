"""Forecasts of crimes at places, and how good they are: protocol, baselines, metrics, judgement."""
