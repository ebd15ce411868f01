"""`tandem reload`: what it says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli.commands import reload
from appliance.cli.main import main
from ipc.messages.admin import ConfigChange, ReloadReply, ReloadRequest

CHANGES = (
    ConfigChange("relay.flow_idle", "60.0", "90.0", "roll_workers"),
    ConfigChange("relay.max_flows", "65536", "4096", "restart"),
)


@pytest.mark.parametrize(
    ("reply", "code", "said", "complained"),
    [
        (ReloadReply(), 0, "nothing has changed\n", ""),
        (
            ReloadReply(changes=CHANGES, replaced=("relay-0", "relay-1")),
            0,
            (
                "relay.flow_idle: 60.0 -> 90.0\n"
                "relay.max_flows: 65536 -> 4096, at the next start\n"
                "replaced: relay-0, relay-1\n"
            ),
            "",
        ),
        (
            ReloadReply(added=("relay-1", "relay-2")),
            0,
            "added: relay-1, relay-2\n",
            "",
        ),
        (
            ReloadReply(removed=("relay-1",)),
            0,
            "removed, as soon as their sessions are over: relay-1\n",
            "",
        ),
        (
            ReloadReply(problems=("f:1: relay.mtu: no such key",)),
            78,
            "",
            "f:1: relay.mtu: no such key\nnothing was changed\n",
        ),
        (
            ReloadReply(given_up="relay-0 did not start"),
            1,
            "",
            "tandem: given up: relay-0 did not start\n",
        ),
    ],
)
def test_says_what_came_of_it(
    monkeypatch: pytest.MonkeyPatch, reply: ReloadReply, code: int, said: str, complained: str
) -> None:
    asked = []

    def ask(socket: Path, question: ReloadRequest, expected: object, within: float) -> ReloadReply:
        asked.append(question)
        return reply

    monkeypatch.setattr(reload, "ask", ask)
    done = CliRunner().invoke(main, ["reload", "--roll", "--runtime-directory", "/x"])
    assert (done.exit_code, done.stdout, done.stderr) == (code, said, complained)
    assert asked == [ReloadRequest(roll=True)]
    done = CliRunner().invoke(main, ["reload", "--json", "--runtime-directory", "/x"])
    assert done.exit_code == code
    assert json.loads(done.stdout)["replaced"] == list(reply.replaced)
    assert done.stderr == ""
