"""`tandem top` as a picture: totals with sparklines, then a worker a line, as many as there is room for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.plain import escape
from appliance.cli.rates import Frame, Rates
from appliance.cli.render import NONE, STATE_STYLES, duration

HEIGHT: Final = 24
"""Lines, where nobody says how many there are."""
BLOCKS: Final = "▁▂▃▄▅▆▇█"
_HEAD_LINES: Final = 8
"""Above and below the workers."""
_BUSY: Final = 80.0
"""Per cent of a CPU that are worth a colour."""


def top_view(
    frame: Frame, width: int = 80, height: int = HEIGHT, note: str = "", hint: str = ""
) -> RenderableType:
    """A frame for a screen of that size; `note`: what is wrong now."""
    room = max(1, height - _HEAD_LINES - len(frame.warnings) - bool(note) - bool(hint))
    shown = _choose(frame.workers, room)
    parts: list[RenderableType] = [
        _headline(frame),
        _totals(frame, width),
        "",
        _table(shown, width),
    ]
    if len(shown) < len(frame.workers):
        parts.append(Text(f"{len(frame.workers) - len(shown)} workers more", style="dim"))
    parts += [Text(f"warning: {text}", style="yellow") for text in frame.warnings]
    if note:
        parts.append(Text(note, style="red"))
    if hint:
        parts.append(Text(hint, style="dim"))
    return Group(*parts)


def spark(values: Sequence[float], width: int, least: float = 10.0) -> str:
    """The last to the right; each character the greatest of what it stands for.

    A full block is the greatest of all, or `least` if that is more: noise makes no mountains.
    """
    if not values or width < 1:
        return ""
    per = -(-len(values) // width)
    # Counted from the right, so that what a character stands for does not change with every look.
    groups = [values[max(0, end - per) : end] for end in range(len(values), 0, -per)]
    heights = [max(group) for group in reversed(groups)]
    top, steps = max(least, *heights), len(BLOCKS) - 1
    return "".join(BLOCKS[min(steps, max(0, round(steps * h / top)))] for h in heights)


def rate(value: float | None) -> str:
    """A number a second in five characters: `0`, `7.5`, `812`, `20.6k`, `1.2M`."""
    if value is None:
        return NONE
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.1f}{unit}"
    return f"{value:.1f}" if 0 < value < 9.95 else f"{value:.0f}"


def _choose(workers: Sequence[Rates], room: int) -> Sequence[Rates]:
    """All, in their order, or the busiest."""
    if len(workers) <= room:
        return workers
    busiest = sorted(workers, key=lambda rates: rates.cpu_percent or 0.0, reverse=True)
    chosen = {rates.name for rates in busiest[: max(1, room - 1)]}
    return [rates for rates in workers if rates.name in chosen]


def _headline(frame: Frame) -> RenderableType:
    style = STATE_STYLES.get(frame.state, "red")
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    state = f"[{style}]{escape(frame.state)}[/] for {duration(frame.uptime)}"
    clock = time.strftime("%H:%M:%S", time.localtime(frame.at))
    line.add_row(f"[bold]tandem[/] {escape(frame.version)}  {state}", clock)
    return line


def _totals(frame: Frame, width: int) -> RenderableType:
    totals = frame.totals
    room = max(8, (width - 48) // 2)
    grid = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "left", "left", "right", "left"):
        grid.add_column(justify=justify, no_wrap=True)
    grid.add_row(
        "sessions",
        f"[bold]{totals.sessions}[/]",
        f"[cyan]{spark(totals.sessions_history, room)}[/]",
        "cpu",
        f"[bold]{totals.cpu_percent:.0f} %[/]",
        f"[cyan]{spark(totals.cpu_history, room, 100.0)}[/]",
    )
    grid.add_row(
        "packets in",
        f"[bold]{rate(totals.packets_in)}/s[/]",
        f"[cyan]{spark(totals.packets_history, room)}[/]",
        "loss",
        _loss(totals.loss_percent) + ("" if totals.loss_percent is None else " %"),
        f"drops {rate(totals.drops)}/s",
    )
    grid.add_row(
        "packets out",
        f"[bold]{rate(totals.packets_out)}/s[/]",
        "",
        "memory",
        _memory(totals.memory_bytes),
        "",
    )
    return grid


def _table(workers: Sequence[Rates], width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=0, header_style="bold", expand=True)
    table.add_column("worker", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in ("sess", "cpu %", "mem", "in/s", "out/s", "loss %", "drop/s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in, last minute", no_wrap=True, ratio=1)
    room = max(8, width - 68)
    for rates in workers:
        table.add_row(*_row(rates, min(room, 60)))
    return table


def _row(rates: Rates, room: int) -> list[str]:
    busy = NONE if rates.cpu_percent is None else f"{rates.cpu_percent:.1f}"
    if rates.cpu_percent is not None and rates.cpu_percent >= _BUSY:
        busy = f"[red]{busy}[/]"
    drops = rate(rates.drops)
    return [
        escape(rates.name),
        f"[{STATE_STYLES.get(rates.state, 'red')}]{escape(rates.state)}[/]",
        str(rates.sessions),
        busy,
        _memory(rates.memory_bytes),
        rate(rates.packets_in),
        rate(rates.packets_out),
        _loss(rates.loss_percent),
        f"[yellow]{drops}[/]" if rates.drops else drops,
        f" [cyan]{spark(rates.history, room)}[/]",
    ]


def _loss(percent: float | None) -> str:
    if percent is None:
        return NONE
    text = f"{percent:.2f}" if percent < 10 else f"{percent:.0f}"
    return f"[red]{text}[/]" if percent >= 1 else text


def _memory(size: int | None) -> str:
    return NONE if size is None else f"{size / 2**20:.0f}M"
