"""A voice agent that needs no network: recognises speech, answers in speech, stops when interrupted.

Needs espeak-ng (apt) and pocketsphinx (pip). Knows what GRAMMAR says. What was understood and what is
answered go out on the data channel, too: {"heard", "answer"} and, when you interrupt, {"interrupted"}.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import AsyncIterator

import trio
from pocketsphinx import Decoder

from ipc.backend.call import Call
from ipc.backend.messages import AudioFormat, Encoding
from ipc.backend.serve import run

ENDPOINT = "tcp://127.0.0.1:7001"
RATE = 16_000
FORMAT = AudioFormat(Encoding.PCM, RATE)
BEFORE = 20  # chunks kept from before speech was noticed, so that no consonant is missing: 400 ms
GRAMMAR = """#JSGF V1.0; grammar talk; public <said> = hello | good morning | [what is] your name
    | what time is it | what is the time | tell me a story | goodbye | good bye;"""
STORY = """Once upon a time, there was a packet that wanted to see the world. It left its home through
a small port, and crossed many networks. Some of its friends were lost on the way, but nobody noticed.
And when it arrived, it was heard at once, and played happily ever after."""


def answer(text: str) -> str:
    """What to say to that."""
    answers = {"your": "My name is Tandem.", "story": STORY, "bye": "Goodbye."}
    answers |= {"time": time.strftime("It is %H:%M."), "": "Hello. Ask me for a story."}
    known = next(said for word, said in answers.items() if word in text)
    return known if text else "I did not understand that."


def speak(text: str) -> bytes:
    """Speech at our rate, by espeak-ng, whose own is 22050."""
    command = ["espeak-ng", "-ven-us", "-s150", "--stdout", text]
    sound = array("h", subprocess.check_output(command)[44:])
    count = len(sound) * RATE // 22_050
    return array("h", (sound[n * 22_050 // RATE] for n in range(count))).tobytes()


async def sentences(text: str) -> AsyncIterator[bytes]:
    """One after the other, so that the first is heard while the next is made."""
    for sentence in re.split(r"(?<=[.?!])\s+", text):
        yield await trio.to_thread.run_sync(speak, sentence)


def make_decoder() -> Decoder:
    """Recognises what the grammar knows, while it is spoken."""
    decoder = Decoder(samprate=RATE, lm=None, loglevel="FATAL")
    decoder.add_jsgf_string("talk", GRAMMAR)
    decoder.activate_search("talk")
    return decoder


def understood(decoder: Decoder) -> str:
    """What was said; empty if that cannot be told."""
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""


async def talk(call: Call) -> None:
    """Listen and answer; be quiet as soon as the caller speaks (`barge_in` flushes what plays)."""
    decoder = await trio.to_thread.run_sync(make_decoder)
    before: deque[bytes] = deque(maxlen=BEFORE)
    speaking, replying, change = False, trio.CancelScope(), None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reply, call, replying, "", "Hello. How can I help you?")
        async for chunk in call.audio:
            before.append(chunk.payload)
            if speaking:
                await trio.to_thread.run_sync(decoder.process_raw, chunk.payload)
            change = change or call.speech.take_nowait()
            if change is None or change.at > chunk.at + 20:
                continue  # it is about audio that is not here yet
            speaking, change = change.active, None
            if speaking:
                replying.cancel()
                decoder.start_utt()
                await trio.to_thread.run_sync(decoder.process_raw, b"".join(before))
            else:
                text = await trio.to_thread.run_sync(understood, decoder)
                replying = trio.CancelScope()
                nursery.start_soon(reply, call, replying, text, answer(text))


async def reply(call: Call, scope: trio.CancelScope, heard: str, text: str) -> None:
    """Say it, and write it down for whoever reads along."""
    note(call, heard=heard, answer=text)
    item, whole = heard or "greeting", False
    with scope:
        whole = await call.played(await call.play(sentences(text), item))
    if not whole:
        call.flush(item)
        note(call, interrupted=text)
    elif text == "Goodbye.":
        call.hang_up()


def note(call: Call, **line: str) -> None:
    """A line of the transcript."""
    if call.channels and not call.ended:
        call.send(json.dumps(line))


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else ENDPOINT
    trio.run(lambda: run(where, talk, audio=FORMAT, speech=True, barge_in=True, name="agent"))
