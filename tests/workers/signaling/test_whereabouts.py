"""Where clients are, and what is near to them."""

from __future__ import annotations

from math import inf

import pytest

from workers.signaling.whereabouts import (
    STEP,
    Headers,
    Location,
    Whereabouts,
    distance,
    farness,
    is_nearer,
)

NAMES = Headers("country", "latitude", "longitude")


def test_known_distances() -> None:
    paris, london = Location(48.8566, 2.3522), Location(51.5074, -0.1278)
    assert distance(paris, london) == pytest.approx(344, abs=2)
    assert distance(Location(0, 179.5), Location(0, -179.5)) == pytest.approx(111.2, abs=0.1)
    assert distance(Location(90, 0), Location(-90, 0)) == pytest.approx(20_015, abs=1)
    assert distance(paris, paris) == 0


@pytest.mark.parametrize(
    "said",
    [
        {"latitude": "48.9"},
        {"latitude": "nan", "longitude": "2"},
        {"latitude": "1e999", "longitude": "2"},
        {"latitude": "91", "longitude": "2"},
        {"latitude": "1", "longitude": "-181"},
        {"latitude": "1" * 500, "longitude": "2"},
        {"country": "XYZ"},
        {"country": "T1"},
        {"country": "ß"},
    ],
)
def test_what_makes_no_sense_was_not_said(said: dict[str, str]) -> None:
    assert NAMES.read(said) == Whereabouts()


def test_how_far_a_place_is() -> None:
    paris, frankfurt = Location(48.9, 2.35), Location(50.1, 8.7)
    client = Whereabouts(paris, "FR")
    assert farness(client, frankfurt, ()) == (False, distance(paris, frankfurt))
    assert farness(client, None, {"FR"}) == (False, 0.0)
    assert farness(client, None, {"DE"}) == (False, inf)
    assert farness(Whereabouts(country="FR"), frankfurt, {"FR"}) == (False, 0.0)
    assert farness(Whereabouts(country="FR"), frankfurt, {"DE"}) == (True, 0.0)
    assert farness(Whereabouts(), frankfurt, ()) == (True, 0.0)


@pytest.mark.parametrize(
    ("there", "here", "nearer"),
    [
        ((False, 0.0), (False, STEP), True),
        ((False, 1.0), (False, STEP), False),
        ((False, STEP), (False, 0.0), False),
        ((False, 0.0), (True, 0.0), True),
        ((True, 0.0), (True, 0.0), False),
        ((True, 0.0), (False, 0.0), False),
        ((False, 9000.0), (False, inf), True),
        ((False, inf), (False, inf), False),
    ],
)
def test_nearer_is_what_makes_a_difference(
    there: tuple[bool, float], here: tuple[bool, float], nearer: bool
) -> None:
    assert is_nearer(there, here) is nearer
