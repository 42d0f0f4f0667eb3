"""Configurable wrappers that the assets receive: the opened market, and where training runs."""
