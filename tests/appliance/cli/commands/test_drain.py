"""`tandem drain` and `tandem undrain`, with an appliance that is made up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli.commands import drain, undrain
from appliance.cli.main import main
from ipc.messages import Message
from ipc.messages.admin import CordonRequest, StatusReply, StatusRequest, WorkerStatus


def status(*sessions: int, cordoned: bool = False, workers: tuple[int, ...] = ()) -> StatusReply:
    rows = [
        WorkerStatus(f"transceiver-{n}", "ready", 5, None, 0, 1.0, each, cordoned=n in workers)
        for n, each in enumerate(sessions)
    ]
    relay = WorkerStatus("relay-0", "ready", 6, None, 0, 1.0, 99)
    return StatusReply("1", 1, "ready", 1.0, "", (), (), (relay, *rows), cordoned=cordoned)


class Asked:
    """What was asked, answered from a list."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *replies: StatusReply) -> None:
        self.questions: list[Message] = []
        self._replies: Iterator[StatusReply] = iter(replies)
        monkeypatch.setattr(drain, "ask", self.ask)
        monkeypatch.setattr(undrain, "ask", self.ask)
        monkeypatch.setattr(drain, "LOOK", 0.0)
        monkeypatch.setattr(drain, "SETTLED", 0.0)

    def ask(
        self, socket: Path, question: Message, expected: object, *, refused: int = 1
    ) -> StatusReply:
        self.questions.append(question)
        return next(self._replies)


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, [*arguments, "--runtime-directory", "/x"])
    return done.exit_code, done.stdout, done.stderr


def test_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, status(3, 4))
    assert run("drain") == (0, "this host takes no new sessions, 7 left\n", "")
    assert asked.questions == [CordonRequest()]


def test_waits_and_says_how_many_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, status(3, 4), status(3, 4), status(3, 1), status(2, 0))
    code, said, progress = run("drain", "--until", "2")
    assert (code, said) == (0, "this host takes no new sessions, 2 left\n")
    assert progress == "7 sessions left\n4 sessions left\n"
    assert asked.questions[1:] == [StatusRequest()] * 3


def test_none_left_is_believed_when_workers_had_the_time_to_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Asked(monkeypatch, status(0, 0), status(0, 1), status(0, 0))
    monkeypatch.setattr(drain, "SETTLED", 0.2)
    monkeypatch.setattr(drain, "LOOK", 0.15)
    assert run("drain", "--until", "0")[:2] == (0, "this host takes no new sessions, 0 left\n")
    assert len(asked.questions) == 3


def test_a_deadline_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    Asked(monkeypatch, status(3, 4))
    code, said, _ = run("drain", "transceiver-1", "--deadline", "0", "--json")
    assert code == 1
    found = json.loads(said)
    assert (found["drained"], found["sessions"]) == (["transceiver-1"], 4)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (status(1, 1), "everything takes sessions\n"),
        (status(1, 1, workers=(1,)), "drained still: transceiver-1\n"),
        (
            status(1, 1, cordoned=True),
            "this host is drained still; take that back with: tandem undrain\n",
        ),
    ],
)
def test_undrain(monkeypatch: pytest.MonkeyPatch, reply: StatusReply, said: str) -> None:
    asked = Asked(monkeypatch, reply)
    assert run("undrain", "transceiver-0") == (0, said, "")
    assert asked.questions == [CordonRequest(("transceiver-0",), lift=True)]
