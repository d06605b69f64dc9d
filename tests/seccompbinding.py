"""libseccomp from Python, by its own binding where that is installed (Debian's python3-seccomp), else by pyseccomp."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

libseccomp: Any = import_module("seccomp" if find_spec("seccomp") else "pyseccomp")
