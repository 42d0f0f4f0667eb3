"""The graph. One file per step of the method; every asset body calls one function of :mod:`alpha_pipeline.pipeline`."""

import warnings

import dagster as dg

# Backfill policies and partition mappings are marked beta in the pinned version; one warning per asset would bury everything else.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
