"""virsh tells how a job of its own ended, however late it begins to wait for that."""

import os
import subprocess
from pathlib import Path

import pytest

from tests import virshjobs
from tests.waiting import patience

LATE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
void g_main_loop_run(void *loop)
{
    sleep(1);
    ((void (*)(void *)) dlsym(RTLD_NEXT, "g_main_loop_run"))(loop);
}
"""
"""As virsh is that gets no processor between its job's begin and the main loop: it waits for ever then."""


@pytest.mark.requires("virsh", "compiler")
def test_a_job_that_is_over_before_virsh_waits_for_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "late.c").write_text(LATE)
    late = tmp_path / "late.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", late, tmp_path / "late.c"], check=True)
    words = ("dump", "test", str(tmp_path / "nowhere/dump"))
    environment = virshjobs.environment(words)
    done = subprocess.run(
        ["virsh", "-c", "test:///default", *words],
        env={**os.environ, "LC_ALL": "C", **environment, "LD_PRELOAD": f"{late}:{environment['LD_PRELOAD']}"},
        capture_output=True, text=True, check=False, timeout=patience(60),
    )  # fmt: skip
    assert done.returncode == 1 and "No such file or directory" in done.stderr


def test_other_commands_are_as_they_are() -> None:
    assert virshjobs.environment(("-c", "test:///default", "list", "--all")) == {}
