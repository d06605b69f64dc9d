"""libvirt-python of the distribution, loaded into this interpreter though the virtual environment does not show it."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

DIST_PACKAGES = Path("/usr/lib/python3/dist-packages")


def load() -> ModuleType:
    """Return the module libvirt; afterwards `import libvirt` works too.

    Raises: ImportError if it is not installed, or built for another Python than this one.
    """
    for name in ("libvirtmod", "libvirt"):
        if name not in sys.modules:
            _load(name)
    return sys.modules["libvirt"]


def _load(name: str) -> None:
    found = importlib.machinery.PathFinder.find_spec(name, [str(DIST_PACKAGES)])
    if found is None or found.loader is None:
        version = ".".join(map(str, sys.version_info[:2]))
        raise ImportError(f"no {name} for Python {version} in {DIST_PACKAGES} (package python3-libvirt)")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
