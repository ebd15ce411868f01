"""ICE for one session, both roles (RFC 8445, RFC 7675).

The controlled side says `a=ice-lite`: it answers like a lite agent, on one address and without
candidates of its own. But it verifies like a full one: each path that passed MESSAGE-INTEGRITY is sent
a Binding request of ours, and its answer proves that the peer is there (see paths.py). The
controlling side checks the addresses of the answer, nominates the first that works, again if one that
the answer prefers works later, as browsers do, and keeps consent.

Everything that is not signed with the right password ends as a counted drop and gets no reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from config.ids import Instant
from workers.transceiver.core import checks
from workers.transceiver.core.checks import Binding, parse_binding
from workers.transceiver.core.generations import Generation, Generations
from workers.transceiver.core.interface import (
    CredentialsRetired,
    Dropped,
    IceCredentials,
    IceRole,
    Path,
    PathSelected,
    SendDatagram,
    SessionParameters,
)
from workers.transceiver.core.paths import MAX_PATHS, Check, Paths, PathState
from workers.transceiver.core.recurring import recurring
from workers.transceiver.core.sped import Sped
from workers.transceiver.core.stun_codec import stun
from workers.wire.types import DropReason, Malformed

PACING: Final = 0.05
"""Ta: seconds between the first checks of two paths (RFC 8445, 14.2)."""
FIRST_RETRY: Final = 0.1
"""Seconds from a check to its first repetition; doubles up to MAX_RETRY_INTERVAL."""
MAX_RETRY_INTERVAL: Final = 1.6
MAX_KNOCK_INTERVAL: Final = 0.4
"""The same for the controlling side, which waits for an address to answer at all: when it begins to, the
call should not wait for a back-off."""
MAX_PROOF_ATTEMPTS: Final = 7
"""Requests that try to prove one path; the peer's next check begins anew."""
NEVER_CHECKED: Final = -1
MISUNDERSTOOD: Final = 0.2
"""Seconds without media on the selected path, while it comes on another one, until the controlling side
says again which it wants: two nominations may have overtaken one another."""
CONSENT_INTERVAL: Final = 5.0
"""Seconds between consent checks, +-20 % (RFC 7675, 5.1)."""

_PEER_REFLEXIVE_PRIORITY: Final = 110 << 24 | 65535 << 8 | 255


class PathProven(NamedTuple):
    """The peer is where the path says."""

    path: Path


IceOutput: TypeAlias = SendDatagram | PathSelected | PathProven | CredentialsRetired | Dropped


class Ice:
    """Checks, nomination and consent of one session."""

    def __init__(
        self,
        parameters: SessionParameters,
        entropy: Callable[[int], bytes],
        now: Instant,
        sped: Sped | None = None,
    ) -> None:
        self._sped = sped
        self.paths = Paths()
        self.round_trip: float | None = None
        """Seconds, of the last check of ours that was answered at the first try."""
        self.round_trips = 0
        """How many were measured."""
        self.consent_at = now
        """When the peer last agreed to receive (RFC 7675)."""
        self._controlling = parameters.ice_role is IceRole.CONTROLLING
        self._entropy = entropy
        self._tie_breaker = int.from_bytes(entropy(8), "big")
        self._generations = Generations(parameters.local, parameters.remote)
        self._restarted_after = 0
        """Nominations up to this one were made before the restart."""
        self._nominated: PathState | None = None
        if self._controlling:
            for index, path in enumerate(parameters.remote_endpoints[:MAX_PATHS]):
                state = self.paths.admit(path, now)
                if state is not None:
                    state.next_check = now + index * PACING

    # --- the peer's messages ----------------------------------------------------------------------

    def handle(self, path: Path, datagram: bytes, now: Instant) -> list[IceOutput]:
        """Take one STUN datagram."""
        state = self.paths.get(path)
        if state is not None:
            state.bytes_received += len(datagram)
            again = state.recurring
            if again is not None and again.is_said_by(datagram):
                response = self._send(state, again.answer(datagram))
                return self._accept(state, response, again.generation, now, again.nominates)
        try:
            message = parse_binding(datagram)
        except Malformed as error:
            return [Dropped(error.reason)]
        if message.kind == stun.Class.REQUEST:
            return self._on_request(path, message, datagram, now)
        if message.kind == stun.Class.INDICATION:
            return [Dropped(DropReason.UNSUPPORTED)]
        return self._on_reply(state, message, now)

    def _on_request(
        self, path: Path, request: Binding, datagram: bytes, now: Instant
    ) -> list[IceOutput]:
        generation = self._generations.named(request.attributes.get("USERNAME"))
        if generation is None:
            return [Dropped(DropReason.UNKNOWN_UFRAG)]
        key = generation.local_key
        if not request.signed_with(key):
            return [Dropped(DropReason.BAD_INTEGRITY)]
        # An error is not longer than what it answers and makes no path: nothing to amplify.
        if request.unknown:
            return [
                self._error(path, request, checks.UNKNOWN_ATTRIBUTE, key),
                Dropped(DropReason.UNSUPPORTED),
            ]
        if ("ICE-CONTROLLING" if self._controlling else "ICE-CONTROLLED") in request.attributes:
            # RFC 8445, 7.3.1.1 lets the higher tie-breaker win; our role follows from the SDP.
            return [
                self._error(path, request, checks.ROLE_CONFLICT, key),
                Dropped(DropReason.ROLE_CONFLICT),
            ]
        state = self.paths.get(path)
        if state is None:
            state = self.paths.admit(path, now)
            if state is None:
                return [Dropped(DropReason.PATHS_FULL)]
            state.bytes_received = len(datagram)
        response, has_say = self._respond(state, request, key, now)
        nominates = not self._controlling and "USE-CANDIDATE" in request.attributes
        if isinstance(response, SendDatagram) and not has_say:
            answer = response.datagram
            state.recurring = recurring(datagram, answer, generation, nominates=nominates)
        return self._accept(state, response, generation, now, nominates)

    def _accept(
        self,
        state: PathState,
        response: IceOutput,
        generation: Generation,
        now: Instant,
        nominates: bool,
    ) -> list[IceOutput]:
        """A request was valid, and this is what answers it."""
        self.paths.verify(state)
        state.active_at = now
        state.generation = max(state.generation, generation.number)
        if state.proven or not self.paths.connected:
            # On any other path it may be an old check, sent again by somebody else.
            self.consent_at = now
        outputs = [response]
        if nominates:
            self.paths.nominate(state)
        if not state.proven and state.check is None:
            outputs.extend(self._begin_check(state, now))
        return outputs + self._select(now)

    def _respond(
        self, state: PathState, request: Binding, key: bytes, now: Instant
    ) -> tuple[IceOutput, bool]:
        """The success response; with what DTLS says to what the request carried, if there is room.

        And whether DTLS had a say.
        """
        sped, carried, transaction, remote = self._sped, {}, request.transaction, state.path.remote
        if sped is not None:
            sped.receive(request.attributes, now)
            carried = sped.attributes(request.attributes)
        response = checks.encode_success(transaction, remote, key, carried)
        if carried and not state.permits(len(response)):
            response, carried = checks.encode_success(transaction, remote, key), {}
        answer = self._send(state, response)
        if sped is not None and isinstance(answer, SendDatagram):
            sped.sent(carried)
        has_say = sped is not None and (not sped.is_over or sped.is_in(request.attributes))
        return answer, has_say

    def _send(self, state: PathState, response: bytes) -> IceOutput:
        if not state.permits(len(response)):
            return Dropped(DropReason.AMPLIFICATION_LIMIT)
        state.bytes_sent += len(response)
        return SendDatagram(state.path, response, assured=True, proven=state.proven)

    def _error(self, path: Path, request: Binding, code: int, key: bytes) -> SendDatagram:
        return SendDatagram(
            path, checks.encode_error(request.transaction, code, key, request.unknown)
        )

    def _on_reply(self, state: PathState | None, reply: Binding, now: Instant) -> list[IceOutput]:
        """A response counts only on the path its request was sent on."""
        check = state.check if state is not None else None
        if state is None or check is None or check.transaction != reply.transaction:
            return [Dropped(DropReason.UNKNOWN_TRANSACTION)]
        if not reply.signed_with(check.generation.remote_key):
            return [Dropped(DropReason.BAD_INTEGRITY)]
        if reply.kind == stun.Class.ERROR:
            state.check = None
            conflict = reply.message.error_code == checks.ROLE_CONFLICT
            return [Dropped(DropReason.ROLE_CONFLICT if conflict else DropReason.UNSUPPORTED)]
        state.check = None
        if check.attempts == 1:
            self.round_trip = now - check.sent_at
            self.round_trips += 1
        state.active_at = self.consent_at = now
        state.generation = max(state.generation, check.generation.number)
        self.paths.verify(state)
        if self._sped is not None:
            self._sped.receive(reply.attributes, now)
        outputs = self._prove(state)
        if self._controlling:
            if check.nominates:
                self.paths.nominate(state)
            elif self._prefers(state):
                if self._nominated is not None:
                    self._nominated.check = None  # its nomination, if that is under way still
                self._nominated = state
                outputs.extend(self._begin_check(state, now, nominates=True))
        outputs.extend(self._select(now))
        self._schedule_consent(state, now)
        return outputs

    # --- what the session learns elsewhere --------------------------------------------------------

    def connect(self, state: PathState | None, now: Instant) -> list[IceOutput]:
        """DTLS is done; the handshake itself has proven `state`, if it is one."""
        outputs: list[IceOutput] = [] if state is None else self._prove(state)
        self.paths.connected = True
        return outputs + self._select(now)

    def media_elsewhere(self, state: PathState, now: Instant) -> list[IceOutput]:
        """An authenticated SRTP packet came on a path that is not the selected one."""
        state.media_at = now
        before = self.paths.selected
        outputs = self._select(now)
        if not self._controlling or before is None:
            return outputs
        if before is not self.paths.selected:
            before.check = None
        elif now - before.active_at > MISUNDERSTOOD and not _nominates(before.check):
            outputs.extend(self._begin_check(before, now, nominates=True))
        return outputs

    def restart(
        self, local: IceCredentials, remote: IceCredentials, now: Instant
    ) -> list[IceOutput]:
        """Begin anew with these credentials; media stays where it is until they have a pair."""
        replaced = self._generations.restart(local, remote)
        self._forget_recurring()
        self._restarted_after = self.paths.orders
        if self._controlling:
            self._nominated = None
            for index, state in enumerate(self.paths.values()):
                state.check, state.next_check = None, now + index * PACING
        return [] if replaced is None else [CredentialsRetired(replaced.ufrag)]

    def check_now(self, now: Instant) -> None:
        """The controlling side's address may have changed: the next check is due, and repeated if lost."""
        selected = self.paths.selected
        if self._controlling and selected is not None:
            selected.check, selected.next_check = None, now
            selected.generation = NEVER_CHECKED

    def _prefers(self, state: PathState) -> bool:
        """To the one that is nominated: it came before that in the answer."""
        if self._nominated is None:
            return True
        first = next(each for each in self.paths.values() if each in (state, self._nominated))
        return first is state and state is not self._nominated

    def _prove(self, state: PathState) -> list[IceOutput]:
        if state.proven:
            return []
        state.proven = True
        return [PathProven(state.path)]

    def _select(self, now: Instant) -> list[IceOutput]:
        outputs: list[IceOutput] = []
        moved = self.paths.select(now)
        selected = self.paths.selected
        if moved and selected is not None:
            self._schedule_consent(selected, now)
            outputs.append(PathSelected(selected.path))
        if self._generations.restarting and selected is not None and self._has_pair(selected):
            dead = self._generations.settle()
            self._forget_recurring()
            if dead is not None:
                outputs.append(CredentialsRetired(dead.ufrag))
        return outputs

    def _forget_recurring(self) -> None:
        """Credentials change: what was good may be so no more."""
        for state in self.paths.values():
            state.recurring = None

    def _has_pair(self, selected: PathState) -> bool:
        """The restart has ended: this path was nominated since, and checked with the new credentials."""
        newest = self._generations.newest.number
        return selected.generation == newest and selected.nomination > self._restarted_after

    # --- our own checks ---------------------------------------------------------------------------

    def next_timeout(self) -> Instant | None:
        """When the next check is due."""
        dues = [
            due
            for state in self.paths.values()
            if (due := state.check.due if state.check is not None else state.next_check) is not None
        ]
        return min(dues, default=None)

    def handle_timeout(self, now: Instant) -> list[IceOutput]:
        """Send what is due."""
        outputs: list[IceOutput] = []
        for state in self.paths.values():
            check = state.check
            if check is None:
                if state.next_check is not None and state.next_check <= now:
                    outputs.extend(self._begin_check(state, now))
            elif check.due <= now:
                outputs.extend(self._repeat_check(state, check, now))
        return outputs

    def _begin_check(
        self, state: PathState, now: Instant, *, nominates: bool = False
    ) -> list[IceOutput]:
        # Consent: no repetition, the next check is a new one (RFC 7675, 5.1).
        wait = self._consent_interval() if self._keeps(state) and not nominates else FIRST_RETRY
        transaction = self._entropy(checks.TRANSACTION_LENGTH)
        generation = (
            self._generations.newest
            if self._controlling
            else self._generations.numbered(state.generation)
        )
        state.check = Check(transaction, generation, now, now + wait, wait, nominates=nominates)
        state.next_check = None
        return self._send_check(state, state.check)

    def _repeat_check(self, state: PathState, check: Check, now: Instant) -> list[IceOutput]:
        if self._keeps(state) and not check.nominates:
            state.check = None
            consents = self._controlling and state is self.paths.selected
            return self._begin_check(state, now) if consents else []
        if not self._controlling and check.attempts >= MAX_PROOF_ATTEMPTS:
            state.check = None
            return []
        check.attempts += 1
        longest = MAX_KNOCK_INTERVAL if self._controlling else MAX_RETRY_INTERVAL
        check.interval = min(check.interval * 2, longest)
        check.sent_at, check.due = now, now + check.interval
        return self._send_check(state, check)

    def _keeps(self, state: PathState) -> bool:
        """A check would only keep consent: what it could prove is known."""
        return state.proven and not (
            self._controlling and state.generation != self._generations.newest.number
        )

    def _send_check(self, state: PathState, check: Check) -> list[IceOutput]:
        generation = check.generation
        attributes: dict[str, object] = {
            "USERNAME": generation.username,
            "PRIORITY": _PEER_REFLEXIVE_PRIORITY,
            "ICE-CONTROLLING" if self._controlling else "ICE-CONTROLLED": self._tie_breaker,
        }
        if check.nominates or (self._controlling and state.nomination > self._restarted_after):
            attributes["USE-CANDIDATE"] = None
        request = self._encode(state, check.transaction, attributes, generation.remote_key)
        # A configured address is the operator's or the answer's word, not a stranger's.
        if not (self._controlling or state.permits(len(request))):
            return []
        state.bytes_sent += len(request)
        return [SendDatagram(state.path, request, proven=state.proven)]

    def _encode(
        self, state: PathState, transaction: bytes, attributes: dict[str, object], key: bytes
    ) -> bytes:
        if self._sped is not None and (carried := self._sped.attributes()):
            request = checks.encode_request(transaction, attributes | carried, key)
            if self._controlling or state.permits(len(request)):
                return request
        return checks.encode_request(transaction, attributes, key)

    def _schedule_consent(self, state: PathState, since: Instant) -> None:
        """The controlling side keeps consent on the selected path."""
        if self._controlling and state is self.paths.selected and state.check is None:
            state.next_check = since + self._consent_interval()

    def _consent_interval(self) -> float:
        spread = int.from_bytes(self._entropy(2), "big") / 65535
        return CONSENT_INTERVAL * (0.8 + 0.4 * spread)


def _nominates(check: Check | None) -> bool:
    return check is not None and check.nominates
