"""Tests of insula.engine.policy.apparmorprofiles; tests/system/test_apparmor_guests.py has the kernel judge them."""

from insula.engine.policy.apparmorprofiles import COMMON, OWN_PREFIX, PRIVILEGED, PROFILES, profile_for


def test_there_is_a_profile_for_each_kind_of_guest_and_its_name_bears_what_it_says() -> None:
    unprivileged, privileged = profile_for(privileged=False), profile_for(privileged=True)
    assert {unprivileged, privileged} == set(PROFILES)
    assert unprivileged.name != privileged.name
    for each in PROFILES:
        assert each.name.startswith(OWN_PREFIX) and each.text.count(f"profile {each.name} ") == 1


def test_each_rule_is_a_line_of_its_own_with_its_reason_above() -> None:
    for rule in (*COMMON, *PRIVILEGED):
        assert f"  # {rule.why}\n  {rule.text},\n" in profile_for(privileged=True).text
        assert "\n" not in rule.text + rule.why and rule.why


def test_a_guest_without_the_hosts_powers_keeps_what_its_user_namespace_gives_it() -> None:
    text = profile_for(privileged=False).text
    assert not any(rule.text in text for rule in PRIVILEGED)


def test_nothing_lets_a_program_leave_its_profile() -> None:
    assert not any("change_profile" in rule.text or "->" in rule.text for rule in (*COMMON, *PRIVILEGED))
    assert not any(word in rule.text for rule in COMMON for word in (" ux", " Ux", " px", " Px", " cx", " Cx"))
