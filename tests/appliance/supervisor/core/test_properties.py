"""Whatever happens in whatever order: one process a name, nothing lost, and an end that comes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.supervisor.core.interface import (
    DrainRequested,
    Finished,
    Reloaded,
    SpareGone,
    Spawn,
    StartRequested,
    Steered,
    StopRequested,
)
from appliance.supervisor.core.lifecycle import WorkerState
from config.ids import Role, WorkerName
from config.model import Config
from ipc.messages.lifecycle import Heartbeat, Ready, Released, WorkerPhase
from ipc.messages.routes import RoutesApplied
from tests.support.supervision import Table

NAMES = (
    *("relay-0", "relay-1", "relay-2", "transceiver-0", "signaling-0"),
    *("transceiver-1", "transceiver-2", "transceiver-3", "signaling-1", "realtime-0", "realtime-1"),
)
ROLLS = {
    "reload": (1, ()),
    "roll": (1, (Role.RELAY,)),
    "roll all": (1, tuple(Role)),
    "roll others": (2, (Role.TRANSCEIVER, Role.SIGNALING)),
    "another transceiver": (2, ()),
}
steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("hello", "ready", "bare ready", "beat", "drains", "applied"),
                *("crash", "exit", "config", "released", "no spare"),
                *ROLLS,
                *("one relay", "two relays", "three relays", "known", "steered", "not steered"),
            ]
        ),
        st.sampled_from(NAMES),
        st.sampled_from([0.0, 0.0, 0.1, 1.0, 9.0, 31.0, 70.0]),
    ),
    max_size=80,
)


def config_with(transceivers: int) -> Config:
    return Config.model_validate(
        {
            "transceiver": {"workers": transceivers},
            "relay": {"workers": 2, "flow_idle": 90.0},
            "realtime": {"url": "wss://example.org/"},
        }
    )


def play(table: Table, what: str, name: str) -> None:
    match what:
        case "one relay" | "two relays" | "three relays":
            table.resize(("one relay", "two relays", "three relays").index(what) + 1)
            return
        case "steered" | "not steered":
            table.feed(Steered("" if what == "steered" else "no room"))
            return
        case _ if what in ROLLS:
            transceivers, roles = ROLLS[what]
            table.reload(config_with(transceivers), *roles)
            return
        case "known":
            table.know_relays()
            table.apply_routes()
            return
        case _:
            pass
    process = table.current.get(name)
    if process not in table.pids:
        return
    match what:
        case "hello":
            table.hello(name)
        case "ready":
            table.ready(name)
        case "bare ready":
            table.say(name, Ready())
        case "beat":
            table.say(name, Heartbeat(WorkerPhase.READY, 1))
        case "drains":
            table.say(name, Heartbeat(WorkerPhase.DRAINING, 1))
        case "applied":
            table.say(name, RoutesApplied(3))
        case "released":
            before = table.current[name]
            table.say(name, Released())
            if before in table.pids and table.current[name] != before:
                table.leave(before)
        case "no spare":
            for spare in list(table.spares):
                table.spares.discard(spare)
                table.feed(SpareGone(spare, "exit code 1"))
        case "crash":
            table.die(name, -11)
        case "exit":
            table.die(name, 0)
        case "config":
            table.die(name, 78)
        case _:
            raise AssertionError(what)


def check(table: Table) -> None:
    living = [process.name for process in table.pids]
    assert len(living) == len(set(living)), "two processes of one name"
    generations = [o.process.generation for o in table.outputs if isinstance(o, Spawn)]
    assert generations == sorted(set(generations))
    for name in table.current:
        has_process = table.states[WorkerName(name)] in (
            WorkerState.STARTING,
            WorkerState.READY,
            WorkerState.DRAINING,
            WorkerState.RELEASING,
        )
        assert has_process == (table.current[name] in table.pids), name


@settings(max_examples=200, deadline=None)
@given(steps, st.sampled_from([DrainRequested(), StopRequested()]), st.integers(0, 80))
def test_one_process_a_name_and_an_end_that_comes(
    script: list[tuple[str, str, float]], ending: DrainRequested | StopRequested, when: int
) -> None:
    table = Table(config_with(1))
    table.feed(StartRequested())
    check(table)
    asked = 0
    for number, (what, name, seconds) in enumerate(script):
        if number == when:
            table.feed(ending)
        asked += what.endswith(("relay", "relays")) or what in ROLLS
        play(table, what, name)
        table.sleep(seconds, beating=bool(number % 2))
        check(table)
    table.feed(ending)
    for _ in range(20):
        for name in NAMES:
            play(table, "exit", name)
        table.sleep(0.5)
        check(table)
    assert not table.pids
    assert not table.spares
    assert len([o for o in table.outputs if isinstance(o, Reloaded)]) == asked
    assert len([o for o in table.outputs if isinstance(o, Finished)]) == 1
    assert table.core.next_timeout() is None
