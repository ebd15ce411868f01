/* The native media plane under sanitizers: random link datagrams and commands, with a cipher that checks its callers.
 *
 *     fuzz_media SEED ROUNDS          deterministic, in one thread; the laws of conservation hold after every round
 *     fuzz_media SEED ROUNDS thread   with the plane's own thread beside this one, for ThreadSanitizer
 *
 * The cipher is none: a packet is good if its last byte says so. But it dies of a context that is not open, of a
 * packet that is not aligned, and it writes all that libsrtp may.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../../workers/native/media_plane.h"

#define STREAMS 12
#define RELAYS 3
#define LABELS 200
#define GOOD 0x77
#define CHECK(what) do { if (!(what)) { fprintf(stderr, "round %ld: %s\n", round_, #what); abort(); } } while (0)

struct context { int live; };

static uint64_t state;
static long round_;
static int link_, relays[RELAYS], stranger, threaded;
static mp *plane;
static uint8_t pending[1 << 21], block[1 << 18];
static size_t pending_bytes;
static mp_event taken[512];
static struct context *in_use[STREAMS], *leaving[STREAMS][64];
static int leaving_count[STREAMS];
static uint8_t names[RELAYS + 1][ADDRESS_ROOM];

static uint32_t roll(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % below;
}

static void noise(uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = roll(256);
}

static int udp(void) {
    union name name = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 1 << 20;
    name.v4.sin_family = AF_INET;
    name.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    CHECK(fd >= 0 && !bind(fd, &name.any, sizeof name.v4));
    return fd;
}

static void say(int from, const void *data, size_t n) {
    union name name;
    socklen_t length = sizeof name;
    getsockname(link_, &name.any, &length);
    (void)!sendto(from, data, n, MSG_DONTWAIT, &name.any, length);
}

static void hush(int fd) {
    uint8_t byte;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0) {}
}

/* --- the cipher -------------------------------------------------------------------------------------------- */

static int protect(void *context, void *packet, int *length) {
    CHECK(((struct context *)context)->live && (uintptr_t)packet % 4 == 0 && *length >= 8 && *length <= 1480);
    memset((uint8_t *)packet + *length, 0xee, TRAILER_ROOM); /* libsrtp may use it all */
    ((uint8_t *)packet)[*length + 15] = GOOD;
    if (((uint8_t *)packet)[*length / 2] == 0x99) return 10;
    *length += 16;
    return 0;
}

static int unprotect(void *context, void *packet, int *length) {
    uint8_t *bytes = packet;
    CHECK(((struct context *)context)->live && (uintptr_t)packet % 4 == 0 && *length >= 12 && *length <= 1500);
    if (*length < 28 || bytes[*length - 1] != GOOD) return bytes[*length - 1] % 2 ? 7 : 9;
    *length -= 16;
    for (int i = 12; i < *length; i++) bytes[i] ^= 0x5a;
    return 0;
}

/* --- what is asked of it ----------------------------------------------------------------------------------- */

static void flush(void) {
    size_t done = mp_push(plane, pending, pending_bytes);
    memmove(pending, pending + done, pending_bytes - done);
    pending_bytes -= done;
    mp_wake(plane);
}

static void give(mp_command c, const uint8_t *relay, const void *body, size_t length) {
    c.size = sizeof c + (relay ? ADDRESS_ROOM : 0) + length;
    c.has_relay = relay != NULL;
    if (pending_bytes + c.size > sizeof pending) return;
    uint8_t *to = pending + pending_bytes;
    memcpy(to, &c, sizeof c);
    to += sizeof c;
    if (relay) {
        memcpy(to, relay, ADDRESS_ROOM);
        to += ADDRESS_ROOM;
    }
    if (length) memcpy(to, body, length);
    pending_bytes += c.size;
}

static void open_stream(uint32_t stream) {
    if (in_use[stream]) return;
    struct context *context = malloc(sizeof *context);
    context->live = 1;
    in_use[stream] = context;
    mp_keys k = { .in = (uintptr_t)context, .out = (uintptr_t)context, .ssrc = roll(4), .sequence = roll(65536),
                  .receives = roll(8) != 0, .sends = roll(8) != 0, .rates = { 0, 48000, 8000 } };
    k.rate_of[111] = 1;
    k.rate_of[0] = 2;
    give((mp_command){ .kind = MP_OPEN, .stream = stream }, NULL, &k, sizeof k);
}

static void close_stream(uint32_t stream) {
    if (leaving_count[stream] == 64 || pending_bytes > sizeof pending - 256) return;
    leaving[stream][leaving_count[stream]++] = in_use[stream];
    in_use[stream] = NULL;
    give((mp_command){ .kind = MP_CLOSE, .stream = stream }, NULL, NULL, 0);
}

static void command(void) {
    uint32_t stream = roll(STREAMS), label = roll(LABELS);
    const uint8_t *relay = names[roll(RELAYS + 1)];
    uint8_t body[5000];
    mp_command c = { .stream = stream, .value = label };
    switch (roll(14)) {
    case 0: open_stream(stream); return;
    case 1: if (!roll(4)) close_stream(stream); return;
    case 2: case 3: c.kind = MP_BIND; give(c, relay, NULL, 0); return;
    case 4: c.kind = MP_UNBIND; give(c, relay, NULL, 0); return;
    case 5: case 6: c.kind = MP_SET_WAY; give(c, roll(8) ? relay : NULL, NULL, 0); return;
    case 7: c.kind = MP_FORWARD; c.value = roll(3) ? roll(STREAMS) : MP_NO_STREAM; give(c, NULL, NULL, 0); return;
    case 8: case 9: c.kind = MP_SEND; c.type = roll(4) ? 111 : roll(256); give(c, NULL, body, roll(1500)); return;
    case 10: c.kind = MP_SEND_REPORT; give(c, NULL, body, roll(roll(8) ? 100 : 1600)); return;
    case 11: c.kind = MP_SEND_RECORD; c.type = roll(5); give(c, relay, body, roll(roll(8) ? 200 : sizeof body)); return;
    case 12:
        c.kind = MP_RECEIVE;
        noise(body, 64);
        body[0] = roll(4) ? 0x80 : roll(256);
        give(c, relay, body, roll(roll(8) ? 64 : 1600));
        return;
    case 13:
        if (roll(20)) return;
        c = (mp_command){ .kind = MP_SET_PEERS };
        give(c, NULL, names, ADDRESS_ROOM * (1 + roll(RELAYS)));
        return;
    }
}

/* What no Python of ours gives: it must be refused before the thread meets it. */
static void nonsense(void) {
    uint8_t junk[sizeof(mp_command) + sizeof(mp_keys)];
    noise(junk, sizeof junk);
    mp_command c;
    memcpy(&c, junk, sizeof c);
    c.size = roll(sizeof junk + 8);
    c.kind = roll(14);
    if (c.kind == MP_OPEN && c.size == sizeof junk) c.stream |= 1u << 31; /* its keys would be used */
    if (c.kind == MP_CLOSE) c.stream = STREAMS + roll(9);
    memcpy(junk, &c, sizeof c);
    mp_push(plane, junk, sizeof junk);
}

static size_t rtp(uint8_t *to) {
    size_t n = 12 + roll(roll(6) ? 200 : 1600);
    noise(to, n);
    to[0] = roll(4) ? 0x80 : 128 + roll(64);
    to[1] = roll(4) ? 111 : roll(3) ? roll(256) : 200 + roll(4);
    if (roll(3)) memset(to + (to[1] >= 192 ? 4 : 8), 0, 3);
    to[n - 1] = roll(5) ? GOOD : roll(256);
    return roll(30) ? n : roll(14);
}

static void from_relay(void) {
    static uint8_t data[65507];
    size_t n = 0;
    for (uint32_t records = roll(8); records && n < 60000; records--) {
        uint8_t *head = data + n;
        size_t length = roll(8) ? rtp(head + RECORD_HEADER) : roll(roll(10) ? 60 : 3000);
        if (!roll(200)) length = sizeof data - n - RECORD_HEADER;
        uint32_t label = roll(LABELS);
        memcpy(head, (uint8_t[]){ roll(12) ? 1 : roll(6), roll(4), length >> 8, length }, 4);
        put_u32(head + 4, label);
        n += RECORD_HEADER + length;
    }
    if (!roll(8)) n += roll(12);
    if (!roll(20)) noise(data, n < 64 ? n : 64);
    say(roll(20) ? relays[roll(RELAYS)] : stranger, data, n < sizeof data ? n : sizeof data);
}

static void take(void) {
    uint32_t used = 0, end = 0;
    int n = mp_take(plane, taken, roll(4) ? 512 : 1 + roll(9), block, roll(4) ? sizeof block : 65600, &used);
    for (int i = 0; i < n; i++) {
        const mp_event *e = &taken[i];
        CHECK(e->start == end && e->end >= e->start && e->end <= used);
        CHECK(e->kind >= MP_EVENT_FRAME && e->kind <= MP_EVENT_CLOSED);
        CHECK(e->stream < STREAMS || (e->kind == MP_EVENT_RECORD && e->stream == MP_NO_STREAM));
        end = e->end;
        if (e->kind != MP_EVENT_CLOSED) continue;
        CHECK(leaving_count[e->stream]-- > 0); /* told once each; then nobody may use its context */
        if (leaving[e->stream][0]) leaving[e->stream][0]->live = 0;
        free(leaving[e->stream][0]);
        memmove(leaving[e->stream], leaving[e->stream] + 1, leaving_count[e->stream] * sizeof **leaving);
    }
    CHECK(end == used);
}

static void laws(void) {
    uint64_t n[MP_COUNTERS], dropped = 0, undelivered = 0;
    mp_read_counters(plane, n);
    for (int i = MP_DROPPED_UNKNOWN_PEER; i <= MP_DROPPED_PAYLOAD_TYPE; i++) dropped += n[i];
    for (int i = MP_UNDELIVERED; i < MP_UNSENT; i++) undelivered += n[i];
    CHECK(n[MP_RECORDS] == n[MP_RAISED] + n[MP_FRAMES] + n[MP_REPORTS] + dropped);
    CHECK(n[MP_FRAMES] == n[MP_HANDED_UP] + n[MP_FORWARDED] + undelivered);
    for (uint32_t i = 0; i < STREAMS; i++) {
        mp_stats s;
        CHECK(!mp_read_stats(plane, i, &s));
        CHECK(s.packets_in >= 0 && s.lost >= 0 && s.octets_in >= 0 && s.packets_out >= 0 && s.jitter >= 0 && s.jitter <= 1);
    }
}

static void bindings_are_sound(void) {
    uint32_t bound = 0, listed = 0;
    for (uint32_t i = 0; i <= plane->labels.mask; i++) bound += plane->labels.entries[i] != 0;
    for (uint32_t i = 0; i < STREAMS; i++)
        for (int j = 0; j < plane->streams[i].label_count; j++, listed++) {
            binding *b = label_find(&plane->labels, plane->streams[i].labels[j]);
            CHECK(b && bound_stream(*b) == i);
        }
    CHECK(bound == listed);
}

static void start(void) {
    uint64_t functions[] = { (uintptr_t)protect, (uintptr_t)unprotect, (uintptr_t)protect, (uintptr_t)unprotect };
    plane = mp_new(link_, 1280, STREAMS, 0.5, functions);
    CHECK(plane);
    pending_bytes = 0;
    give((mp_command){ .kind = MP_SET_PEERS }, NULL, names, ADDRESS_ROOM * RELAYS);
    flush();
    if (threaded) CHECK(!mp_start(plane, -1));
}

static void stop(void) {
    mp_stop(plane);
    for (int i = 0; i < 9; i++) {
        flush();
        mp_round(plane, 0, 0);
    }
    CHECK(!pending_bytes);
    laws();
    bindings_are_sound();
    mp_free(plane);
    for (int i = 0; i < STREAMS; i++) {
        free(in_use[i]);
        in_use[i] = NULL;
        while (leaving_count[i]) free(leaving[i][--leaving_count[i]]);
    }
}

int main(int count, char **arguments) {
    state = count > 1 ? strtoull(arguments[1], NULL, 10) * 0x9e3779b97f4a7c15ull + 1 : 1;
    long rounds = count > 2 ? atol(arguments[2]) : 20000;
    threaded = count > 3;
    link_ = udp();
    stranger = udp();
    for (int i = 0; i < RELAYS; i++) relays[i] = udp();
    for (int i = 0; i <= RELAYS; i++) {
        fp_endpoint at;
        bound_to(i < RELAYS ? relays[i] : stranger, &at);
        memcpy(names[i], &at, sizeof at);
    }
    start();
    int64_t now = 1000000000;
    uint32_t drought = 0;
    for (round_ = 0; round_ < rounds; round_++) {
        for (uint32_t n = roll(roll(50) ? 12 : 900); n; n--) command();
        if (!roll(10)) nonsense();
        if (roll(8)) flush();
        for (uint32_t n = roll(roll(50) ? 20 : 120); n; n--) from_relay();
        now += roll(roll(10) ? 1000000 : 2000000000);
        if (!threaded) mp_round(plane, now, roll(8) != 0);
        if (!roll(300)) drought = roll(200); /* until the ring is full */
        if (drought) drought--;
        else if (roll(3)) take();
        if (!roll(20)) for (int i = 0; i < RELAYS; i++) hush(relays[i]);
        laws();
        if (!threaded) bindings_are_sound();
        if (!roll(300)) {
            stop();
            start();
        }
    }
    stop();
    printf("%ld rounds\n", round_);
    return 0;
}
