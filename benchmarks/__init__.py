"""Speed and accuracy, measured: `python -m benchmarks.NAME` prints a table and, last, one JSON line."""

import os

# OpenMP reads it when torch is loaded, so before any of the scripts: as train/__init__.py does.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
