"""The plugin that skips by capability, run on sessions of its own."""

import json

import pytest

from tests import probes
from tests.capabilities_plugin import REPORT_VARIABLE, allowed_on, covers, skipped_for
from tests.hosts import FULL_VARIABLE, HOST_VARIABLE, Profile, takes


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A session with the plugin and nothing else of ours, on a host that calls itself the machine."""
    monkeypatch.setenv(HOST_VARIABLE, Profile.MACHINE)
    monkeypatch.setenv(REPORT_VARIABLE, str(pytester.path / "report.json"))
    pytester.makeconftest("from tests.capabilities_plugin import pytest_configure\n__all__ = ['pytest_configure']\n")
    (pytester.path / "tests/system").mkdir(parents=True)
    return pytester


MARKED = "pytestmark = pytest.mark.machine('tests')\n"


def run(
    session: pytest.Pytester, code: str, place: str = "tests/system/test_it.py", mark: str = MARKED
) -> pytest.RunResult:
    (session.path / place).write_text(f"import pytest\n\n{mark}\n{code}")
    return within(session)


def within(session: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run the session in this process: an interpreter and all that tests import for each would be most of the time."""
    return session.runpytest_inprocess(
        "-p", "no:cacheprovider", "-p", "no:asyncio", "--import-mode=importlib", *options
    )


def test_a_missing_capability_that_is_listed_skips_and_passes_the_run(session: pytest.Pytester) -> None:
    result = run(session, "@pytest.mark.requires('cgroup1.none')\ndef test_it():\n    assert False\n")
    result.assert_outcomes(skipped=1)
    assert result.ret == pytest.ExitCode.OK
    outcome = json.loads((session.path / "report.json").read_text())["tests"]["tests/system/test_it.py::test_it"]
    assert outcome["outcome"] == "skipped"
    assert outcome["reason"].startswith("requires: cgroup1.none (")


def test_a_missing_capability_that_is_not_listed_fails_the_run(session: pytest.Pytester) -> None:
    result = run(session, "@pytest.mark.requires('link.no_such_type')\ndef test_it():\n    pass\n")
    result.assert_outcomes(skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*skips that allowed_skips.toml does not allow on a host of profile 'machine'*"])


@pytest.mark.parametrize(
    "code",
    [
        "def test_it():\n    pytest.skip('no time')\n",
        "@pytest.mark.skip(reason='no time')\ndef test_it():\n    pass\n",
        "pytest.importorskip('no_such_module_at_all')\n\ndef test_it():\n    pass\n",
    ],
)
def test_a_skip_for_any_other_reason_fails_the_run(session: pytest.Pytester, code: str) -> None:
    assert run(session, code).ret == pytest.ExitCode.TESTS_FAILED


def test_a_capability_nobody_can_probe_is_an_error(session: pytest.Pytester) -> None:
    result = run(session, "@pytest.mark.requires('wings')\ndef test_it():\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no probe for 'wings'*"])


def test_a_present_capability_lets_the_test_run(session: pytest.Pytester) -> None:
    run(session, "@pytest.mark.requires('timens')\ndef test_it():\n    pass\n").assert_outcomes(passed=1)


def test_an_expected_failure_is_no_skip(session: pytest.Pytester) -> None:
    result = run(session, "@pytest.mark.xfail(strict=True)\ndef test_it():\n    assert False\n")
    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.OK


def test_a_module_that_does_not_import_is_reported_as_failed(session: pytest.Pytester) -> None:
    run(session, "import no_such_module_at_all\n")
    tests = json.loads((session.path / "report.json").read_text())["tests"]
    assert tests == {"tests/system/test_it.py": {"outcome": "failed", "reason": "collection"}}


def test_time_limits_are_stretched_by_the_hosts_scale(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSULA_TEST_TIME_SCALE", "100")
    result = run(session, "import time\n\n@pytest.mark.timeout(0.1)\ndef test_it():\n    time.sleep(0.3)\n")
    result.assert_outcomes(passed=1)


def test_other_hosts_tests_are_left_out(session: pytest.Pytester) -> None:
    (session.path / "tests/unit").mkdir()
    code = "def test_plain():\n    pass\n\n@pytest.mark.machine('mounts')\ndef test_marked():\n    pass\n"
    run(session, code, "tests/unit/test_it.py", mark="").assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize(
    ("host", "node", "marks", "taken"),
    [
        (Profile.HYBRID, "tests/unit/test_a.py::test", set(), True),
        (Profile.HYBRID, "tests/system/test_a.py::test", {"systemd_host"}, False),
        (Profile.UNIFIED, "tests/e2e/test_a.py::test", {"machine"}, True),
        (Profile.MACHINE, "tests/system/test_a.py::test", {"machine"}, True),
        (Profile.MACHINE, "tests/system/test_a.py::test", set(), False),
        (Profile.MACHINE, "tests/e2e/test_a.py::test", set(), False),
        (Profile.MACHINE, "tests/e2e/test_a.py::test", {"machine"}, True),
        (Profile.MACHINE, "tests/system/test_a.py::test", {"systemd_host"}, False),
        (Profile.MACHINE_SYSTEMD, "tests/system/test_a.py::test", set(), False),
        (Profile.MACHINE_SYSTEMD, "tests/e2e/test_a.py::test", {"systemd_host"}, True),
    ],
)
def test_each_host_takes_its_part(host: Profile, node: str, marks: set[str], taken: bool) -> None:
    assert takes(host, node, frozenset(marks)) is taken


def test_an_entry_stands_for_itself_or_for_its_family() -> None:
    assert covers("criu", "criu")
    assert covers("cgroup2.*", "cgroup2.memory")
    assert covers("*", "anything")
    assert not covers("cgroup2.*", "cgroup2")
    assert not covers("criu", "criu-4")


def test_a_reason_names_its_capability() -> None:
    assert skipped_for("requires: cgroup2.memory (the v2 hierarchy has no memory controller)") == "cgroup2.memory"
    assert skipped_for("no time") == ""


@pytest.mark.parametrize("host", list(Profile))
def test_the_list_names_only_what_can_be_probed(host: Profile) -> None:
    for entry in allowed_on(host):
        name = entry.removesuffix(".*")
        assert name in probes.PROBES or name.partition(".")[0] in probes.FAMILIES


def test_what_enters_the_enclosure_comes_last(session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOST_VARIABLE, Profile.HYBRID)
    for place in ("e2e", "system", "unit"):
        (session.path / "tests" / place).mkdir(exist_ok=True)
        (session.path / f"tests/{place}/test_{place}.py").write_text("def test_it():\n    pass\n")
    result = within(session, "-v")
    result.stdout.fnmatch_lines(["tests/unit/test_unit.py*", "tests/e2e/test_e2e.py*", "tests/system/test_system.py*"])


def test_what_asks_for_what_a_hybrid_host_may_miss_is_tested_in_the_machine(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FULL_VARIABLE, raising=False)
    asks = "@pytest.mark.requires('{}')\ndef test_{}():\n    pass\n\n"
    code = asks.format("apparmor", "there") + asks.format("device.fuse", "nowhere") + "def test_here():\n    pass\n"
    run(session, code, mark="")
    tests = json.loads((session.path / "report.json").read_text())["tests"]
    assert list(tests) == ["tests/system/test_it.py::test_there"]


def test_with_every_case_the_machine_takes_every_system_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FULL_VARIABLE, "1")
    assert takes(Profile.MACHINE, "tests/system/test_a.py::test", frozenset())
    assert not takes(Profile.MACHINE, "tests/e2e/test_a.py::test", frozenset())


@pytest.mark.parametrize("mark", ["machine", "machine()", "machine('because')"])
def test_a_mark_for_the_machine_says_why(session: pytest.Pytester, mark: str) -> None:
    result = run(session, mark="", code=f"@pytest.mark.{mark}\ndef test_it():\n    pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_the_report_tells_what_each_test_cost(session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOST_VARIABLE, Profile.HYBRID)
    run(session, "import time\n\ndef test_it():\n    time.sleep(0.2)\n")
    (test,) = json.loads((session.path / "report.json").read_text())["tests"].values()
    assert test["seconds"] >= 0.2
    assert test["processor"] >= 0
