import pytest

from insula.cli.main import status_of
from insula.cli.shellcompletion import COMPLETIONS


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_a_completion_is_printed_without_a_daemon(shell: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert status_of(["--prefix", "/nowhere", "completion", shell]) == 0
    assert capfdbinary.readouterr().out.decode() == COMPLETIONS[shell]()
