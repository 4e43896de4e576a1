"""What all tests share."""

from hypothesis import settings

# A busy machine is no reason to fail: examples are few and small, and pytest's own limit catches a hang.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")
