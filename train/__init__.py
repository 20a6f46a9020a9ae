"""One script a stage: `python -m train.NAME`."""

import os

# OpenMP reads it when torch is loaded, so before any of the scripts: threads that spin while they wait for the next
# small kernel take the cores from those that work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
