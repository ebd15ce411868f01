from __future__ import annotations

import re

from ipc.log_line import line_for_people


def test_the_parts_stand_under_each_other() -> None:
    line = line_for_people(1.0, "warning", "relay-0", "killed", {"of": "relay-1", "why": "silent"})
    assert line[8:] == " warning  relay-0        killed  of=relay-1 why=silent"
    assert re.match(r"\d\d:\d\d:\d\d ", line)


def test_what_is_not_known_takes_no_room_but_the_clock_s() -> None:
    assert line_for_people(0.0, "info", "", "Traceback:", {}) == " " * 9 + "info     Traceback:"


def test_colours_change_no_letter() -> None:
    plain = line_for_people(1.0, "error", "relay-0", "killed", {"of": "relay-1"})
    coloured = line_for_people(1.0, "error", "relay-0", "killed", {"of": "relay-1"}, colours=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert coloured != plain
