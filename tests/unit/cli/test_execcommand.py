import json
import os
import signal

import pytest

from insula.cli import execcommand
from insula.errors import InvalidArgumentError
from insula.kernel.filekinds import FileKind, kind_of
from insula.rpc.procedures import Insula, Remote
from insula.sdk.blocking import Pending
from insula.sdk.conversation import Answer, Conversation, Request
from tests.unit.cli.fake_client import WEB, FakeClient, T
from tests.unit.cli.options import options_of


class ExecClient(FakeClient):
    """Its command ends at once with a wait status."""

    def __init__(self, status: int) -> None:
        super().__init__({Remote.DOMAIN_LOOKUP_BY_NAME: WEB})
        self.status = status
        self.fds: tuple[int, ...] = ()
        self.kinds: list[FileKind] = []
        self.request = ""

    def answer(self, request: Request) -> Answer:
        if request.procedure is Insula.DOMAIN_EXEC:
            self.request, self.fds = request.arguments[1], tuple(request.fds)
            self.kinds = [kind_of(each) for each in self.fds]
            return Answer((1, 2), (), None)
        if request.procedure is Insula.EXEC_WAIT:
            assert request.arguments == (1,)
            return Answer((self.status,), (), None)
        return super().answer(request)

    def begin(self, conversation: Conversation[T]) -> Pending[T]:
        outcome = self.run(conversation)
        return Pending(done=lambda: True, result=lambda: outcome)


@pytest.mark.parametrize(("status", "expected"), [(3 << 8, 3), (0, 0), (int(signal.SIGKILL), 137)])
def test_the_commands_end_is_ours(status: int, expected: int) -> None:
    client = ExecClient(status)
    options = options_of(execcommand.ARGUMENTS["exec"], "-u", "nobody", "-e", "A=b", "web", "--", "ls", "-l")
    assert execcommand.RUN["exec"](options, client.host) == expected
    assert '"argv": ["ls", "-l"]' in client.request and '{"A": "b"}' in client.request
    assert len(client.fds) == 3 and set(client.kinds) <= {FileKind.PIPE, FileKind.NULL}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "a domain and a command"),
        (["--"], "a domain and a command"),
        (["web"], "a domain and a command"),
        (["web", "--"], "a domain and a command"),
        (["--", "-dash"], "a domain and a command"),
        (["--", "-dash", "--"], "a domain and a command"),
        (["web", "-u", "nobody", "id"], "'-u' stands behind the domain"),
        (["web", "--", ""], "empty word"),
        (["", "--", "ls"], "a domain and a command"),
    ],
)
def test_a_domain_and_a_command_are_required(words: list[str], complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint) as told:
        execcommand.RUN["exec"](options_of(execcommand.ARGUMENTS["exec"], *words), ExecClient(0).host)
    assert told.value.exit_status == 2


@pytest.mark.parametrize("words", [["--", "-dash", "ls", "-l"], ["-u", "root", "--", "-dash", "--", "ls", "-l"]])
def test_a_domain_whose_name_looks_like_an_option_stands_behind_the_dashes(words: list[str]) -> None:
    client = ExecClient(0)
    assert execcommand.RUN["exec"](options_of(execcommand.ARGUMENTS["exec"], *words), client.host) == 0
    assert client.made(Remote.DOMAIN_LOOKUP_BY_NAME) == [("-dash",)] and '"argv": ["ls", "-l"]' in client.request


class SilentClient(ExecClient):
    """Its command never begins."""

    def __init__(self) -> None:
        super().__init__(0)
        self.reader, self.writer = os.pipe()

    def fileno(self) -> int:
        return self.reader

    def begin(self, conversation: Conversation[T]) -> Pending[T]:
        os.kill(os.getpid(), signal.SIGINT)
        pending = super().begin(conversation)
        return pending._replace(done=lambda: False)


def test_a_signal_ends_the_waiting_for_a_command_that_does_not_begin() -> None:
    client = SilentClient()
    with pytest.raises(KeyboardInterrupt):
        execcommand.RUN["exec"](options_of(execcommand.ARGUMENTS["exec"], "web", "--", "ls"), client.host)
    os.close(client.reader)
    os.close(client.writer)


def test_a_shell_is_the_users_own_and_its_status_is_passed_on() -> None:
    client = ExecClient(3 << 8)
    options = options_of(execcommand.ARGUMENTS["shell"], "web", "-u", "www")
    assert execcommand.RUN["shell"](options, client.host) == 3
    request = json.loads(client.request)
    assert request["argv"] == ["/bin/sh", "-c", 'exec "${SHELL:-/bin/sh}" -l'] and request["user"] == "www"
