"""A process that claims to be a worker: `claimant DIRECTORY ENTERS NAME GENERATION`.

It enters the roster with the generation ENTERS (0: it does not), says so, and for each line that it reads,
a token in hex, claims to be NAME:GENERATION.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from config.ids import Role, WorkerName
from config.model import Config
from ipc import roster
from ipc.handover import RECLAIM_SOCKET, send_claim
from ipc.messages.lifecycle import Assignment, Claim, Hello, Ready, WorkerPhase

KEYS = {"0": b"k" * 16}


def main() -> None:
    """Claim, for as long as there is anything to read."""
    directory, enters, name, generation = Path(sys.argv[1]), *sys.argv[2:5]
    if int(enters):
        roster.enter(directory, int(enters))
    who, number = WorkerName(name), int(generation)
    role = Role[name.partition("-")[0].upper()]
    sys.stdout.write("here\n")
    sys.stdout.flush()
    for line in sys.stdin:
        assignment = Assignment(
            version=1,
            name=who,
            role=role,
            index=0,
            generation=number,
            config=Config().model_dump_json(),
            control="ipc:///c",
            bus="ipc:///b",
            runtime_directory=str(directory),
            descriptors=(),
            ufrag_keys=KEYS,
            mint_with="0",
        )
        hello = Hello(1, who, role, number, os.getpid(), WorkerPhase.READY)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
            channel.connect(str(directory / RECLAIM_SOCKET))
            send_claim(channel, Claim(bytes.fromhex(line.strip()), hello, assignment, Ready()), [])
            channel.recv(1)


if __name__ == "__main__":
    main()
