"""Kernel calls are declared, not written: the signature is the prototype.

    @syscall(428)
    def open_tree(dirfd: int, path: str, flags: int) -> Fd: ...

`syscall` takes the call's number. From 424 on every architecture shares it (alpha and MIPS add an offset); older calls
are declared by `libc`, which takes the C library's symbol. Integers (enums and NewTypes over them too), `str`, `bytes`,
structures (passed by reference) and None (a null pointer) can be parameters. A declared function takes its arguments by
position, and raises OSError with the errno, the call's name and its first path.

Numbers: the kernel's own syscall tables. One call costs about a microsecond more than in C.
"""

import ctypes
import os
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_LIBRARY = ctypes.CDLL(None, use_errno=True)
_LIBRARY_KEEPING_THE_INTERPRETER = ctypes.PyDLL(None, use_errno=True)


def syscall(number: int, *, keep_interpreter: bool = False) -> Callable[[F], F]:
    """Declare a call by its number; keep_interpreter: do not let other threads run meanwhile (needed to clone)."""
    library = _LIBRARY_KEEPING_THE_INTERPRETER if keep_interpreter else _LIBRARY

    def declare(function: F) -> F:
        # Indexing gives a fresh function object each time, so prototypes are not shared between declarations.
        return _declared(function, library["syscall"], ctypes.c_long, (ctypes.c_long,), (number,))

    return declare


def libc(symbol: str) -> Callable[[F], F]:
    """Declare a call by the symbol of the C library's function, which must return an int."""

    def declare(function: F) -> F:
        return _declared(function, _LIBRARY[symbol], ctypes.c_int, (), ())

    return declare


def _declared(function: F, raw: Any, result_type: Any, leading_types: tuple[Any, ...], leading: tuple[int, ...]) -> F:
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount]
    kinds = [_plain(function.__annotations__[name]) for name in parameters]
    raw.argtypes = [*leading_types, *(_c_type(kind) for kind in kinds)]
    raw.restype = result_type
    name = function.__name__.lstrip("_")  # the kernel's own name, for people
    texts = tuple(index for index, kind in enumerate(kinds) if kind is str)
    structures = tuple(index for index, kind in enumerate(kinds) if _is_structure(kind))
    last_errno = ctypes.get_errno

    def call(*arguments: Any) -> int:
        passed = list(arguments)
        for index in texts:
            if passed[index] is not None:
                passed[index] = os.fsencode(passed[index])
        for index in structures:
            if passed[index] is not None:
                passed[index] = ctypes.byref(passed[index])
        result: int = raw(*leading, *passed)
        if result == -1:
            number = last_errno()
            path = next((arguments[index] for index in texts if arguments[index]), None)
            raise OSError(number, f"{name}: {os.strerror(number)}", path)
        return result

    call.__name__ = function.__name__
    call.__qualname__ = function.__qualname__
    call.__doc__ = function.__doc__
    call.__module__ = function.__module__
    call.__wrapped__ = function  # type: ignore[attr-defined]
    return cast("F", call)


def _plain(annotation: Any) -> Any:
    """Return the type behind a NewType or `X | None`."""
    if isinstance(annotation, types.UnionType):
        annotation = next(each for each in annotation.__args__ if each is not type(None))
    while hasattr(annotation, "__supertype__"):
        annotation = annotation.__supertype__
    return annotation


def _is_structure(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, ctypes.Structure | ctypes.Array)


def _c_type(kind: Any) -> Any:
    # A register is 64 bits wide whatever the call reads of it, so every integer may travel as a long.
    if isinstance(kind, type) and issubclass(kind, int):
        return ctypes.c_long
    if kind in (str, bytes):
        return ctypes.c_char_p
    if _is_structure(kind):
        return ctypes.c_void_p
    raise TypeError(f"a kernel call cannot take {kind!r}")
