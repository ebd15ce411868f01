"""Types that the wire codecs share: the one parse error and the reasons for a drop."""

from __future__ import annotations

from enum import Enum


class DropReason(Enum):
    """Why a datagram, record or packet went no further. Logs, metrics and CLI use these words."""

    # the datagram itself
    EMPTY = "empty"
    OVERSIZE = "oversize"
    MALFORMED_STUN = "malformed_stun"
    MALFORMED_LINK = "malformed_link"
    MALFORMED_RTP = "malformed_rtp"
    MALFORMED_DTLS = "malformed_dtls"
    MALFORMED_SCTP = "malformed_sctp"
    UNKNOWN_KIND = "unknown_kind"
    # routing
    NO_USERNAME = "no_username"
    UNKNOWN_KEY = "unknown_key"
    FORGED_UFRAG = "forged_ufrag"
    UNKNOWN_ROUTE = "unknown_route"
    STALE_EPOCH = "stale_epoch"
    UNKNOWN_FLOW = "unknown_flow"
    PENDING_FLOW = "pending_flow"
    STALE_LABEL = "stale_label"
    UNKNOWN_PEER = "unknown_peer"
    TOMBSTONE = "tombstone"
    LOOKUP_FAILED = "lookup_failed"
    # bounds
    UPCALLS_FULL = "upcalls_full"
    FLOW_LIMIT = "flow_limit"
    PENDING_FULL = "pending_full"
    SLOTS_FULL = "slots_full"
    SOURCE_LIMIT = "source_limit"
    UFRAG_LIMIT = "ufrag_limit"
    ROUTE_LIMIT = "route_limit"
    QUEUE_FULL = "queue_full"
    LOOKUP_LIMIT = "lookup_limit"
    HOLD_FULL = "hold_full"
    AMPLIFICATION_LIMIT = "amplification_limit"
    PATHS_FULL = "paths_full"
    # the session
    UNKNOWN_SESSION = "unknown_session"
    UNKNOWN_UFRAG = "unknown_ufrag"
    BAD_INTEGRITY = "bad_integrity"
    ROLE_CONFLICT = "role_conflict"
    UNKNOWN_TRANSACTION = "unknown_transaction"
    UNVERIFIED_PATH = "unverified_path"
    UNEXPECTED_STATE = "unexpected_state"
    SRTP_AUTHENTICATION = "srtp_authentication"
    SRTP_REPLAY = "srtp_replay"
    UNKNOWN_PAYLOAD_TYPE = "unknown_payload_type"
    UNKNOWN_CHANNEL = "unknown_channel"
    NOT_ACCEPTED = "not_accepted"
    UNSUPPORTED = "unsupported"
    CRASHED = "crashed"
    # the machine
    SEND_WOULD_BLOCK = "send_would_block"
    SEND_REFUSED = "send_refused"
    SEND_UNREACHABLE = "send_unreachable"
    SEND_TOO_BIG = "send_too_big"
    SEND_NO_BUFFERS = "send_no_buffers"


class Malformed(Exception):
    """The only exception a `parse_*` function raises. Caught at the one door of a core."""

    def __init__(self, reason: DropReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
