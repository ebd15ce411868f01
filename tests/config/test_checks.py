from __future__ import annotations

from typing import Any

import pytest

from config.checks import MAX_BYTES, find_contradictions
from config.findings import Finding
from config.model import Config
from config.problems import show_path


def findings(**sections: dict[str, Any]) -> list[str]:
    config = Config.model_validate(sections)
    return [f"{show_path(f.path)}: {f.what}" for f in find_contradictions(config)]


def test_the_defaults_contradict_nothing() -> None:
    assert not findings()


def test_tests_may_ask_for_any_http_port() -> None:
    assert not findings(signaling={"listen": ["127.0.0.1:0", "127.0.0.1:0"]})


def test_tcp_beside_http() -> None:
    assert not findings(relay={"tcp": False, "listen": ["127.0.0.1:8080"]})
    assert not findings(relay={"listen_tcp": ["127.0.0.2:8080", "[::]:8080"]})


def test_a_fleet_with_keys() -> None:
    assert not findings(
        ufrag={"keys": {"a": "/a", "B": "/b"}, "mint_with": "B"},
        signaling={"cors_origins": ["https://app.example", "http://[::1]:8000", "*"]},
        supervisor={"runtime_directory": "/run/tandem"},
        relay={"advertise": ["203.0.113.7:443"]},
        link={"address": "fd00::1"},
    )


def test_workers_can_be_given_all_of_it() -> None:
    addresses = [f"[2001:db8:ffff:ffff:ffff:ffff:ffff:{n:x}]:65535" for n in range(8)]
    sites = [{"name": f"site {n}", "addresses": addresses} for n in range(600)]
    assert not findings(steering={"sites": sites[:200]})
    (found,) = findings(steering={"sites": sites})
    assert found.startswith("steering: is too large: everything together has 2")
    assert found.endswith(f"bytes, at most {MAX_BYTES} fit")


FLEET: dict[str, dict[str, Any]] = {
    "fleet": {"listen": ["10.0.0.1:3480"], "peers": ["10.0.0.2:3480"]},
    "redis": {"url": "redis://10.0.0.9"},
    "link": {"address": "10.0.0.1", "mtu": 1372},
    "ufrag": {"keys": {"a": "/a"}},
}


def test_a_fleet_of_hosts() -> None:
    assert not findings(**FLEET)
    assert not findings(**FLEET | {"link": {"address": "127.0.0.2"}})


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        ({"ufrag": {}}, "ufrag.keys: must name keys that all hosts of the fleet have in common"),
        ({"link": {}}, "link.address: 127.0.0.1 cannot be reached from the other hosts"),
        (
            {"link": {"address": "10.0.0.1"}},
            "link.mtu: must fit between hosts: 9000 at most, 1372 inside WireGuard",
        ),
        (
            {"fleet": {"peers": ["10.0.0.2:3480"]}},
            "fleet.listen: must say where the peers announce themselves",
        ),
        ({"fleet": {"listen": ["10.0.0.1:0"]}}, "fleet.listen[0]: port 0 is not in 1-65535"),
        (
            {"fleet": {"listen": ["0.0.0.0:1"]}},
            "fleet.listen[0]: 0.0.0.0 is not the exact address of a host",
        ),
        (
            {"fleet": {"listen": ["10.0.0.1:1", "10.0.0.1:1"]}},
            "fleet.listen[1]: 10.0.0.1:1 is there twice",
        ),
        (
            {"fleet": {"listen": ["10.0.0.1:1"], "peers": ["[fd00::2]:1"]}},
            "fleet.peers[0]: [fd00::2]:1 cannot be reached from any address of fleet.listen",
        ),
        (
            {"fleet": {"listen": ["10.0.0.1:1"], "everywhere": True}, "redis": {}},
            "fleet.everywhere: needs redis.url",
        ),
        (
            {"fleet": {"listen": ["10.0.0.1:1"], "calls": "10.0.0.1:0"}},
            "fleet.calls: port 0 is not in 1-65535",
        ),
        (
            {"fleet": {"listen": ["10.0.0.1:1"], "calls": "0.0.0.0:3481"}},
            "fleet.calls: 0.0.0.0 is not the exact address of a host",
        ),
        (
            {"fleet": {"calls": "10.0.0.1:80"}, "signaling": {"listen": ["10.0.0.1:80"]}},
            "fleet.calls: 10.0.0.1:80 is for calls of other hosts, and signaling.listen has 10.0.0.1:80",
        ),
        (
            {"redis": {"url": "redis://a:b@h"}},
            "redis.url: has a password in it; write that into redis.password_file",
        ),
        (
            {"redis": {"url": "redis://h", "prefix": "a:b"}},
            "redis.prefix: 'a:b' is not 1-32 of a-z, A-Z, 0-9, - and _",
        ),
        (
            {"redis": {"url": "redis://h", "password_file": "\0"}},
            "redis.password_file: must not contain a zero byte",
        ),
    ],
)
def test_what_a_fleet_lacks(changed: dict[str, dict[str, Any]], finding: str) -> None:
    assert findings(**FLEET | changed) == [finding]


AUTH = {"jwks_file": "/x", "issuer": "i", "audience": "a"}


def test_tokens_of_a_provider() -> None:
    assert findings(auth=AUTH) == []
    for url in ("https://id.example/keys", "http://127.0.0.1:1/keys", "http://localhost/"):
        assert findings(auth=AUTH | {"jwks_file": "", "jwks_url": url}) == []
    (said,) = findings(auth=AUTH, signaling={"anonymous": True})
    assert said.startswith("signaling.anonymous: there are tokens")


@pytest.mark.parametrize(
    ("section", "values", "finding"),
    [
        (
            "signaling",
            {"api_keys": "keys.toml"},
            "signaling.api_keys: must be an absolute path, got 'keys.toml'",
        ),
        ("signaling", {"api_keys": "/a\0"}, "signaling.api_keys: must not contain a zero byte"),
        ("relay", {"listen": []}, "relay.listen: must have at least one address"),
        ("relay", {"listen": ["127.0.0.1:0"]}, "relay.listen[0]: port 0 is not in 1-65535"),
        ("relay", {"listen": ["[::1]:5", "[::1]:5"]}, "relay.listen[1]: [::1]:5 is there twice"),
        (
            "relay",
            {"listen": ["10.0.0.1:5", "0.0.0.0:5"]},
            "relay.listen[0]: 10.0.0.1:5 is already covered by 0.0.0.0:5",
        ),
        ("relay", {"listen": ["224.0.0.1:5"]}, "relay.listen[0]: 224.0.0.1 is a multicast address"),
        (
            "relay",
            {"listen": ["[fe80::1]:5"]},
            "relay.listen[0]: fe80::1 is link-local: it means nothing to a client elsewhere",
        ),
        (
            "relay",
            {"advertise_tcp": ["[fe80::1]:5"]},
            "relay.advertise_tcp[0]: fe80::1 is link-local: it means nothing to a client elsewhere",
        ),
        ("relay", {"listen_tcp": ["10.0.0.1:0"]}, "relay.listen_tcp[0]: port 0 is not in 1-65535"),
        (
            "relay",
            {"listen_tcp": ["0.0.0.0:8080"]},
            "relay.listen_tcp[0]: 0.0.0.0:8080 is for ICE-TCP, and signaling.listen has 127.0.0.1:8080",
        ),
        (
            "relay",
            {"listen": ["127.0.0.1:8080"]},
            "relay.listen[0]: 127.0.0.1:8080 is for ICE-TCP, and signaling.listen has 127.0.0.1:8080",
        ),
        ("relay", {"advertise": ["1.2.3.4:0"]}, "relay.advertise[0]: port 0 is not in 1-65535"),
        (
            "relay",
            {"advertise": ["[::]:5"]},
            "relay.advertise[0]: :: is no address a client could send to",
        ),
        (
            "relay",
            {"advertise": ["1.2.3.4:5", "1.2.3.4:5"]},
            "relay.advertise[0]: 1.2.3.4:5 is there twice",
        ),
        (
            "relay",
            {"max_flows": 16, "max_pending": 17},
            "relay.max_pending: must not exceed relay.max_flows (16), got 17",
        ),
        ("link", {"address": "0.0.0.0"}, "link.address: 0.0.0.0 is a wildcard; name the exact"),
        ("link", {"address": "::"}, "link.address: :: is a wildcard"),
        ("link", {"address": "localhost"}, "link.address: 'localhost' is not an IP address"),
        ("link", {"address": "ff02::1"}, "link.address: ff02::1 is a multicast address"),
        ("signaling", {"listen": []}, "signaling.listen: must have at least one address"),
        ("ops", {"listen": ["[::1]:1", "[::1]:1"]}, "ops.listen[1]: [::1]:1 is there twice"),
        (
            "signaling",
            {"cors_origins": ["https://a.example/"]},
            "signaling.cors_origins[0]: 'https",
        ),
        ("signaling", {"cors_origins": ["a.example"]}, "signaling.cors_origins[0]: 'a.example' is"),
        (
            "signaling",
            {"anonymous": True, "api_keys": "/x"},
            "signaling.anonymous: there are API keys",
        ),
        ("auth", AUTH | {"jwks_file": "set.json"}, "auth.jwks_file: must be an absolute path"),
        ("auth", AUTH | {"jwks_file": "/set\0"}, "auth.jwks_file: must not contain a zero byte"),
        ("auth", AUTH | {"jwks_url": "https://x/"}, "auth.jwks_url: keys come from auth.jwks_file"),
        ("auth", AUTH | {"issuer": ""}, "auth.issuer: must be said: what `iss` of"),
        ("auth", AUTH | {"audience": ""}, "auth.audience: must be said: what `aud` of"),
        ("auth", AUTH | {"scope": "a b"}, "auth.scope: 'a b' is not one word"),
        ("auth", AUTH | {"backends": ["echo", "x"]}, "auth.backends[1]: 'x' is no back end; there"),
        *(
            ("auth", AUTH | {"jwks_file": "", "jwks_url": url}, f"auth.jwks_url: {what}")
            for url, what in {
                "http://id.example/": "http://id.example/: whoever is on the way could put in keys",
                "ftp://id.example/": "'ftp://id.example/' is not https://HOST[:PORT]/PATH",
                "https://me:pw@id.example/": "'https://me:pw@id.example/' is not https://",
                "https://id.example:99999/": "'https://id.example:99999/' is not https://",
                "https://id.example/a b": "'https://id.example/a b' is not https://",
            }.items()
        ),
        ("ufrag", {"keys": {"ab": "/x"}, "mint_with": "ab"}, "ufrag.keys.ab: key id 'ab' is not"),
        ("ufrag", {"keys": {"a": ""}}, "ufrag.keys.a: must name a file"),
        ("ufrag", {"mint_with": "a"}, "ufrag.mint_with: 'a' names no key; ufrag.keys is empty"),
        (
            "backends",
            {"endpoints": {"echo": ("ipc:///x",)}},
            "backends.endpoints.echo: echo is built",
        ),
        (
            "backends",
            {"endpoints": {"A b": ("ipc:///x",)}},
            "backends.endpoints.\"A b\": 'A b' is not 1-32",
        ),
        ("realtime", {"url": "http://x/"}, "realtime.url: 'http://x/' is not wss://"),
        ("realtime", {"url": "wss://x:99999"}, "realtime.url: 'wss://x:99999' is not wss://"),
        (
            "realtime",
            {"url": "ws://10.0.0.5/v1"},
            "realtime.url: ws://10.0.0.5/v1 leaves this host",
        ),
        ("realtime", {"api_key_file": "a\0"}, "realtime.api_key_file: must not contain"),
        ("backends", {"endpoints": {"a": ()}}, "backends.endpoints.a: must have at least one"),
        ("backends", {"endpoints": {"a": ("ipc://x",)}}, "backends.endpoints.a[0]: 'ipc://x' must"),
        (
            "backends",
            {"endpoints": {"a": ("udp://x:1",)}},
            "backends.endpoints.a[0]: 'udp://x:1' is",
        ),
        (
            "backends",
            {"endpoints": {"a": ("tcp://x:0",)}},
            "backends.endpoints.a[0]: 'tcp://x:0' is",
        ),
        (
            "backends",
            {"endpoints": {"a": ("tcp://10.0.0.5:7001",)}},
            "backends.endpoints.a[0]: tcp://10.0.0.5:7001 leaves this host unencrypted",
        ),
        (
            "backends",
            {"endpoints": {"a": ("ipc:///x", "ipc:///x")}},
            "backends.endpoints.a[1]: ipc:///x is there twice",
        ),
        (
            "backends",
            {"default": "agent"},
            "backends.default: 'agent' is no back end; there are echo",
        ),
        (
            "ufrag",
            {"keys": {"a": "/a", "b": "/b"}},
            "ufrag.mint_with: must say which of 'a', 'b' new sessions get",
        ),
        (
            "cluster",
            {"id": 7, "others": {7: ["127.0.0.1:3479"]}},
            "cluster.others.7: 7 is this host's own cluster",
        ),
        (
            "cluster",
            {"others": {7: ["127.0.0.1:3479", "127.0.0.1:3479"]}},
            "cluster.others.7[1]: 127.0.0.1:3479 is there twice",
        ),
        (
            "cluster",
            {"others": {7: ["0.0.0.0:3479"]}, "ingress": "", "id": 1},
            "cluster.others.7[0]: 0.0.0.0 is no address of a relay",
        ),
        (
            "cluster",
            {"ingress": "127.0.0.1:3479"},
            "cluster.ingress: needs cluster.global_relays, or fleet.everywhere: who may send clients there",
        ),
        (
            "cluster",
            {"ingress": "127.0.0.1:3478", "global_relays": ["127.0.0.1"]},
            "cluster.ingress: 127.0.0.1:3478 is already taken by relay.listen",
        ),
        (
            "cluster",
            {"ingress": "10.0.0.1:3479", "global_relays": ["127.0.0.1"]},
            "link.mtu: must not exceed 9000 with cluster.ingress (1372 inside WireGuard), got 65000",
        ),
        (
            "cluster",
            {"global_relays": ["example.org"]},
            "cluster.global_relays[0]: 'example.org' is not an IP address",
        ),
        (
            "cluster",
            {"global_relays": ["2001:DB8::1"]},
            "cluster.global_relays[0]: write it 2001:db8::1",
        ),
        (
            "steering",
            {"country_header": "CF-IPCountry"},
            "steering.country_header: must be the name of a header, in lower case, or empty",
        ),
        (
            "steering",
            {"database": "city.mmdb"},
            "steering.database: must be an absolute path, got 'city.mmdb'",
        ),
        (
            "supervisor",
            {"state_directory": "var"},
            "supervisor.state_directory: must be an absolute path, got 'var'",
        ),
        (
            "supervisor",
            {"state_directory": "/a\0b"},
            "supervisor.state_directory: must not contain a zero byte",
        ),
    ],
)
def test_a_contradiction(section: str, values: dict[str, Any], finding: str) -> None:
    (found,) = findings(**{section: values})
    assert found.startswith(finding)


def test_a_finding_knows_what_it_rests_on() -> None:
    finding = Finding(("ufrag", "mint_with"), "", (("ufrag", "keys"),))
    assert finding.rests_on(("ufrag", "keys", "a"))
    assert finding.rests_on(("ufrag",))
    assert finding.rests_on(("ufrag", "mint_with"))
    assert not finding.rests_on(("relay", "listen"))


def test_a_global_relay_has_to_be_reached_by_others() -> None:
    others = {"others": {7: ["10.7.0.1:3479"]}}
    found = findings(cluster=others)
    assert [each.partition(":")[0] for each in found] == ["link.address", "link.mtu"]
    assert not findings(cluster=others, link={"address": "10.0.0.5", "mtu": 1372})
    assert not findings(cluster={"others": {7: ["127.0.0.1:3479"]}})


def test_the_realtime_back_end_has_its_name_for_itself() -> None:
    url = "ws://[::1]:9000/v1/realtime?x=1"
    assert not findings(realtime={"url": url}, backends={"default": "realtime"})
    (found,) = findings(realtime={"url": url}, backends={"endpoints": {"realtime": ["ipc:///x"]}})
    assert "realtime.url makes a back end of that name" in found


KEY = "ZY7mpSjs8V.0f2OlQXORyb*Gm^Vp%d?H-sCUqmUu"


def test_operators_elsewhere() -> None:
    assert not findings(admin={"listen": ["0.0.0.0:7788"], "clients": {"alice": KEY}})
    assert not findings(admin={"clients": {"alice": KEY}})
    assert findings(admin={"listen": ["0.0.0.0:7788"]}) == [
        "admin.listen: needs admin.clients: nobody could come in (tandem keys curve)"
    ]
    assert findings(admin={"listen": ["127.0.0.1:0"], "clients": {"a": KEY}}) == [
        "admin.listen[0]: port 0 is not in 1-65535"
    ]
