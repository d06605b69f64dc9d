import pytest

from insula.conversion.incusconfiguration import write_incus
from insula.conversion.yamltree import read_yaml
from insula.errors import InvalidArgumentError
from tests.unit.conversion.conversions import converted, keys_of
from tests.unit.conversion.instances import TREE, instance

BACKUP = """\
name: web
backend: dir
pool: default
config:
  instance:
    name: web
    architecture: x86_64
    type: container
    config: {limits.processes: "1"}
    devices: {}
    expanded_config: {limits.processes: "7"}
    expanded_devices:
      root: {type: disk, path: /, pool: fast}
    profiles: [default]
"""
PROFILES = """\
name: web
profiles: [default, gone]
config: {limits.processes: "9"}
devices: {}
"""
WITH_PROFILE = """\
instance:
  name: web
  profiles: [default, gone]
  config: {limits.processes: "9"}
profiles:
- name: default
  config: {limits.processes: "1", limits.memory: 256MiB}
  devices: {root: {type: disk, path: /, pool: slow}}
"""


def test_an_instance_of_a_backup_is_read_as_it_is_expanded() -> None:
    found = converted("incus", BACKUP, called=None)
    assert (found.domain.name, found.domain.settings.pids_limit, found.domain.os.type.arch) == ("web", 7, "x86_64")
    assert str(found.domain.root and found.domain.root.source.directory).endswith("/fast/containers/web/rootfs")
    assert keys_of(found.findings) == {TREE}


def test_profiles_at_hand_count_below_its_own_settings_and_others_are_named() -> None:
    found = converted("incus", WITH_PROFILE, called=None)
    assert (found.domain.settings.pids_limit, found.domain.memory) == (9, 256 << 10)
    assert keys_of(found.findings) == {TREE, "profiles"}
    assert [each.line for each in found.findings if each.key == "profiles"] == [3]
    assert keys_of(converted("incus", PROFILES, called=None).findings) == {"profiles"}


def test_a_virtual_machine_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="line 2"):
        converted("incus", "name: web\ntype: virtual-machine\n")


def test_a_name_that_is_given_is_taken() -> None:
    assert instance(called="db").domain.name == "db"


def test_what_is_written_is_yaml_with_comments_before_it() -> None:
    text = write_incus(instance("environment.A: 'b: \"c\"'").domain, ())
    found = read_yaml(text).find("config", "environment.A")
    assert found is not None and found.text == 'b: "c"'
