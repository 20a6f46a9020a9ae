"""Speed and accuracy, measured: `python -m benchmarks.NAME` prints a table and, last, one JSON line."""

import os

# OpenMP reads them when torch is loaded, so before any of the scripts: as app.py does.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
