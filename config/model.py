"""The configuration as a frozen value; every default and every bound an operator can meet is here.

`tandem.toml` lists the same keys with the same defaults (a test holds the two together).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

from config.fields import CurveKey, EndpointField, NetworkField, OptionalEndpointField, WorkerCount
from config.ids import ClusterId, Endpoint

# TOML has types: `workers = "4"` and `workers = true` are mistakes, not four and one.
_Whole = Annotated[int, Strict()]
_Number = Annotated[float, Strict()]
_Text = Annotated[str, Strict()]
_Switch = Annotated[bool, Strict()]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LogLevel(StrEnum):
    """Least severe level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class DatapathChoice(StrEnum):
    """Which code moves the datagrams of a relay."""

    AUTO = "auto"
    NATIVE = "native"
    PYTHON = "python"


class MediaChoice(StrEnum):
    """Which code moves the media of a transceiver."""

    AUTO = "auto"
    NATIVE = "native"
    PYTHON = "python"


class Steering(StrEnum):
    """What decides which relay worker gets a client's datagrams."""

    HASH = "hash"
    CPU = "cpu"
    TABLE = "table"


class ProxyHeader(StrEnum):
    """`signaling.proxy_header`."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"


class Voice(StrEnum):
    """A codec of speech."""

    OPUS = "opus"
    PCMU = "pcmu"
    PCMA = "pcma"


class ClusterSection(_Section):
    """Who this host is in a fleet; a single host needs nothing here."""

    id: Annotated[ClusterId, Strict(), Field(ge=0, le=65535)] = ClusterId(0)
    """Cluster number, the part of a route that names the site."""
    others: dict[
        Annotated[ClusterId, Field(ge=0, le=65535)],
        Annotated[tuple[EndpointField, ...], Field(min_length=1)],
    ] = {}
    """Other clusters and where their relays take clients from us, which makes this host a Global Relay."""
    ingress: OptionalEndpointField = None
    """Address and port where this host's relays take clients from Global Relays. Empty: from nobody."""
    global_relays: tuple[_Text, ...] = ()
    """Addresses of the Global Relays of this cluster, as in their `link.address`."""


class RelaySection(_Section):
    """The public surface: UDP, and TCP for those whose network blocks it."""

    listen: tuple[EndpointField, ...] = (Endpoint("0.0.0.0", 3478), Endpoint("::", 3478))  # noqa: S104
    """Addresses and port to listen on. A wildcard stands for every address this host has at start."""
    advertise: tuple[EndpointField, ...] = ()
    """Addresses put into answers. Empty: the host's own, loopback only if it has no other."""
    tcp: _Switch = True
    """Serve clients whose network blocks UDP, by ICE-TCP."""
    listen_tcp: tuple[EndpointField, ...] = ()
    """Addresses and ports of ICE-TCP. Empty: those of `listen`."""
    advertise_tcp: tuple[EndpointField, ...] = ()
    """The same in answers. Empty: as `advertise` without `listen_tcp`, else where it listens."""
    workers: WorkerCount = "auto"
    """Relay workers; `auto` is one per CPU, each pinned to its own."""
    receive_buffer: Annotated[_Whole, Field(ge=65536, le=268_435_456)] = 4_194_304
    """Bytes of kernel receive buffer per socket: what arrives while a worker is replaced."""
    datapath: DatapathChoice = DatapathChoice.AUTO
    """What moves datagrams: native (C), python, or auto: native where it is built."""
    steering: Steering = Steering.HASH
    """Which worker gets a client: by the kernel's hash, the CPU that took the datagram, or a table."""
    max_flows: Annotated[_Whole, Field(ge=16, le=16_777_215)] = 65_536
    """Flows per worker, pending and assured."""
    max_pending: Annotated[_Whole, Field(ge=16, le=1_048_576)] = 4_096
    """Flows per worker that no transceiver has vouched for yet: what a flood of strangers may occupy."""
    flow_idle: Annotated[_Number, Field(ge=35, le=3600)] = 60.0
    """Seconds of silence after which a flow is forgotten; clients check consent every 2.5-6 s."""

    @property
    def tcp_listen(self) -> tuple[Endpoint, ...]:
        """Where ICE-TCP is to be served, wildcards among it; empty if it is not."""
        return (self.listen_tcp or self.listen) if self.tcp else ()

    @property
    def tcp_advertise(self) -> tuple[Endpoint, ...]:
        """What answers are to say of it; empty if that follows from where it listens."""
        return self.advertise_tcp or (() if self.listen_tcp else self.advertise)


class LinkSection(_Section):
    """Between relay and transceiver."""

    address: _Text = "127.0.0.1"
    """Exact address of the link sockets; never a wildcard."""
    mtu: Annotated[_Whole, Field(ge=1280, le=65_000)] = 65_000
    """Most bytes in one link datagram. 1372 between hosts (fits inside WireGuard)."""


class TransceiverSection(_Section):
    """Where sessions live."""

    workers: WorkerCount = "auto"
    """Transceiver workers; `auto` is one per CPU."""
    first_id: Annotated[_Whole, Field(ge=0, le=65_279)] = 0
    """Number of the first one. Hosts of a cluster without Redis need numbers that do not overlap."""
    max_sessions: Annotated[_Whole, Field(ge=1, le=100_000)] = 1_000
    """Sessions per worker; beyond that new ones are answered 503."""
    max_busy: Annotated[_Number, Field(ge=0.1, le=1)] = 0.8
    """Share of a worker's time that its sessions' media may take, new ones counted as those before; beyond
    that they are answered 503. 1 is no limit."""
    media: MediaChoice = MediaChoice.AUTO
    """What moves media: native (C), python, or auto: native where it is built."""
    codecs: Annotated[tuple[Voice, ...], Field(min_length=1)] = tuple(Voice)
    """Codecs that answers may accept. Which of them is spoken, the client's offer decides."""
    connect_timeout: Annotated[_Number, Field(ge=1, le=300)] = 30.0
    """Seconds from the answer until ICE and DTLS must be done."""
    consent_timeout: Annotated[_Number, Field(ge=5, le=300)] = 30.0
    """Seconds without a valid check after which a session ends (RFC 7675, 5.1)."""
    max_duration: Annotated[_Number, Field(ge=0, le=604_800)] = 0.0
    """Seconds that a session may last once connected; 0 is for ever."""
    idle_timeout: Annotated[_Number, Field(ge=0, le=86_400)] = 0.0
    """Seconds without audio or a message in either direction that end a session; 0 is never."""


class SignalingSection(_Section):
    """The HTTP side."""

    listen: tuple[EndpointField, ...] = (Endpoint("127.0.0.1", 8080),)
    """Addresses of the HTTP server."""
    cors_origins: tuple[_Text, ...] = ()
    """Origins allowed to call from a browser; `*` allows all. The demo page needs none."""
    api_keys: _Text = ""
    """File with the hashes of API keys. Empty: only this machine may place calls."""
    anonymous: _Switch = False
    """Without API keys, let whoever reaches the server place calls, not this machine alone."""
    calls_per_minute: Annotated[_Whole, Field(ge=0, le=1_000_000)] = 120
    """New calls and client secrets that one address (IPv6: one /64) may ask for; 0 is no limit."""
    trusted_proxies: tuple[NetworkField, ...] = ()
    """Addresses or networks of proxies that say who the client is."""
    proxy_header: ProxyHeader = ProxyHeader.X_FORWARDED_FOR
    """By which header they say it: `x-forwarded-for` or `forwarded`. The other is not read."""
    max_body: Annotated[_Whole, Field(ge=4096, le=1_048_576)] = 65_536
    """Bytes of a request body; larger ones are answered 413."""
    max_connections: Annotated[_Whole, Field(ge=16, le=100_000)] = 2_000
    """Open HTTP connections. Where there is no place left, the one that is idle or sends its request for
    longest makes room; if none is, newcomers wait in the kernel's backlog."""
    request_timeout: Annotated[_Number, Field(ge=1, le=300)] = 10.0
    """Seconds a client may take to send a request, and a transceiver to answer it."""


class AuthSection(_Section):
    """Tokens of an identity provider of the operator's own, with which its users call."""

    jwks_file: _Text = ""
    """File with the provider's public keys, a JSON Web Key Set. Empty: none."""
    jwks_url: _Text = ""
    """Where the provider publishes them instead, by https. Empty: nowhere."""
    issuer: _Text = ""
    """What `iss` of a token must be."""
    audience: _Text = ""
    """What `aud` of a token must be, or have among others."""
    scope: _Text = ""
    """A word that `scope` of a token must have. Empty: none is needed."""
    leeway: Annotated[_Number, Field(ge=0, le=300)] = 30.0
    """Seconds by which the provider's clock may differ from ours."""
    backends: tuple[_Text, ...] = ()
    """The only ones that may be called with tokens. Empty: any."""
    sessions: Annotated[_Whole, Field(ge=0, le=1_000_000)] = 0
    """Calls at a time of one user (`sub`); 0 is as many as there is room for."""
    calls_per_minute: Annotated[_Whole, Field(ge=0, le=1_000_000)] = 0
    """New calls of one user; 0 is no limit of its own."""

    @property
    def wanted(self) -> bool:
        """Tokens are taken."""
        return bool(self.jwks_file or self.jwks_url)


class SiteSection(_Section):
    """A place with relays that clients of this cluster may use."""

    name: _Text
    """For logs and problems; any text."""
    addresses: Annotated[tuple[EndpointField, ...], Field(min_length=1, max_length=8)]
    """Its relays' addresses, as clients reach them."""
    location: Annotated[tuple[_Number, ...], Field(max_length=2)] = ()
    """Latitude and longitude in degrees; empty if it does not matter."""
    countries: tuple[_Text, ...] = ()
    """Codes (ISO 3166, two letters) of the countries that it is for."""


class SteeringSection(_Section):
    """Which relays an answer names, if there are relays in several places."""

    sites: tuple[SiteSection, ...] = ()
    """The places. Without any, every answer has `relay.advertise`."""
    sites_per_answer: Annotated[_Whole, Field(ge=1, le=8)] = 2
    """Sites that an answer names, the best first: if one fails, clients go on by the next."""
    country_header: _Text = "cf-ipcountry"
    """Header in which a trusted proxy says the client's country."""
    latitude_header: _Text = "cf-iplatitude"
    """And where that is: the latitude in degrees."""
    longitude_header: _Text = "cf-iplongitude"
    """And the longitude."""
    database: _Text = ""
    """File in the format of MaxMind that tells where an address is. Empty: none."""


class UfragSection(_Section):
    """Keys of the routes inside ufrags. One character per key id, `0-9A-Za-z`."""

    keys: dict[_Text, _Text] = {}
    """Key id -> file with 16 bytes in hex. Empty: this host makes its own key at first start."""
    mint_with: _Text = ""
    """Key id for new sessions; empty takes the only one."""


class BackendsSection(_Section):
    """Who hears the callers and speaks to them."""

    endpoints: dict[str, tuple[_Text, ...]] = {}
    """Name -> ZeroMQ end points of services (docs/backend.md); `echo` and `echo-pcm` are built in."""
    default: _Text = "echo"
    """The back end of calls that name none."""
    buffer: Annotated[_Number, Field(ge=0.1, le=3600)] = 60.0
    """Seconds of audio that may wait to be played, per session."""
    vad_threshold: Annotated[_Number, Field(ge=0, le=1)] = 0.5
    """What is taken for speech, where a back end asks for voice activity: 0 much, 1 little."""
    vad_prefix: Annotated[_Number, Field(ge=0, le=5)] = 0.3
    """Seconds before the detected beginning that count as speech."""
    vad_silence: Annotated[_Number, Field(ge=0.05, le=10)] = 0.5
    """Seconds without voice after which speech has ended."""
    insecure: _Switch = False
    """Allow `tcp://` to other hosts, which is not encrypted: only over WireGuard or a private network."""


class RealtimeSection(_Section):
    """The back end `realtime`: a server that speaks the Realtime protocol over WebSocket."""

    url: _Text = ""
    """`wss://HOST[:PORT]/PATH` of the server. Empty: there is no such back end."""
    api_key_file: _Text = ""
    """File with the key that the server wants as bearer; read anew for each call. Empty: none."""
    model: _Text = ""
    """Model to ask for, whatever the client says. Empty: what the client's session says, if anything."""
    workers: Annotated[_Whole, Field(ge=1, le=64)] = 1
    """Processes that bridge calls; one has room for some hundreds."""


class FleetSection(_Section):
    """The other hosts, where there are any (docs/fleet.md). Nothing here is needed by a single host."""

    listen: tuple[EndpointField, ...] = ()
    """Exact addresses where peers announce themselves, and where our own announcements come from."""
    peers: tuple[EndpointField, ...] = ()
    """`fleet.listen` of the other hosts: how they are found without Redis, or while it is away."""
    calls: OptionalEndpointField = None
    """Exact address where other hosts place calls that they cannot take. Empty: nowhere."""
    everywhere: _Switch = False
    """Know the hosts of all clusters, and not of our own only. Needs Redis."""
    site: _Text = ""
    """Name of the place where this host is; its relays are one of those that answers name. Empty: none."""
    location: Annotated[tuple[_Number, ...], Field(max_length=2)] = ()
    """Latitude and longitude of this host in degrees."""
    countries: Annotated[tuple[_Text, ...], Field(max_length=256)] = ()
    """Codes (ISO 3166, two letters) of the countries that it is for."""
    nearest: _Switch = False
    """Place each call on the host nearest to its client, not on this one first."""


class RedisSection(_Section):
    """A Redis or Valkey that the hosts of a fleet share; every host keeps serving when it is away."""

    url: _Text = ""
    """`redis://HOST[:PORT][/DATABASE]`, `redis+sentinel://` or `redis+cluster://`. Empty: there is none."""
    password_file: _Text = ""
    """File with the password. Empty: none is needed."""
    prefix: _Text = "tandem"
    """What the names of all keys begin with: one for each fleet that shares the server."""
    cache: _Switch = True
    """Keep there where each flow leads, so that it outlives the host of its relay."""


class SupervisorSection(_Section):
    """Processes and where they keep their things."""

    runtime_directory: _Text = ""
    """Sockets of the appliance. Empty: $RUNTIME_DIRECTORY, else /run/tandem or a per-user one."""
    state_directory: _Text = ""
    """What survives a reboot (the host's key). Empty: $STATE_DIRECTORY or a per-user one."""
    drain_timeout: Annotated[_Number, Field(ge=0, le=86_400)] = 30.0
    """Seconds that live sessions may go on after SIGTERM."""
    roll_timeout: Annotated[_Number, Field(ge=0, le=604_800)] = 3_600.0
    """Seconds that live sessions may go on at a worker that a reload or an upgrade has replaced."""
    orphan_timeout: Annotated[_Number, Field(ge=1, le=86_400)] = 300.0
    """Seconds a worker serves without a supervisor before it drains."""
    spares: _Switch = True
    """Keep an idle process for relays, and one for `realtime` (some 35 MB each), for when one dies: live
    calls wait for their successors."""


class OpsSection(_Section):
    """How the appliance is, for people and for Prometheus."""

    listen: tuple[EndpointField, ...] = (Endpoint("127.0.0.1", 9090),)
    """Addresses of `/metrics` and the ops page. Empty: neither. Whoever reaches them may look."""


class AdminSection(_Section):
    """Operators on other hosts (`tandem --connect`); those of this host come by its runtime directory."""

    listen: tuple[EndpointField, ...] = ()
    """Addresses where they come in, over TCP and encrypted by CURVE. Empty: nowhere."""
    clients: dict[_Text, CurveKey] = {}
    """Name -> public key (`tandem keys curve`) of each who may do there whatever an operator may."""


class LogSection(_Section):
    """Log lines, to standard error."""

    level: LogLevel = LogLevel.INFO
    """debug, info, warning or error."""
    format: LogFormat = LogFormat.AUTO
    """console, json, or auto: console on a terminal."""


class Config(_Section):
    """Everything an operator can say."""

    cluster: ClusterSection = ClusterSection()
    relay: RelaySection = RelaySection()
    link: LinkSection = LinkSection()
    transceiver: TransceiverSection = TransceiverSection()
    signaling: SignalingSection = SignalingSection()
    auth: AuthSection = AuthSection()
    steering: SteeringSection = SteeringSection()
    ufrag: UfragSection = UfragSection()
    backends: BackendsSection = BackendsSection()
    realtime: RealtimeSection = RealtimeSection()
    fleet: FleetSection = FleetSection()
    redis: RedisSection = RedisSection()
    supervisor: SupervisorSection = SupervisorSection()
    ops: OpsSection = OpsSection()
    admin: AdminSection = AdminSection()
    log: LogSection = LogSection()

    @property
    def in_fleet(self) -> bool:
        """There are, or may be, other hosts."""
        return bool(self.redis.url or self.fleet.listen)

    @property
    def forwards_for_others(self) -> bool:
        """Relays of this host carry sessions that are on other hosts."""
        return self.in_fleet or bool(self.cluster.others)

    @property
    def has_relays(self) -> bool:
        """Clients' media come in at this host."""
        return self.relay.workers != 0

    @property
    def has_transceivers(self) -> bool:
        """Sessions live on this host, so there is signaling, too."""
        return self.transceiver.workers != 0
