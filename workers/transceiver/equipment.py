"""What a transceiver is made of: its table of sessions and its back ends, from assignment and config."""

from __future__ import annotations

import os
import time

import trio

from ipc.backend.messages import Hello
from ipc.backend.vad import Vad
from workers.transceiver.audio.voice import Voice
from workers.transceiver.backends.base import Backend
from workers.transceiver.backends.exchange import Exchange
from workers.transceiver.backends.remote import Remote
from workers.transceiver.core.admission import Settings
from workers.transceiver.core.dtls import DtlsIdentity
from workers.transceiver.core.interface import SessionParameters
from workers.transceiver.core.session import Session
from workers.transceiver.core.sessions import Sessions
from workers.transceiver.media.base import MediaPlane
from workers.wire.ufrag import UfragKeys
from workers.worker import Worker


def make_exchange(worker: Worker, backends: dict[str, Backend], plane: MediaPlane) -> Exchange:
    """The sessions of this worker: who it is, what it may, and its DTLS certificate."""
    assignment, config = worker.assignment, worker.config.transceiver
    if assignment.route is None or not assignment.advertise:
        raise ValueError("a transceiver needs a route and relay addresses")
    identity = DtlsIdentity(os.urandom)
    settings = Settings(
        route=assignment.route,
        keys=UfragKeys(assignment.ufrag_keys, assignment.mint_with),
        fingerprint=identity.fingerprint,
        advertise=assignment.advertise,
        advertise_tcp=assignment.advertise_tcp,
        backends=frozenset(backends),
        max_sessions=config.max_sessions,
        max_busy=config.max_busy,
        codecs=config.codecs,
        connect_timeout=config.connect_timeout,
        consent_timeout=config.consent_timeout,
        max_duration=config.max_duration,
        idle_timeout=config.idle_timeout,
    )

    wall = time.time() - trio.current_time()

    def new_session(parameters: SessionParameters, now: float) -> Session:
        tally = sessions.counters.channels
        return Session(parameters, identity, os.urandom, now, wall, tally)

    sessions = Sessions(settings, new_session, os.urandom, plane.stats)
    return Exchange(sessions, backends)


def make_remotes(worker: Worker) -> dict[str, Remote]:
    """The back ends of the configuration, by name."""
    backends, name = worker.config.backends, worker.assignment.name
    own = worker.assignment.realtime
    found = backends.endpoints | ({"realtime": own} if own else {})

    ours = Vad(
        backends.vad_threshold,
        round(backends.vad_prefix * 1000),
        round(backends.vad_silence * 1000),
    )

    def make_voice(rate: int, vad: Vad | None) -> Voice:
        return Voice(rate, ours if vad is None else vad.over(ours))

    hello = Hello(f"{name}@{os.uname().nodename}", instance=os.urandom(8).hex())
    return {
        each: Remote(
            each,
            hello,
            endpoints,
            buffer=backends.buffer,
            entropy=os.urandom,
            make_voice=make_voice,
        )
        for each, endpoints in found.items()
    }
