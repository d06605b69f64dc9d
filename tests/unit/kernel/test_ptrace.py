"""Tests of insula.kernel.ptrace; what it is for: tests/unit/engine/test_children.py."""

import os

import pytest

from insula.kernel.ptrace import detach


def test_a_process_that_is_not_traced_is_not_let_go() -> None:
    with pytest.raises(ProcessLookupError):
        detach(os.getpid(), 0)
