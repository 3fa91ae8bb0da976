"""GLDNet on the streets of a force: the search for its settings, its training, its forecasts."""
