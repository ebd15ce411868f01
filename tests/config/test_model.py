"""The default file and the model say the same; values survive the way to a worker."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

import pytest
from pydantic import BaseModel, ValidationError

from config.ids import Endpoint
from config.load import load
from config.model import Config, LogLevel, RelaySection

DEFAULT_FILE = files("config").joinpath("tandem.toml").read_text(encoding="utf-8")
UNCOMMENTED = re.sub(r"^#(?=\w)", "", DEFAULT_FILE, flags=re.MULTILINE)
PROSE = " ".join(line.lstrip("# ") for line in DEFAULT_FILE.splitlines() if line.startswith("# "))


def sections() -> list[tuple[str, type[BaseModel]]]:
    found = []
    for name, field in Config.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        found.append((name, field.annotation))
    return found


FIELDS = [
    pytest.param(section, key, field.description, id=f"{section}.{key}")
    for section, model in sections()
    for key, field in model.model_fields.items()
]


def test_the_default_file_changes_nothing() -> None:
    assert load(DEFAULT_FILE, source="tandem.toml") == Config()


def test_the_default_file_shows_the_defaults() -> None:
    assert load(UNCOMMENTED, source="tandem.toml") == Config()


@pytest.mark.parametrize(("section", "key", "description"), FIELDS)
def test_the_default_file_shows_and_explains_every_key(
    section: str, key: str, description: str | None
) -> None:
    assert key in tomllib.loads(UNCOMMENTED)[section]
    assert description, "every field has a doc string"
    assert " ".join(description.split()) in PROSE


def test_the_default_file_explains_every_section() -> None:
    for _, model in sections():
        assert model.__doc__
        assert model.__doc__.removesuffix(".") in PROSE


def test_the_default_file_has_no_other_key() -> None:
    shown = {(s, k) for s, table in tomllib.loads(UNCOMMENTED).items() for k in table}
    assert shown == {(s, k) for s, model in sections() for k in model.model_fields}


def test_a_config_travels_as_json() -> None:
    config = load('[relay]\nlisten = ["[::1]:9"]\n[log]\nlevel = "debug"', source="x")
    again = Config.model_validate_json(config.model_dump_json())
    assert again == config
    assert again.relay.listen == (Endpoint("::1", 9),)
    assert again.log.level is LogLevel.DEBUG


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Config().relay.workers = 3


def test_where_tcp_is_served_and_what_answers_say() -> None:
    listen, advertise, far = (Endpoint(f"192.0.2.{n}", 443) for n in (1, 2, 3))
    relay = RelaySection(listen=(listen,), advertise=(advertise,))
    assert (relay.tcp_listen, relay.tcp_advertise) == ((listen,), (advertise,))
    relay = relay.model_copy(update={"listen_tcp": (far,)})
    assert (relay.tcp_listen, relay.tcp_advertise) == ((far,), ())
    relay = relay.model_copy(update={"advertise_tcp": (advertise,)})
    assert relay.tcp_advertise == (advertise,)
    assert RelaySection(tcp=False, listen_tcp=(far,)).tcp_listen == ()
