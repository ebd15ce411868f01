from __future__ import annotations

import json

from appliance.cli.render import as_json
from appliance.cli.views.findings import report_view
from appliance.doctor.finding import Report, fail, ok, warn
from tests.support.terminal import row_of, text_of

REPORT = Report(
    (
        ok("clock.steady", "both clocks agree"),
        warn("ports.advertise", "private [addresses] only", "name the public one"),
        fail("files.state", "open to everybody", "chmod 0700 /var/lib/tandem"),
    ),
    running=True,
)


def test_a_line_a_finding_and_what_to_change_under_it() -> None:
    text = text_of(report_view(REPORT))
    assert row_of(text, "ok ") == "ok clock.steady both clocks agree"
    assert row_of(text, "warn ") == "warn ports.advertise private [addresses] only"
    assert [line.strip() for line in text.splitlines() if "->" in line] == [
        "-> name the public one",
        "-> chmod 0700 /var/lib/tandem",
    ]
    assert text.splitlines()[-1] == "1 ok, 1 warn, 1 fail"


def test_for_programs() -> None:
    found = json.loads(as_json(REPORT))
    assert found["running"] is True
    assert [finding["level"] for finding in found["findings"]] == ["ok", "warn", "fail"]
