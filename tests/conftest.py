"""What all tests share."""

import os

from hypothesis import settings

# Matrix products are no part of planish. Their threads wait for one another in loops that keep a core busy, and tests
# run on every core already. It counts from when NumPy is imported, and in the processes that tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Machines are slow now and then, which says nothing about the code.
settings.register_profile("planish", deadline=None)
settings.load_profile("planish")
