"""alpha_pipeline: a Dagster data-and-model pipeline for China A-share index enhancement."""

import os

__version__ = "0.1.0"

# After each of its parallel operations torch's OpenMP threads spin for milliseconds, waiting for the next one, on the very cores that
# the recurrent kernels' threads then need. Sleeping instead took a training step of 40 steps from 114 to 79 and from 100 to 40 ms on
# two shared cores; numbers do not change.
# OpenMP reads this once, when torch is loaded, so it has to stand here; a value that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
