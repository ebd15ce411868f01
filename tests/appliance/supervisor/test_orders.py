from __future__ import annotations

from pathlib import Path

import pytest

from appliance.supervisor.core.interface import Cordons
from appliance.supervisor.orders import Orders
from config.ids import WorkerName

CORDONS = Cordons(host=True, workers=(WorkerName("transceiver-0"),))


def test_an_heir_obeys_and_a_new_appliance_does_not(tmp_path: Path) -> None:
    Orders(tmp_path, heir=True).keep(CORDONS)
    assert Orders(tmp_path, heir=True).cordons == CORDONS
    assert Orders(tmp_path, heir=False).cordons == Cordons()
    assert Orders(tmp_path, heir=True).cordons == Cordons()


@pytest.mark.parametrize("content", [b"", b"{", b'{"host": 3}', b"\xff"])
def test_what_cannot_be_read_is_no_order(tmp_path: Path, content: bytes) -> None:
    orders = Orders(tmp_path, heir=True)
    orders.keep(CORDONS)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert Orders(tmp_path, heir=True).cordons == Cordons()


def test_an_end_in_order_ends_it(tmp_path: Path) -> None:
    orders = Orders(tmp_path, heir=True)
    orders.keep(CORDONS)
    orders.forget()
    orders.forget()
    assert Orders(tmp_path, heir=True).cordons == Cordons()
