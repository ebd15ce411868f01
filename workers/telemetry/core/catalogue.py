"""Every metric that there is: name, kind, meaning, labels.

Counters are a process's own: they begin at 0 with it, which `rate()` and `increase()` of Prometheus expect.
What a worker has counted since the last scrape before its death is lost with it. Nothing is labelled by
session, client, process number or generation, so the number of series follows from the configuration.
"""

from __future__ import annotations

from typing import Final

from workers.telemetry.core.exposition import Kind, Metric

_WORKER: Final = ("worker",)
_OF: Final = ("worker", "role")


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"tandem_{name}_total", Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"tandem_{name}", Kind.GAUGE, text, labels)


def _seconds(name: str, text: str) -> Metric:
    return Metric(f"tandem_{name}_seconds", Kind.HISTOGRAM, text, _WORKER)


# --- the appliance ----------------------------------------------------------------------------------

BUILD_INFO = _gauge("build_info", "Always 1; what runs is in the labels.", "version")
SUPERVISOR_UP = _gauge(
    "supervisor_up",
    "1 if the supervisor answered. If not, nothing is said of it or of its workers.",
)
STATE = _gauge("state", "1 for the state that the appliance is in.", "state")
UPTIME = _gauge("uptime_seconds", "Since the supervisor started.")
WARNINGS = _gauge("warnings", "Lines of warning that tandem status shows.")
SPARES = _gauge("spare_ready", "1 if a spare process of that role waits for its turn.", "role")

# --- any worker -------------------------------------------------------------------------------------

WORKER_STATE = _gauge("worker_state", "1 for the state that a worker is in.", *_OF, "state")
WORKER_CORDONED = _gauge(
    "worker_cordoned", "1 if an operator has said that it shall take no new sessions.", *_OF
)
WORKER_UPTIME = _gauge("worker_uptime_seconds", "Since a worker entered its state.", *_OF)
WORKER_RESTARTS = _counter("worker_restarts", "Processes after the first of that name.", *_OF)
WORKER_LOAD = _gauge(
    "worker_load", "Flows, sessions, open connections or calls, depending on the role.", *_OF
)
WORKER_NATIVE = _gauge(
    "worker_native", "1 if packets are moved by the code in C, 0 if by that in Python.", *_OF
)
CPU = _counter("process_cpu_seconds", "User and system time of a process.", *_OF)
MEMORY = _gauge("process_resident_memory_bytes", "Resident memory of a process.", *_OF)

LOST = _counter(
    "lost_messages",
    "Messages between processes that came to nothing, by why.",
    *_OF,
    "reason",
)

# --- relays -----------------------------------------------------------------------------------------

_FLOWING = (*_WORKER, "transport")
RELAY_RECEIVED = _counter(
    "relay_received_datagrams",
    "From clients (TCP: frames). Equals forwarded + upcalled + dropped.",
    *_FLOWING,
)
RELAY_FORWARDED = _counter(
    "relay_forwarded_datagrams", "From clients, sent on to transceivers at once.", *_FLOWING
)
RELAY_UPCALLED = _counter(
    "relay_upcalled_datagrams", "From clients, given to the core to decide.", *_FLOWING
)
RELAY_DROPPED = _counter(
    "relay_dropped_datagrams", "From clients, that went neither on nor up.", *_FLOWING, "reason"
)
RELAY_REFUSED = _counter(
    "relay_refused", "Upcalls and link records that the core ended.", *_FLOWING, "reason"
)
RELAY_RETURNED = _counter("relay_returned_datagrams", "Sent to clients.", *_FLOWING)
RELAY_FLOWS = _gauge("relay_flows", "Flows of clients, pending ones included.", *_FLOWING)
RELAY_PENDING = _gauge("relay_pending_flows", "Flows nobody has vouched for yet.", *_FLOWING)
RELAY_ASSURED = _counter("relay_assured_flows", "Flows a transceiver vouched for.", *_FLOWING)
RELAY_OTHER_UP = _gauge(
    "relay_other_up", "1 if a relay of another cluster answers.", *_WORKER, "cluster", "relay"
)
RELAY_CONNECTIONS = _gauge("relay_tcp_connections", "Connections that are open.", *_WORKER)
RELAY_ACCEPTED = _counter("relay_tcp_accepted", "Connections so far.", *_WORKER)
RELAY_TAKEN = _counter(
    "relay_tcp_taken", "Connections that an earlier worker has left, so far.", *_WORKER
)
RELAY_ENDED = _counter("relay_tcp_ended", "Connections that have ended.", *_WORKER, "reason")
RELAY_CONSERVED = _gauge(
    "relay_conserved", "1 as long as the counters of datagrams have always added up.", *_WORKER
)

# --- transceivers -----------------------------------------------------------------------------------

SESSIONS = _gauge("sessions", "Sessions that live.", *_WORKER)
CONNECTED = _gauge("sessions_connected", "Sessions with ICE and DTLS done.", *_WORKER)
CREATED = _counter("sessions_created", "Sessions that have begun.", *_WORKER)
CLOSED = _counter("sessions_closed", "Sessions that have ended.", *_WORKER, "reason")
BUSY = _gauge(
    "transceiver_busy_ratio", "Share of its thread that media takes, from 0 to 1.", *_WORKER
)
RECORDS_IN = _counter("transceiver_received_records", "From relays.", *_WORKER)
RECORDS_OUT = _counter("transceiver_sent_records", "To relays.", *_WORKER)
AUDIO_IN = _counter("audio_received_frames", "From clients, authenticated.", *_WORKER)
AUDIO_OUT = _counter("audio_sent_frames", "To clients.", *_WORKER)
TRANSCEIVER_DROPPED = _counter(
    "transceiver_dropped", "Records, packets and frames that went no further.", *_WORKER, "reason"
)
MESSAGES_IN = _counter("data_received_messages", "Of data channels.", *_WORKER)
MESSAGES_OUT = _counter("data_sent_messages", "Of data channels.", *_WORKER)
MESSAGE_BYTES_IN = _counter("data_received_bytes", "In messages of data channels.", *_WORKER)
MESSAGE_BYTES_OUT = _counter("data_sent_bytes", "In messages of data channels.", *_WORKER)
CHUNKS_RESENT = _counter(
    "data_resent_chunks", "Pieces of messages that were lost, or thought lost.", *_WORKER
)
LOST_IN = _counter("audio_received_lost_packets", "Of clients, that never came.", *_WORKER)
LOST_OUT = _counter(
    "audio_sent_lost_packets", "To clients, that never came, as they report.", *_WORKER
)
ROUND_TRIP = _seconds("session_round_trip", "To clients and back, at each of their reports.")
JITTER_IN = _seconds("audio_received_jitter", "Of clients' streams, every five seconds.")
JITTER_OUT = _seconds("audio_sent_jitter", "Of our streams, at each report of a client.")

_BACKEND: Final = ("worker", "backend", "endpoint")
BACKEND_UP = _gauge("backend_up", "1 if a transceiver reaches that end point.", *_BACKEND)
BACKEND_SESSIONS = _gauge("backend_sessions", "Sessions that an end point has.", *_BACKEND)
BACKEND_WITHOUT_CREDIT = _counter(
    "backend_without_credit_chunks", "Audio that an end point was too slow for.", *_BACKEND
)
BACKEND_BEFORE_ACCEPT = _counter(
    "backend_before_accept_chunks",
    "Audio that came before an end point had accepted the session.",
    *_BACKEND,
)
BACKEND_MISTAKES = _counter(
    "backend_mistakes", "Items of an end point that were not heeded.", *_BACKEND, "code"
)

# --- HTTP, realtime, and this -----------------------------------------------------------------------

HTTP_CONNECTIONS = _gauge("http_connections", "Open connections.", *_OF)
HTTP_RESPONSES = _counter("http_responses", "Answers, by status code.", *_OF, "code")
HTTP_FAILURES = _counter("http_failures", "Connections that met a bug and were closed.", *_OF)
HTTP_EVICTED = _counter(
    "http_evicted_connections", "Connections too slow with a request when others came.", *_OF
)
CALLS_PLACED = _counter(
    "calls_placed", "Calls, by where they were placed; other hosts that refused.", *_WORKER, "what"
)
CALLS_GUESTS = _counter("calls_guests", "Calls that other hosts placed here.", *_WORKER, "what")
SINGLE_USE = _counter(
    "single_use_secrets",
    "Client secrets for one call, and who could not be asked.",
    *_WORKER,
    "what",
)
SIDEBANDS = _counter("sidebands", "WebSockets beside calls.", *_WORKER, "what")
REALTIME_CALLS = _gauge("realtime_calls", "Calls that are bridged now.", *_WORKER)
REALTIME_BEGUN = _counter("realtime_begun_calls", "Calls that were bridged.", *_WORKER)
REALTIME_FAILED = _counter(
    "realtime_failed_calls", "Calls that ended because the server failed.", *_WORKER, "code"
)
REALTIME_DROPPED = _counter(
    "realtime_dropped", "What was lost, or not as it should be, in calls.", *_WORKER, "what"
)
FLEET_HOSTS = _gauge("fleet_hosts", "Other hosts that are known.", *_WORKER)
FLEET_FRESH = _gauge("fleet_fresh_hosts", "Of them, heard of within the last seconds.", *_WORKER)
FLEET_FAILURES = _counter(
    "fleet_redis_failures", "Requests that Redis did not fulfil.", *_WORKER, "reason"
)
FLEET_REFUSED = _counter(
    "fleet_refused", "What others were said to have said and was not believed.", *_WORKER, "reason"
)
FLEET_CACHE = _counter(
    "fleet_cache_flows",
    "Flows written to the flow cache, taken out, found, missed.",
    *_WORKER,
    "what",
)
FLEET_WAITING = _gauge("fleet_cache_waiting", "Flows that wait to be written.", *_WORKER)
RELAY_CACHE = _counter(
    "relay_cache_flows",
    "Flows that the flow cache was asked about, found, missed.",
    *_WORKER,
    "what",
)
RELAY_HELD = _gauge("relay_held", "Datagrams that wait for the flow cache.", *_WORKER)
UNANSWERED = _counter(
    "telemetry_unanswered_questions", "Questions the supervisor did not answer.", *_WORKER
)

METRICS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
"""In the order of this file."""
