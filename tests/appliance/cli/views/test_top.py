from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli.rates import Frame, Rates, Totals
from appliance.cli.views.top import rate, spark, top_view
from tests.support.terminal import row_of, text_of

TOTALS = Totals(
    412, 34.4, 300 * 2**20, 20_600.0, 20_500.0, 0.013, 2.0, (400.0, 412.0), (1.0,), (3.0,)
)


def rates(number: int, **others: object) -> Rates:
    given_ = {
        "cpu_percent": float(number),
        "memory_bytes": 55 * 2**20,
        "packets_in": 10_300.0,
        "packets_out": 9.5,
        "loss_percent": 0.02,
        "drops": 0.0,
        "history": tuple(map(float, range(60))),
    }
    return Rates(f"transceiver-{number}", "ready", 206, **{**given_, **others})  # type: ignore[arg-type]


def frame(workers: int = 4, warnings: tuple[str, ...] = ()) -> Frame:
    return Frame(0.0, "0.1.0", "ready", 7810.0, TOTALS, tuple(map(rates, range(workers))), warnings)


def test_totals_and_a_worker_a_line() -> None:
    text = text_of(top_view(frame()), width=100)
    assert "tandem 0.1.0  ready for 2h10m" in text
    assert row_of(text, "sessions").startswith("sessions 412 ")
    assert row_of(text, "packets in ").startswith("packets in 20.6k/s")
    assert "loss 0.01 % drops 2.0/s" in " ".join(text.split())
    row = row_of(text, "transceiver-3")
    assert row.startswith("transceiver-3 ready 206 3.0 55M 10.3k 9.5 0.02 0 ▁")
    assert row.endswith("█")


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("workers", [1, 4, 40])
def test_it_fits_its_screen(width: int, workers: int) -> None:
    view = top_view(frame(workers, ("receive buffer",)), width, 24, note="gone", hint="q quits")
    lines = text_of(view, width).splitlines()
    assert len(lines) <= 24
    assert not any("…" in line for line in lines)
    assert max(map(len, lines)) <= width


def test_of_too_many_the_busiest_are_shown() -> None:
    text = text_of(top_view(frame(40), 80, 24), 80)
    assert "transceiver-39" in text
    assert "transceiver-0 " not in text
    assert "workers more" in text


def test_what_is_not_known_is_not_shown_as_nought() -> None:
    unknown = Rates("relay-0", "starting", 0)
    view = top_view(Frame(0.0, "1", "starting", 0.0, TOTALS, (unknown,)))
    assert row_of(text_of(view), "relay-0") == "relay-0 starting 0 - - - - - -"


def test_a_sparkline_ends_with_now() -> None:
    assert spark([], 5) == ""
    assert spark([0, 0], 5) == "▁▁"
    assert spark([0, 100], 5) == "▁█"
    assert spark([1, 2], 5) == "▂▂"
    assert spark([0, 0, 0, 100, 0], 3) == "▁▁█"
    assert spark([50, 0], 5, 100.0) == "▅▁"


@given(st.lists(st.floats(0, 1e9), max_size=90), st.integers(1, 60))
def test_a_sparkline_is_as_long_as_there_is_room(values: list[float], width: int) -> None:
    assert len(spark(values, width)) <= min(width, len(values))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.25, "0.2"),
        (9.94, "9.9"),
        (9.97, "10"),
        (812.4, "812"),
        (999.7, "1.0k"),
        (20_640, "20.6k"),
        (1_250_000, "1.2M"),
        (3e9, "3.0G"),
    ],
)
def test_rate(value: float | None, text: str) -> None:
    assert rate(value) == text
