"""What all tests share."""

from hypothesis import settings

# Machines are slow now and then, which says nothing about the code.
settings.register_profile("planish", deadline=None)
settings.load_profile("planish")
