"""A fault of virsh's, kept away from tests: it waits for ever for a job that is over before it has begun to wait.

A thread of its own asks for a dump, say, and has the main loop quit when it is answered (g_main_loop_quit); what is
answered sooner than the main loop runs is lost, as of a refusal on a host with much to do. Seen with libvirt 9.0,
against `test:///default` too. A library that virsh loads first lets that thread wait for the loop.
libvirt's own library quits loops of its own that way, which may or may not run.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import cache

JOBS = frozenset({"dump", "managedsave", "migrate", "save"})
"""Commands that virsh performs so."""

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

void g_main_loop_quit(void *loop)
{
    Dl_info who;
    int (*runs)(void *) = (int (*)(void *)) dlsym(RTLD_NEXT, "g_main_loop_is_running");
    void (*quit)(void *) = (void (*)(void *)) dlsym(RTLD_NEXT, "g_main_loop_quit");
    int library = dladdr(__builtin_return_address(0), &who) && strstr(who.dli_fname, "libvirt");
    while (!library && !runs(loop))
        usleep(1000);
    quit(loop);
}
"""
_COMPILER = "gcc"


def environment(words: Sequence[str]) -> Mapping[str, str]:
    """Return what virsh needs in its environment to perform these words for sure; nothing where nobody compiles."""
    if JOBS.isdisjoint(words) or shutil.which(_COMPILER) is None:
        return {}
    return {"LD_PRELOAD": str(library())}


def library() -> Path:
    """Return the library, compiled if it is not there yet. Raises: CalledProcessError."""

    def build(work: Path, _final: Path) -> None:
        (work / "jobs.c").write_text(SOURCE)
        subprocess.run([_COMPILER, "-shared", "-fPIC", "-o", work / "jobs.so", work / "jobs.c"], check=True)

    return cache.built("virsh-jobs", SOURCE, build) / "jobs.so"
