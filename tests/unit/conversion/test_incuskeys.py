import pytest

from insula.conversion.incuskeys import INCUS_KEYS
from insula.model.sizes import CpuSet
from tests.unit.conversion.conversions import keys_of
from tests.unit.conversion.foreignkeys import documented, repeated_rows, unanswered
from tests.unit.conversion.instances import TREE, instance


def test_every_documented_key_is_mapped_or_says_why_not() -> None:
    assert unanswered(INCUS_KEYS, documented("incus")) == []
    assert repeated_rows(INCUS_KEYS) == []


def test_limits_are_ours() -> None:
    found = instance(
        'limits.cpu: "2"\nlimits.cpu.allowance: 25ms/100ms\nlimits.cpu.nodes: "0"\nlimits.memory: 512MiB\n'
        'limits.memory.swap: 256MiB\nlimits.processes: "100"\nlimits.kernel.nofile: 1024:4096\n'
        'linux.sysctl.net.ipv4.ip_forward: "1"\nenvironment.GREETING: hello\n'
    )
    domain, tune, cpu = found.domain, found.domain.memory_tune, found.domain.cpu_tune
    assert tune is not None and cpu is not None
    assert (domain.vcpu.count, cpu.quota, cpu.period) == (2, 25_000, 100_000)
    assert (domain.memory, tune.swap_hard_limit, domain.settings.pids_limit) == (512 << 10, 768 << 10, 100)
    assert domain.settings.limits[0].bounds == (1024, 4096)
    assert domain.settings.kernel_settings[0].name == "net.ipv4.ip_forward"
    assert domain.os.environment[0].value == "hello" and keys_of(found.findings) == {TREE}


def test_processors_are_a_number_or_a_list_and_a_percentage_is_a_share() -> None:
    domain = instance('limits.cpu: "1-1"\nlimits.cpu.allowance: 50%\n').domain
    assert domain.vcpu.cpus == CpuSet((1,)) and domain.cpu_tune is not None and domain.cpu_tune.shares == 512


def test_programs_of_images_of_the_oci_run_as_they_say() -> None:
    system = instance("oci.entrypoint: /bin/sh -c 'a b'\noci.cwd: /srv\noci.uid: 7\noci.gid: 8\n").domain.os
    assert (str(system.init), system.arguments) == ("/bin/sh", ("-c", "a b"))
    assert (str(system.directory), system.user, system.group) == ("/srv", "7", "8")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("limits.cpu: few", ""),
        ("limits.cpu.allowance: much", ""),
        ("limits.cpu.nodes: x", ""),
        ("limits.memory: 50%", ""),
        ("limits.memory.swap: much", ""),
        ("limits.memory.enforce: soft", ""),
        ("limits.processes: many", ""),
        ("limits.kernel.nofile: many", ""),
        ("limits.kernel.locks: 1", ""),
        ("linux.sysctl.vm.swappiness: 1", "lxc.sysctl.vm.swappiness"),
        ("oci.entrypoint: '''open'", ""),
        ("volatile.uuid: x", ""),
        ("security.privileged: 'true'", ""),
        ("security.nesting: 'true'", ""),
        ("boot.autostart: 'true'", ""),
        ("user.note: x", "config.user.*"),
        ("raw.lxc: x", ""),
        ("nonsense: x", ""),
    ],
)
def test_what_cannot_be_is_named(line: str, key: str) -> None:
    assert keys_of(instance(line).findings) - {TREE} == {key or f"config.{line.partition(':')[0]}"}


def test_what_is_so_anyway_says_nothing() -> None:
    found = instance("security.nesting: 'false'\nboot.autostart: 'false'\n", tops="ephemeral: false\nstateful: false")
    assert keys_of(found.findings) == {TREE}
