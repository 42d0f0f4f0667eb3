"""A compact risk model: price-volume styles, industries, and daily factor returns by restricted regression."""
