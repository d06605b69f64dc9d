"""Settings of every unit test."""

from hypothesis import settings

# No test has a time limit of its own: how long an example takes says something about the host, not about the code.
settings.register_profile("insula", deadline=None)
settings.load_profile("insula")
