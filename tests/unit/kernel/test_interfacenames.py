import pytest

from insula.kernel.interfacenames import is_interface_name


@pytest.mark.parametrize("name", ["a" * 15, "wan.42", "en-lan_0", "v@x", "...", "lo0", "(x)"])
def test_what_the_kernel_takes_may_be_a_name(name: str) -> None:
    assert is_interface_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 16,
        "a b",
        "a/b",
        "a:b",
        "eth%d",
        "lo",
        "all",
        "default",
        ".",
        "..",
        "ä" * 15,
        "a\n",
        "\x7f",
        "v*",
        "*",
        "v\\*",
        "@v",
        "-v",
    ],
)
def test_what_the_kernel_refuses_or_takes_for_something_else_may_not(name: str) -> None:
    assert not is_interface_name(name)
