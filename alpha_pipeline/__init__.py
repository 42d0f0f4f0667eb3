"""alpha_pipeline: a Dagster data-and-model pipeline for China A-share index enhancement."""

__version__ = "0.1.0"
