"""For all tests: how long an example takes says something of the machine, not of the code.

Whole appliances, browsers and machines share two CPUs with each other here, and where CI runs with others,
too: a packet may be late. Tests that wait for somebody else are asked a second time, and the report names
them ("RERUN"): each is a defect, of the test or of what it tests, to be understood.
"""

from __future__ import annotations

import gc
import inspect
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

_UNTIMED: Final = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# A change is judged by the same examples as the one before it; `make explore` looks for new ones.
settings.register_profile("same", _UNTIMED, derandomize=True)
settings.register_profile("explore", _UNTIMED, max_examples=1000)
settings.load_profile("same")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Of a shell that runs this in the background; what tests start and interrupt would have it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_WHOLE: Final = frozenset({"process", "interop"})
_HERE: Final = Path(__file__).parent


@pytest.fixture(autouse=True)
def _priority() -> Iterator[None]:
    """A relay's datapath leaves the CPU to its own thread; here others would inherit that, for good."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    yield
    if os.getpriority(os.PRIO_PROCESS, 0) != before:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


@pytest.fixture(autouse=True)
def _left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test of whole appliances leaves to the collector is found in that test, not in a later one."""
    yield
    if any(request.node.get_closest_marker(name) for name in _WHOLE):
        gc.collect()


def _meets_the_clock(item: pytest.Item) -> bool:
    return (
        inspect.iscoroutinefunction(getattr(item, "function", None))
        or item.path.is_relative_to(_HERE / "systemd")
        or any(mark.name in _WHOLE for mark in item.iter_markers())
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seeds of the day, also of what has passed, and from whichever process: each does it again.

    And why tests were asked a second time.
    """
    told = [
        f"{report.nodeid}: seed {value}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "seed"
    ]
    again = [
        f"{report.nodeid}\n{report.longreprtext}"
        for report in terminalreporter.stats.get("rerun", ())
        if isinstance(report, pytest.TestReport)
    ]
    for title, lines in (("seeds", told), ("asked a second time", again)):
        if lines:
            terminalreporter.section(title)
            for line in lines:
                terminalreporter.line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what waits for others: sockets, processes, machines."""
    for item in items:
        if _meets_the_clock(item):
            item.add_marker(pytest.mark.flaky(reruns=1))
