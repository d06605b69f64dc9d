"""Texts, files and powers of a process are seen from outside."""

import ctypes
import os
from pathlib import Path

from insula.engine.explain.filesight import CallSight, calling_process, guest_pid, text_at
from insula.engine.explain.refusedcall import PARENT_SHOWN

AT_FDCWD = 0xFFFFFF9C


def address_of(text: str) -> tuple[int, "ctypes.Array[ctypes.c_char]"]:
    buffer = ctypes.create_string_buffer(os.fsencode(text))
    return ctypes.addressof(buffer), buffer


def looked(tid: int, name: str, arguments: tuple[int, ...]) -> CallSight:
    sight = CallSight(tid, name, arguments)
    sight.look()
    return sight


def test_a_text_is_read_from_memory_to_its_end() -> None:
    address, held = address_of("a word")
    assert text_at(os.getpid(), address) == "a word"
    del held


def test_a_path_is_found_with_its_owner_and_its_mount(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o640)
    address, held = address_of(str(tmp_path / "file"))
    sight = looked(os.getpid(), "openat", (AT_FDCWD, address, 0, 0, 0, 0))
    (found,) = sight.files
    assert (found.path, found.kind, found.mode, found.uid) == (str(tmp_path / "file"), "-", 0o640, os.getuid())
    assert found.mounted and found.point and found.argument == 1
    assert sight.shown[1] == f'"{tmp_path}/file"' and sight.texts == {1: f"{tmp_path}/file"}
    del held


def test_of_a_missing_path_its_directory_is_told(tmp_path: Path) -> None:
    address, held = address_of(str(tmp_path / "none"))
    (found,) = looked(os.getpid(), "mkdir", (address, 0, 0, 0, 0, 0)).files
    assert (found.kind, found.path, found.uid) == (PARENT_SHOWN, f"{tmp_path}/none", os.getuid())
    del held


def test_paths_count_from_a_directory_or_are_a_descriptor(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    directory = os.open(tmp_path, os.O_RDONLY)
    name, held = address_of("file")
    empty, also_held = address_of("")
    try:
        (below,) = looked(os.getpid(), "openat", (directory, name, 0, 0, 0, 0)).files
        (itself,) = looked(os.getpid(), "fchownat", (directory, empty, 0, 0, 0x1000, 0)).files
        descriptor = looked(os.getpid(), "fchmod", (directory, 0, 0, 0, 0, 0))
    finally:
        os.close(directory)
    assert (below.path, itself.path, itself.kind) == (f"{tmp_path}/file", str(tmp_path), "d")
    assert descriptor.files[0].path == str(tmp_path) and descriptor.shown[0] == f"{directory}<{tmp_path}>"
    del held, also_held


def test_a_link_is_the_file_itself_where_the_call_does_not_follow(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("none")
    address, held = address_of(str(tmp_path / "link"))
    (found,) = looked(os.getpid(), "lchown", (address, 0, 0, 0, 0, 0)).files
    assert found.kind == "l"
    del held


def test_what_cannot_be_read_is_left_out() -> None:
    sight = looked(os.getpid(), "openat", (AT_FDCWD, 8, 0, 0, 0, 0))
    null = looked(os.getpid(), "mount", (0, 0, 0, 0, 0, 0))
    assert (sight.files, sight.texts) == ([], {}) and null.shown[1] == "NULL"
    assert looked(os.getpid(), "fchmod", (9999, 0, 0, 0, 0, 0)).files == []


def test_a_process_is_known_with_its_powers_and_limits() -> None:
    found = calling_process(os.getpid(), os.getpid())
    assert (found.uid, found.gid, found.nested) == (os.geteuid(), os.getegid(), False)
    assert found.descriptors > 2 and found.bounding and {name for name, _, _ in found.limits} > {"NOFILE", "NPROC"}
    assert guest_pid(os.getpid()) == os.getpid()
