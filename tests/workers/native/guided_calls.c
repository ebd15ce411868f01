/* The native media plane of a caller under libFuzzer: sockets of its streams' own in the link's place, and probes.
 *
 * Beside memory errors it finds: descriptors that are closed twice, never, or used afterwards; a datagram that leaves
 * by a socket that was not given; frames that are counted wrongly.
 */
#define _GNU_SOURCE
#include "kernel.h"
#include "../../../workers/native/media.c"
#include "../../../workers/native/media_in.c"
#include "../../../workers/native/media_life.c"
#include "../../../workers/native/media_out.c"
#include "../../../workers/native/media_play.c"
#include "../../../workers/native/media_probe.c"
#include "../../../workers/native/media_talk.c"
#include "../../../workers/native/media_wire.c"
#include "laws_media.h"

#define NAMES 6 /* of whom callers call, at the same places in both families */

static void left(int fd, const union pretended *to) {
    uint8_t host = to->any.sa_family == AF_INET ? ntohl(to->v4.sin_addr.s_addr) & 255 : to->v6.sin6_addr.s6_addr[15];
    CHECK(host < NAMES && wires[fd - WIRE].is_open);
}

static void address(uint8_t *to, int family, int host) {
    union name name;
    fp_endpoint at;
    name_of((union pretended *)&name, family, host, 0);
    read_name(&at, &name);
    memset(to, 0, ADDRESS_ROOM);
    memcpy(to, &at, sizeof at);
}

static void tell_plug(uint32_t label, uint32_t count, int host) {
    uint8_t body[sizeof(mp_plug) + 3 * ADDRESS_ROOM];
    if (wires_given == MOST_WIRES || label % STREAM_WIRES + count > STREAM_WIRES) return;
    mp_plug p = { WIRE + wires_given, count };
    memcpy(body, &p, sizeof p);
    for (uint32_t i = 0; i < count; i++) address(body + sizeof p + i * ADDRESS_ROOM, family_of(p.fd), (host + i) % NAMES);
    wires[wires_given++].is_open = 1;
    give((mp_command){ .kind = MP_PLUG, .value = label }, NULL, body, sizeof p + count * ADDRESS_ROOM);
}

static void tell_probe(uint32_t stream, const struct operation *o) {
    mp_probe p = { .frames = byte_at(o, 2) * 3, .timestamp = (uint32_t)byte_at(o, 3) << 24, .step = 960, .type = 111, .number_at = byte_at(o, 4) % 60,
                   .octets = 64 };
    memset(p.frame, 0x40, sizeof p.frame);
    give((mp_command){ .kind = MP_PROBE, .stream = stream }, NULL, &p, sizeof p);
}

/* Kind, stream, and what the kind wants. */
static void tell(const struct operation *o) {
    static const int kinds[] = { MP_OPEN, MP_CLOSE, MP_BIND, MP_SET_WAY, MP_SEND_RECORD, MP_SEND_REPORT, MP_PLUG, MP_UNPLUG, MP_PROBE, MP_END_PROBE };
    mp_command c = { .kind = kinds[byte_at(o, 0) % 10], .stream = byte_at(o, 1) % STREAMS };
    uint32_t label = c.stream * STREAM_WIRES + byte_at(o, 2) % STREAM_WIRES;
    c.value = label;
    switch (c.kind) {
    case MP_OPEN: open_stream_of(c.stream, (uint32_t)byte_at(o, 2) << 16 | byte_at(o, 3)); break;
    case MP_CLOSE: close_stream_of(c.stream); break;
    case MP_PLUG: tell_plug(label, 1 + byte_at(o, 3) % 3, byte_at(o, 4)); break;
    case MP_PROBE: tell_probe(c.stream, o); break;
    case MP_BIND: case MP_SET_WAY: give(c, names[0], NULL, 0); break;
    case MP_SEND_RECORD: give(c, names[0], o->bytes, o->length < 1400 ? o->length : 1400); break;
    case MP_SEND_REPORT: give(c, NULL, o->bytes, o->length < 1400 ? o->length : 1400); break;
    default: give(c, NULL, NULL, 0);
    }
}

static void probes_are_sound(void) {
    uint32_t speaking = 0, phased = 0;
    for (uint32_t i = 0; i < STREAMS; i++) {
        uint32_t counts[ROUND_TRIPS], under_way = 0;
        int64_t back = 0;
        mp_echoes e;
        CHECK(mp_read_echoes(plane, i, &e));
        mp_read_round_trips(plane, i, counts, ROUND_TRIPS);
        for (int j = 0; j < ROUND_TRIPS; j++) back += counts[j];
        for (int j = 0; j < UNDER_WAY; j++) under_way += plane->probes[i].left_at[j] != 0;
        CHECK(back == e.received && e.received <= e.sent && e.outstanding == under_way && e.outstanding <= FORGET_AFTER);
        CHECK(e.shortest <= e.longest && e.reordered <= e.received && e.late >= 0);
        CHECK(!plane->probes[i].speaks || (plane->probes[i].is_on && plane->probes[i].is_listed));
        speaking += plane->probes[i].speaks;
    }
    for (int i = 0; i < PHASES; i++) phased += plane->phases[i];
    CHECK(speaking == phased);
}

/* What was sent comes back, or something like it. */
static void come_back(const struct operation *o) {
    uint32_t i = byte_at(o, 0) % (wires_given ? wires_given : 1), n = RTP_HEADER + 64;
    uint8_t packet[RTP_HEADER + 64 + 16] = { 0x80, 111, byte_at(o, 1), byte_at(o, 2), [8] = 1 };
    memset(packet + RTP_HEADER, 0x40, 64);
    put_u32(packet + RTP_HEADER + byte_at(o, 4) % 60, byte_at(o, 3));
    for (uint32_t j = RTP_HEADER; j < n; j++) packet[j] ^= 0x5a; /* as `unprotect` does */
    packet[n + 15] = GOOD;
    if (wires_given) arrive(WIRE + i, byte_at(o, 5) % NAMES, 0, packet, n + 16);
}

static void carry(const struct operation *o) {
    switch (o->what % 7) {
    case 0: if (wires_given) arrive(WIRE + o->who % wires_given, byte_at(o, 0) % (NAMES + 1), 0, o->bytes, o->length); break;
    case 1: tell(o); break;
    case 2: give_nonsense(o->bytes, o->length); break;
    case 3: come_back(o); break;
    case 4:
        failing = byte_at(o, 3);
        pretended_ns += 1000ll * (byte_at(o, 0) | byte_at(o, 1) << 8 | byte_at(o, 2) << 16);
        if (o->who % 4) flush();
        mp_round(plane, pretended_ns, o->who % 8 != 7);
        keeps_the_laws();
        bindings_are_sound();
        probes_are_sound();
        break;
    case 5: take_events(o->who ? 512 : 1 + byte_at(o, 0) % 9, byte_at(o, 1) % 4 ? sizeof block : 65600); break;
    case 6: pretended_ns += 20000000ll * byte_at(o, 0); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct operation o;
    forget_all();
    for (int i = 0; i <= RELAYS; i++) address(names[i], AF_INET, 200 + i);
    start_plane(-1);
    while (next_operation(&data, &size, &o)) carry(&o);
    failing = 0;
    flush();
    mp_round(plane, pretended_ns, 1);
    take_events(512, sizeof block);
    stop_plane();
    for (int i = 0; i < wires_given; i++) CHECK(!wires[i].is_open || pending_bytes);
    forget_all();
    return 0;
}
