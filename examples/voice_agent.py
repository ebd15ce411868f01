"""A voice agent that needs no network: recognises speech, answers in speech, stops when interrupted.

    apt install espeak-ng && .venv/bin/pip install pocketsphinx

Say "hello", "what is your name", "what time is it", "tell me a story", "goodbye". What was understood and
what is answered go out on the data channel, too, as JSON lines.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from array import array

import trio
from pocketsphinx import Decoder

from ipc.backend.call import Call
from ipc.backend.messages import AudioFormat, Encoding
from ipc.backend.serve import run

ENDPOINT = "tcp://127.0.0.1:7001"
RATE = 16_000
FORMAT = AudioFormat(Encoding.PCM, RATE)
BEFORE = 20
"""Chunks kept from before speech was noticed, so that no consonant is missing: 400 ms."""
GRAMMAR = """#JSGF V1.0; grammar talk;
public <said> = hello | good morning | [what is] your name | who are you | what time is it
              | what is the time | tell me a story | goodbye | good bye;
"""
STORY = """Once upon a time, there was a packet that wanted to see the world. It left its home through
a small port, and crossed many networks. Some of its friends were lost on the way, but nobody noticed.
And when it arrived, it was heard at once, and played happily ever after."""


def answer(text: str) -> str:
    """What to say to that."""
    if "time" in text:
        return time.strftime("It is %H:%M.")
    if "name" in text or "who" in text:
        return "My name is Tandem."
    if "story" in text:
        return STORY
    if "bye" in text:
        return "Goodbye."
    if text:
        return "Hello. Ask me for the time, my name, or a story."
    return "I did not understand that."


def speak(text: str) -> bytes:
    """Speech at our rate, by espeak-ng, whose own is 22050."""
    command = ["espeak-ng", "-v", "en-us", "-s", "150", "--stdout", text]
    sound = array("h", subprocess.run(command, capture_output=True, check=True).stdout[44:])
    step = 22_050 / RATE
    count = int((len(sound) - 1) / step)
    return array("h", (sound[int(n * step)] for n in range(count))).tobytes()


class Listener:
    """Recognises one utterance at a time, while it is spoken."""

    def __init__(self) -> None:
        self._decoder = Decoder(samprate=RATE, lm=None, loglevel="FATAL")
        self._decoder.add_jsgf_string("talk", GRAMMAR)
        self._decoder.activate_search("talk")

    def begin(self) -> None:
        """Somebody speaks."""
        self._decoder.start_utt()

    def hear(self, pcm: bytes) -> None:
        """Some more of it."""
        self._decoder.process_raw(pcm)

    def end(self) -> str:
        """What was said; empty if that cannot be told."""
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return found.hypstr if found else ""


async def talk(call: Call) -> None:
    """Listen, answer, and be quiet when the caller speaks (the call was accepted with `barge_in`)."""
    listener = await trio.to_thread.run_sync(Listener)
    recent: list[bytes] = []
    speaking = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reply, call, "Hello. How can I help you?", "")
        async for chunk in call.audio:
            recent = [*recent[-BEFORE:], chunk.payload]
            while (change := call.speech.take_nowait()) is not None:
                speaking = change.active
                if speaking:
                    listener.begin()
                    recent, waiting = [], b"".join(recent)
                    await trio.to_thread.run_sync(listener.hear, waiting)
                else:
                    text = await trio.to_thread.run_sync(listener.end)
                    nursery.start_soon(reply, call, answer(text), text)
            if speaking:
                await trio.to_thread.run_sync(listener.hear, chunk.payload)


async def reply(call: Call, text: str, heard: str) -> None:
    """Say it, and write it down for whoever reads along."""
    if call.channels:
        call.send(json.dumps({"heard": heard, "answer": text}))
    await call.play(await trio.to_thread.run_sync(speak, text))
    if text == "Goodbye.":
        await trio.sleep(2)
        call.hang_up()


if __name__ == "__main__":
    end_point = sys.argv[1] if len(sys.argv) > 1 else ENDPOINT
    trio.run(lambda: run(end_point, talk, audio=FORMAT, speech=True, barge_in=True, name="agent"))
