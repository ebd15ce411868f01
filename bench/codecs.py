"""What PCM costs: `python -m bench.codecs [--quick] --json`.

Codecs alone, by complexity and rate; and whole calls of the `echo-pcm` back end, by which jitter buffer,
decoder, encoder and their Python are counted, without link, SRTP and sockets. CPU time of this process,
the best of some rounds: on a busy machine the others only make it worse.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from array import array
from collections.abc import Callable
from random import Random
from typing import Final

from bench.figures import machine, show
from config.ids import SessionId
from workers.transceiver.audio.g711 import G711Decoder, G711Encoder
from workers.transceiver.audio.interface import Decoder, Encoder
from workers.transceiver.audio.jitter import STEP, JitterBuffer
from workers.transceiver.audio.opus import COMPLEXITY, OpusDecoder, OpusEncoder
from workers.transceiver.backends.echo_pcm import EchoPcm
from workers.transceiver.core.interface import (
    AudioParameters,
    AudioReceived,
    Codec,
    Created,
    FromSession,
    StateChanged,
)
from workers.transceiver.core.states import SessionState

RATES: Final = (16_000, 24_000, 48_000)
COMPLEXITIES: Final = (0, 2, 5, 8, 10)
OPUS: Final = Codec("opus", 111, 48_000, 2, "minptime=10;useinbandfec=1")
PCMU: Final = Codec("pcmu", 0, 8_000)


def voice(rate: int, seconds: float) -> list[bytes]:
    """Frames of something that a codec takes for speech: harmonics in syllables, and some noise."""
    random, phase, samples = Random(1), 0.0, array("h")
    for n in range(int(rate * seconds)):
        t = n / rate
        phase += 2 * math.pi * (140 + 40 * math.sin(4.4 * t)) / rate
        syllable = max(0.0, math.sin(19 * t)) ** 2
        tone = sum(math.sin(phase * k) / k for k in range(1, 9))
        samples.append(int(7000 * syllable * tone) + random.randint(-60, 60))
    pcm, size = samples.tobytes(), int(rate * STEP) * 2
    return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]


def least(rounds: int, job: Callable[[], int]) -> float:
    """Microseconds of CPU per unit; `job` says how many it did."""
    best = math.inf
    for _ in range(rounds):
        begun = time.process_time()
        done = job()
        best = min(best, (time.process_time() - begun) / done)
    return round(best * 1e6, 1)


def codec(
    rounds: int, encoder: Encoder, decoder: Decoder, sound: list[bytes]
) -> tuple[float, float]:
    """(encode, decode) of 20 ms."""
    payloads = [encoder.encode(pcm) for pcm in sound]

    def encode() -> int:
        for pcm in sound:
            encoder.encode(pcm)
        return len(sound)

    def decode() -> int:
        for payload in payloads:
            decoder.decode(payload)
        return len(payloads)

    return least(rounds, encode), least(rounds, decode)


def jitter_buffer(rounds: int, spread: float) -> float:
    """One packet in and out, through a network that holds packets up to `spread` seconds."""
    random = Random(2)
    packets = sorted((n * STEP + random.uniform(0, spread), n) for n in range(2000))

    def pass_through() -> int:
        buffer, due = JitterBuffer(48_000), 0.03
        for at, n in packets:
            while due <= at:
                buffer.take(due)
                due += STEP
            buffer.put(b"x" * 60, 111, n, n * 960, 1, 960, at)
        return len(packets)

    return least(rounds, pass_through)


def calls(
    rounds: int, codec: Codec, rate: int, complexity: int, steps: int, count: int = 20
) -> float:
    """A full-duplex call's step of 20 ms in the back end."""
    sound = voice(rate, steps * STEP)
    if codec.name == "opus":
        encoder: Encoder = OpusEncoder(rate)
    else:
        encoder = G711Encoder(codec.name, rate)
    payloads = [encoder.encode(pcm) for pcm in sound]
    length = int(codec.clock_rate * STEP)
    ids = [SessionId(f"rtc_0_{n}") for n in range(count)]
    audio = AudioParameters("0", (codec,), sends=True, receives=True)

    def talk() -> int:
        backend, now = EchoPcm(os.urandom, rate, complexity), 1.0
        for session in ids:
            backend.begin(Created(0, session, "", "echo-pcm", audio=audio), now)
            backend.handle(FromSession(session, StateChanged(SessionState.CONNECTED)), now)
        begun, said = time.process_time(), 0
        for n, payload in enumerate(payloads):
            packet = AudioReceived(payload, codec.payload_type, n, n * length, False, 1)
            for session in ids:
                backend.handle(FromSession(session, packet), now)
            now += STEP
            for session in ids:
                said += len(backend.handle_timeout(session, now))
        assert said > 0.8 * count * len(payloads)
        spent.append((time.process_time() - begun) / (count * len(payloads)))
        return 1

    spent: list[float] = []
    for _ in range(rounds):
        talk()
    return round(min(spent) * 1e6, 1)


def main() -> None:
    """Run, and print one flat object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    rounds, seconds = (3, 1.0) if arguments.quick else (10, 4.0)
    fields: dict[str, object] = {}
    for rate in RATES:
        sound = voice(rate, seconds)
        name = f"opus_{rate // 1000}k"
        for complexity in COMPLEXITIES:
            encoder = OpusEncoder(rate, complexity=complexity)
            encode, decode = codec(rounds, encoder, OpusDecoder(rate), sound)
            fields[f"{name}_encode_us_complexity_{complexity}"] = encode
        fields[f"{name}_decode_us"] = decode
    sound = voice(16_000, seconds)
    encode, decode = codec(rounds, G711Encoder("pcmu", 16_000), G711Decoder("pcmu", 16_000), sound)
    fields |= {"pcmu_16k_encode_us": encode, "pcmu_16k_decode_us": decode}
    fields["jitter_us_clean"] = jitter_buffer(rounds, 0.001)
    fields["jitter_us_60ms"] = jitter_buffer(rounds, 0.06)
    for complexity in COMPLEXITIES:
        us = calls(rounds, OPUS, 16_000, complexity, steps=50)
        fields[f"call_us_per_step_complexity_{complexity}"] = us
    fields["call_us_per_step_24k"] = calls(rounds, OPUS, 24_000, COMPLEXITY, steps=50)
    fields["call_us_per_step_48k"] = calls(rounds, OPUS, 48_000, COMPLEXITY, steps=50)
    fields["call_us_per_step_pcmu"] = calls(rounds, PCMU, 16_000, COMPLEXITY, steps=50)
    per_step = calls(rounds, OPUS, 16_000, COMPLEXITY, steps=50)
    fields |= {
        "complexity": COMPLEXITY,
        "call_us_per_step": per_step,
        "calls_per_core": int(STEP * 1e6 / per_step),
        **machine(),
    }
    show(fields, as_json=arguments.json)


if __name__ == "__main__":
    main()
