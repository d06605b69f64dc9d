import pytest

from insula.model.dnsnames import is_dns_name, is_protocol_name, is_service_name


@pytest.mark.parametrize("name", ["a", "web.example.com", "_dmarc.example.com", "1two", "a.b.", "x" * 63, "a-b"])
def test_names_of_hosts_and_records_are_names(name: str) -> None:
    assert is_dns_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a b", "a,b", "a\nb", "-a", "a-", "a..b", "a/b", "é", "x" * 64, "*.a", "a.b..", ".".join(["ab"] * 90)],
)
def test_what_means_something_in_a_servers_files_is_none(name: str) -> None:
    assert not is_dns_name(name)


@pytest.mark.parametrize(("text", "service", "protocol"), [("ldap", 1, 1), ("_ldap", 1, 0), ("a.b", 0, 0), ("", 0, 0)])
def test_services_and_protocols_are_single_words(text: str, service: int, protocol: int) -> None:
    assert (is_service_name(text), is_protocol_name(text)) == (bool(service), bool(protocol))
