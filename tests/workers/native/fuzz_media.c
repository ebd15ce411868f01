/* The native media plane under sanitizers: random link datagrams and commands, with a cipher that checks its callers.
 * Every other plane is a caller's, with sockets of its streams' own in the link's place, and probes.
 *
 *     fuzz_media SEED ROUNDS          deterministic, in one thread; the laws of conservation hold after every round
 *     fuzz_media SEED ROUNDS thread   with the plane's own thread beside this one, for ThreadSanitizer
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../../workers/native/media_plane.h"

#define LABELS 200
#define CHECK(what) do { if (!(what)) { fprintf(stderr, "round %ld: %s\n", round_, #what); abort(); } } while (0)

static uint64_t state;
static long round_;

#include "laws_media.h"

static int link_, relays[RELAYS], stranger, threaded, calling;
static int sockets[STREAMS]; /* of callers: the plane has a duplicate of each that is plugged in */

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
    getsockname(calling ? sockets[roll(STREAMS)] : link_, &name.any, &length);
    (void)!sendto(from, data, n, MSG_DONTWAIT, &name.any, length);
}

static void hush(int fd) {
    uint8_t byte;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0) {}
}

static void plug_in(uint32_t stream, uint32_t label) {
    uint8_t body[sizeof(mp_plug) + 2 * ADDRESS_ROOM];
    mp_plug p = { dup(sockets[stream]), 1 + roll(2) };
    mp_command c = { .kind = MP_PLUG, .value = label };
    CHECK(p.fd >= 0);
    memcpy(body, &p, sizeof p);
    for (uint32_t i = 0; i < p.count; i++) memcpy(body + sizeof p + i * ADDRESS_ROOM, names[roll(RELAYS)], ADDRESS_ROOM);
    give(c, NULL, body, sizeof p + p.count * ADDRESS_ROOM);
}

static void call(void) {
    uint32_t stream = roll(STREAMS), label = stream * STREAM_WIRES + roll(STREAM_WIRES - 1);
    mp_command c = { .stream = stream, .value = label };
    mp_probe p = { .frames = roll(2000), .timestamp = roll(1u << 31), .step = 960, .type = 111, .number_at = 8, .octets = 40 };
    mp_echoes e;
    uint32_t counts[ROUND_TRIPS];
    switch (roll(6)) {
    case 0: plug_in(stream, label); return;
    case 1: c.kind = MP_UNPLUG; if (!roll(3)) give(c, NULL, NULL, 0); return;
    case 2: c.kind = MP_BIND; give(c, names[0], NULL, 0); return;
    case 3: c.kind = MP_SET_WAY; give(c, names[0], NULL, 0); return;
    case 4: c.kind = roll(3) ? MP_PROBE : MP_END_PROBE; give(c, NULL, &p, c.kind == MP_PROBE ? sizeof p : 0); return;
    case 5:
        if (!mp_read_echoes(plane, stream, &e)) return;
        mp_read_round_trips(plane, stream, counts, ROUND_TRIPS);
        CHECK(e.received <= e.sent && e.outstanding >= 0 && e.outstanding <= e.sent - e.received && e.shortest <= e.longest);
    }
}

static void command(void) {
    if (calling && roll(2)) {
        call();
        return;
    }
    uint32_t stream = roll(STREAMS), label = roll(LABELS);
    const uint8_t *relay = names[roll(RELAYS + 1)];
    uint8_t body[5000];
    mp_command c = { .stream = stream, .value = label };
    switch (roll(14)) {
    case 0: open_stream_of(stream, roll(1u << 31)); return;
    case 1: if (!roll(4)) close_stream_of(stream); return;
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
        if (calling || roll(20)) return;
        c = (mp_command){ .kind = MP_SET_PEERS };
        give(c, NULL, names, ADDRESS_ROOM * (1 + roll(RELAYS)));
        return;
    }
}

static void nonsense(void) {
    uint8_t junk[NONSENSE];
    mp_command c;
    noise(junk, sizeof junk);
    memcpy(&c, junk, sizeof c);
    c.size = roll(sizeof junk + 8);
    c.kind = roll(MP_PLAY + 2);
    memcpy(junk, &c, sizeof c);
    give_nonsense(junk, sizeof junk);
}

static size_t rtp(uint8_t *to) {
    size_t n = 12 + roll(roll(6) ? 200 : 1600);
    noise(to, n);
    to[0] = roll(4) ? 0x80 : 128 + roll(64);
    to[1] = roll(4) ? 111 : roll(3) ? roll(256) : 200 + roll(4);
    if (roll(3)) memset(to + (to[1] >= 192 ? 4 : 8), 0, 3);
    if (roll(2)) { /* of a handful of numbers, so that some follow each other */
        memcpy(to, (uint8_t[]){ 0x80, 111, 0, 7 + roll(4) }, 4);
        memset(to + 8, 0, 4);
    }
    to[n - 1] = roll(5) ? GOOD : roll(256);
    return roll(30) ? n : roll(14);
}

static void from_relay(void) {
    static uint8_t data[65507];
    size_t n = 0;
    if (calling) {
        n = roll(4) ? rtp(data) : roll(100);
        say(roll(20) ? relays[roll(RELAYS)] : stranger, data, n);
        return;
    }
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

/* --- what is lent ------------------------------------------------------------------------------------------ */

#define LINES 3
static mp_line *lines[LINES];
static uint64_t given[STREAMS], left[STREAMS]; /* frames of the loan that there is; their first bytes count */
static uint8_t is_odd[STREAMS]; /* its frames do not count any more */
static int64_t clock_;

static double instant(void) { return (threaded ? clock_ns() : clock_) / 1e9 + 0.5; }

static void lend(uint32_t stream) {
    mp_ear ear = { .ssrc = roll(8) == 0, .next = 7 + roll(3), .type = 111, .clock = roll(20) ? 48000 : 0, .timestamp = roll(1u << 31),
                   .offset = (int64_t)roll(1u << 31) - (1 << 30), .prefix_length = roll(50) ? roll(121) : 255 };
    mp_ear old;
    mp_end_ear(plane, stream, &old);
    mp_lend_ear(plane, stream, lines[roll(LINES)], &ear);
    mp_voice voice = { .origin = instant() - roll(400) / 1e3, .slot = roll(30), .timestamp = roll(1u << 31), .step = 960, .most = roll(40),
                       .type = 111, .gap = roll(2), .live = roll(4) == 0, .open = roll(6) != 0, .session_length = 2 };
    memcpy(voice.session, (uint8_t[]){ 's', 'a' + stream }, 2);
    voice.item_length = roll(2);
    voice.item[0] = 'i';
    if (!roll(50)) voice.session_length = 64 + roll(190);
    if (!mp_lend_voice(plane, stream, lines[roll(LINES)], &voice)) return;
    CHECK(!is_lent[stream]);
    is_lent[stream] = 1;
    is_odd[stream] = 0;
    given[stream] = left[stream] = 0;
}

static void take_back(uint32_t stream) {
    static uint8_t frames[PLAY_WINDOW * MAX_PACKET];
    mp_ear ear;
    mp_voice_end end;
    if (roll(2)) mp_end_ear(plane, stream, &ear);
    if (!mp_end_voice(plane, stream, &end, frames)) return;
    CHECK(is_lent[stream] && end.count <= PLAY_WINDOW && end.left >= left[stream] && end.slot >= 0);
    CHECK(end.left + end.count == given[stream]); /* each frame has left or has come back */
    uint32_t at = 0;
    for (uint32_t i = 0; i < end.count; at += end.octets[i++]) CHECK(is_odd[stream] || frames[at] == (uint8_t)(end.left + i));
    is_lent[stream] = 0;
}

static void speak(uint32_t stream) {
    uint8_t frame[1600];
    frame[0] = given[stream];
    uint32_t octets = roll(20) ? 1 + roll(300) : roll(1600);
    if (mp_say(plane, stream, frame, octets, instant())) given[stream]++;
    uint32_t waiting, least;
    uint64_t gone = mp_left(plane, stream, &waiting, &least);
    if (!is_lent[stream]) return;
    CHECK(gone >= left[stream] && gone + waiting == given[stream]);
    left[stream] = gone;
}

/* A batch of a back end: one of its own kind, one with other things in it, one that is damaged. */
static void batch(void) {
    static uint8_t data[20000];
    uint32_t count = roll(12), streams[12], n = 1;
    data[0] = 0x90 | count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t stream = streams[i] = roll(STREAMS + 2), octets = 1 + roll(roll(9) ? 100 : 700);
        uint8_t head[] = "\x84\xa4type\xa9" "audio_out\xa7session\xa2s?\xa4item\xa1i\xa7payload\xc5";
        head[26] = 'a' + stream;
        memcpy(data + n, head, sizeof head - 1);
        n += sizeof head - 1;
        data[n++] = octets >> 8;
        data[n++] = octets;
        memset(data + n, 0, octets);
        if (stream < STREAMS) { /* as many of this stream's before it in the batch as will be said first */
            uint32_t before = 0;
            for (uint32_t j = 0; j < i; j++) before += streams[j] == stream;
            data[n] = given[stream] + before;
        }
        n += octets;
    }
    uint8_t *heap = malloc(n);
    memcpy(heap, data, n); /* so that reading behind it is seen */
    int damaged = !roll(3);
    for (uint32_t hits = damaged ? 1 + roll(4) : 0; hits; hits--) heap[roll(n)] = roll(256);
    uint32_t length = roll(6) ? n : roll(n + 1), items, done = mp_hear(plane, lines[roll(LINES)], heap, length, instant(), &items);
    if (!damaged && length == n) {
        CHECK(items == count);
        for (uint32_t i = 0; i < done; i++) given[streams[i]]++;
    } else for (uint32_t i = 0; i < STREAMS && done; i++) { /* whatever it was that was said */
        uint32_t waiting, least;
        given[i] = mp_left(plane, i, &waiting, &least);
        given[i] += waiting;
        is_odd[i] = 1;
    }
    CHECK(done <= items);
    free(heap);
}

static void collect(void) {
    for (int i = 0; i < LINES; i++) {
        mp_line *line = lines[i];
        CHECK(line->bytes <= sizeof line->batch && line->items <= 4096);
        if (line->items) CHECK(line->batch[0] == 0xdd && get_u32(line->batch + 1) == line->items);
        line->items = 0;
        line->bytes = 5;
        line->closed = !roll(10);
        line->credit = roll(200);
    }
}

static void talk(void) {
    uint32_t stream = roll(STREAMS);
    switch (roll(8)) {
    case 0: lend(stream); return;
    case 1: if (!roll(3)) take_back(stream); return;
    case 2: case 3: case 4: speak(stream); return;
    case 5: case 6: batch(); return;
    case 7: if (!roll(3)) collect(); return;
    }
}

static void start(void) {
    for (int i = 0; i < LINES; i++) {
        free(lines[i]);
        lines[i] = calloc(1, sizeof *lines[i]);
    }
    memset(is_lent, 0, sizeof is_lent);
    calling = roll(2);
    start_plane(calling ? -1 : link_);
    if (threaded) CHECK(!mp_start(plane, -1));
}

int main(int count, char **arguments) {
    state = count > 1 ? strtoull(arguments[1], NULL, 10) * 0x9e3779b97f4a7c15ull + 1 : 1;
    long rounds = count > 2 ? atol(arguments[2]) : 20000;
    threaded = count > 3;
    link_ = udp();
    stranger = udp();
    for (int i = 0; i < RELAYS; i++) relays[i] = udp();
    for (int i = 0; i < STREAMS; i++) sockets[i] = udp();
    for (int i = 0; i <= RELAYS; i++) {
        fp_endpoint at;
        bound_to(i < RELAYS ? relays[i] : stranger, &at);
        memcpy(names[i], &at, sizeof at);
    }
    start();
    int64_t now = 1000000000;
    uint32_t drought = 0;
    for (round_ = 0; round_ < rounds; round_++) {
        clock_ = now;
        for (uint32_t n = roll(roll(50) ? 12 : 900); n; n--) command();
        for (uint32_t n = calling ? 0 : roll(30); n; n--) talk();
        if (!roll(10)) nonsense();
        if (roll(8)) flush();
        for (uint32_t n = roll(roll(50) ? 20 : 120); n; n--) from_relay();
        now += roll(roll(10) ? 1000000 : 2000000000);
        if (!threaded) mp_round(plane, now, roll(8) != 0);
        if (!roll(300)) drought = roll(200); /* until the ring is full */
        if (drought) drought--;
        else if (roll(3)) take_events(roll(4) ? 512 : 1 + roll(9), roll(4) ? sizeof block : 65600);
        if (!roll(20)) for (int i = 0; i < RELAYS; i++) hush(relays[i]);
        if (threaded && !roll(4)) mp_rest(plane, clock_ns() + roll(200000), clock_ns() + roll(400000));
        keeps_the_laws();
        if (!threaded) bindings_are_sound();
        if (!roll(300)) {
            stop_plane();
            start();
        }
    }
    stop_plane();
    printf("%ld rounds\n", round_);
    return 0;
}
