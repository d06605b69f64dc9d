"""A terminal and a pipe of the caller's, for tests of relays."""

from tests.unit.engine.conftest import pipe, user

__all__ = ["pipe", "user"]
