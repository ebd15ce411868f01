"""`python -m workers.caller URL`, reached as `tandem call URL`: a probe and a load generator."""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
import trio

from config.ids import Transport
from workers.caller.phone import Phone, Plan
from workers.caller.source import WavSource

_PROGRESS_PERIOD: Final = 0.25
_BRAKE: Final = 0.02
"""Seconds of delay of our own tick from which the numbers are about us, not about the server."""


class _Number(click.FloatRange):
    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


class _Wav(click.ParamType[WavSource]):
    name = "file"

    def convert(self, value: Any, param: Any, ctx: Any) -> WavSource:
        try:
            return WavSource.parse(Path(value).read_bytes())
        except OSError as error:
            self.fail(f"{value}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  tandem call http://127.0.0.1:8080/v1/realtime/calls
  tandem call http://127.0.0.1:8080/whip/echo --count 200 --seconds 30 --json
  tandem call http://127.0.0.1:8080/whip/echo --data --restart 2 --move 3
  tandem call https://voice.example.org/whip/echo --tcp
  TANDEM_API_KEY=sk-... tandem call https://voice.example.org/v1/realtime/calls""",
)
@click.argument("url")
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    metavar="N",
    default=1,
    show_default=True,
    help="Calls.",
)
@click.option(
    "--seconds",
    type=_Number(0.02, 1e6),
    metavar="S",
    default=5.0,
    show_default=True,
    help="How long each call talks.",
)
@click.option(
    "--rate",
    type=_Number(0, 1e5),
    metavar="R",
    default=50.0,
    show_default=True,
    help="New calls a second; 0 is as fast as they are answered.",
)
@click.option(
    "--timeout",
    type=_Number(0.1, 300),
    metavar="S",
    default=10.0,
    show_default=True,
    help="Seconds a call may take to connect.",
)
@click.option(
    "--wav", type=_Wav(), help="Speak this 16-bit PCM file, as G.711, instead of silence."
)
@click.option("--data", is_flag=True, help="Open a data channel, too, and send messages on it.")
@click.option("--no-audio", is_flag=True, help="Offer no audio: with --data, messages alone.")
@click.option(
    "--restart",
    type=_Number(0, 1e6),
    metavar="S",
    default=0.0,
    help="Restart ICE of each call every so many seconds.",
)
@click.option(
    "--move",
    type=_Number(0, 1e6),
    metavar="S",
    default=0.0,
    help="Change the port of each call every so many seconds, as another network would.",
)
@click.option(
    "--key",
    envvar="TANDEM_API_KEY",
    default="",
    metavar="KEY",
    help="API key or client secret. Better in TANDEM_API_KEY: others see what a command is given.",
)
@click.option("--tcp", is_flag=True, help="Reach the server by TCP, as where UDP is blocked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    url: str,
    count: int,
    seconds: float,
    rate: float,
    timeout: float,
    wav: WavSource | None,
    data: bool,
    no_audio: bool,
    restart: float,
    move: float,
    key: str,
    tcp: bool,
    as_json: bool,
) -> None:
    """Call a WebRTC server, talk, and measure what comes back.

    URL is where to POST the offer: .../v1/realtime/calls or .../whip/NAME. The exit code is 0 if
    every call went as it should, 1 if not, 2 on wrong usage.
    """
    _allow_descriptors(4 * count + 100)
    if no_audio and (wav is not None or not data):
        raise click.UsageError("--no-audio goes with --data, and not with --wav")
    over = Transport.TCP if tcp else Transport.UDP
    plan = Plan(
        url,
        count,
        seconds,
        rate,
        timeout,
        wav,
        not no_audio,
        data,
        restart,
        move,
        transport=over,
        key=key,
    )
    phone = trio.run(_run, plan)
    fields = phone.report.fields() | _about_us(phone)
    if as_json:
        print(json.dumps(fields))  # noqa: T201
    else:
        from workers.caller.table import show

        show(phone.report, fields)
    sys.exit(0 if phone.report.sessions_ok == count else 1)


async def _run(plan: Plan) -> Phone:
    phone = Phone(plan)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_at_signal, phone)
        if sys.stderr.isatty():
            nursery.start_soon(_progress, phone, plan.count)
        await phone.run()
        nursery.cancel_scope.cancel()
    return phone


async def _stop_at_signal(phone: Phone) -> None:
    """The first signal ends the calls politely; the second one ends us."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            phone.stop()
            break
    # Outside the block the default handlers are back.
    await trio.sleep_forever()


async def _progress(phone: Phone, count: int) -> None:
    """One line on the terminal, again and again in its place."""
    try:
        while True:
            talking = [line.call for line in phone.lines.lines if line.call and line.call.connected]
            sent = phone.report.sent + sum(call.voice.figures.sent for call in talking)
            back = phone.report.received + sum(call.voice.figures.received for call in talking)
            sys.stderr.write(
                f"\r\x1b[K{phone.started} of {count} calls started, {len(talking)} talking, "
                f"{phone.report.sessions_ok} done, {phone.report.sessions_failed} failed; "
                f"{sent} frames sent, {back} back"
            )
            sys.stderr.flush()
            await trio.sleep(_PROGRESS_PERIOD)
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _about_us(phone: Phone) -> dict[str, Any]:
    """What the caller itself did: how fast it set up, what it cost, and whether it kept pace."""
    warnings = phone.report.warnings()
    if phone.latest > _BRAKE:
        late = phone.latest * 1000
        warnings.append(f"the caller was up to {late:.0f} ms late: the figures are about it, too")
    return {
        "sessions_per_second": phone.sessions_per_second,
        "tick_late_max_ms": round(phone.latest * 1000, 2),
        "media": phone.media,
        "cpu_seconds": round(time.process_time(), 3),
        "warnings": warnings,
    }


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        enough = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))


if __name__ == "__main__":
    main(prog_name="tandem call")
