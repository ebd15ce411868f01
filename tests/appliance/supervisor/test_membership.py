from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.supervisor.core.interface import KeepHosts, KeepNumbers
from appliance.supervisor.membership import GOOD_FOR, Membership
from appliance.supervisor.problems import CannotStart
from config.ids import ClusterId, HostId, TransceiverId
from ipc.messages.fleet import FleetHost, FleetView

HERE = ClusterId(3)
IDS = (TransceiverId(4), TransceiverId(9))


def test_a_host_names_itself_once(tmp_path: Path) -> None:
    name = Membership(tmp_path, HERE).host
    assert len(name) == 16
    assert Membership(tmp_path, HERE).host == name


def test_a_damaged_name_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "host").write_text("../../etc\n")
    with pytest.raises(CannotStart, match="remove it"):
        Membership(tmp_path, HERE)


def test_numbers_outlive_a_restart(tmp_path: Path) -> None:
    first = Membership(tmp_path, HERE)
    assert first.ids == ()
    first.keep(KeepNumbers(IDS))
    assert Membership(tmp_path, HERE).ids == IDS
    assert (tmp_path / "numbers").stat().st_mode & 0o077 == 0


def test_numbers_are_those_of_a_cluster(tmp_path: Path) -> None:
    Membership(tmp_path, HERE).keep(KeepNumbers(IDS))
    assert Membership(tmp_path, ClusterId(4)).ids == ()


@pytest.mark.parametrize("age", [GOOD_FOR + 60, -3600.0])
def test_numbers_from_long_ago_or_from_the_future_are_not_used(tmp_path: Path, age: float) -> None:
    Membership(tmp_path, HERE).keep(KeepNumbers(IDS))
    kept = json.loads((tmp_path / "numbers").read_text())
    kept["prolonged"] -= age
    (tmp_path / "numbers").write_text(json.dumps(kept))
    assert Membership(tmp_path, HERE).ids == ()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cluster": 3, "ids": [70000], "prolonged": 1e12}', "\xff"]
)
def test_what_is_damaged_is_leased_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "numbers").write_text(text, encoding="utf-8")
    assert Membership(tmp_path, HERE).ids == ()


def test_what_was_known_of_others_outlives_a_supervisor(tmp_path: Path) -> None:
    view = FleetView((FleetHost(HostId("a" * 16), HERE, "ready"),))
    assert Membership(tmp_path, HERE).view == FleetView(())
    Membership(tmp_path, HERE).keep(KeepHosts(view))
    assert Membership(tmp_path, HERE).view == view
    (tmp_path / "hosts").write_text("c0\n")
    assert Membership(tmp_path, HERE).view == FleetView(())
