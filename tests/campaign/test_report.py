from __future__ import annotations

import json

from tests.campaign.judge import Attempt, Evidence, Group
from tests.campaign.plan import NATURES, Kind
from tests.campaign.report import BEGIN, END, again, fields, part, put_into
from tests.support.tree import ROOT

TALKED = Attempt("rtc_0_a", "", True, 1.0, messages_sent=7, messages_received=7)
ENDED = Attempt("rtc_0_b", "the server ended the call early", True, 1.0, messages_sent=3)
REFUSED = Attempt("", "HTTP 503", False, 1.0)
SEEN = Evidence(calls=2, groups=(Group("calls", (TALKED, ENDED, REFUSED), True),))


def test_what_came_of_it() -> None:
    found = fields({Kind.ROLL: 2}, {Kind.CLOCK: "needs cc"}, SEEN, ["it broke"])
    assert (found["faults"], found["invariants_broken"]) == (2, 1)
    assert found["calls_placed"] == 3
    assert found["calls_ended_with_their_transceiver"] == found["calls_refused_meanwhile"] == 1
    assert found["messages"] == 10
    assert found["not_run"] == {"step the clock": "needs cc"}


def test_a_page_gets_a_new_part() -> None:
    found = fields({Kind.ROLL: 2}, {Kind.CLOCK: "needs cc"}, SEEN, [])
    found |= {"seed": 7, "again": again(7, 2, 2.5, 2), "seconds": 9.2}
    page = put_into(f"above\n{BEGIN}\nold\n{END}\nbelow\n", found)
    assert page == f"above\n{part(found)}\nbelow\n"
    assert "old" not in page
    assert f"| step the clock | {NATURES[Kind.CLOCK].may_lose} | not run: needs cc |" in page
    assert f"| replace all workers | {NATURES[Kind.ROLL].may_lose} | 2 |" in page
    assert f"| kill a spare | {NATURES[Kind.KILL_SPARE].may_lose} | not by this seed |" in page
    assert "python -m tests.campaign --seed 7 --faults 2 --seconds 2.5 --calls 2" in page
    assert put_into(page, found) == page


def test_the_page_of_the_docs_says_what_was_saved() -> None:
    found = json.loads((ROOT / "docs/campaign.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert put_into(page, found) == page, "run: make campaign"
