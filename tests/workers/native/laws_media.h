/* A media plane's cipher and Python, and what holds of it whatever came: fuzz_media.c,
 * guided_media.c and guided_calls.c share them.
 *
 * The cipher is none: a packet is good if its last byte says so. But it dies of a context that is not open, of a
 * packet that is not aligned, and it writes all that libsrtp may.
 */
#define STREAMS 12
#define RELAYS 3
#define GOOD 0x77
#define NONSENSE (sizeof(mp_command) + sizeof(mp_keys)) /* bytes: a whole MP_OPEN */

struct context { int live; };

static mp *plane;
static uint8_t pending[1 << 21], block[1 << 18];
static size_t pending_bytes;
static mp_event taken[512];
static struct context *in_use[STREAMS], *leaving[STREAMS][64];
static int leaving_count[STREAMS];
static uint8_t is_lent[STREAMS]; /* what the stream plays */
static uint8_t names[RELAYS + 1][ADDRESS_ROOM];

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

/* `dice`: what is different from stream to stream. */
static void open_stream_of(uint32_t stream, uint32_t dice) {
    if (in_use[stream]) return;
    struct context *context = malloc(sizeof *context);
    context->live = 1;
    in_use[stream] = context;
    mp_keys k = { .in = (uintptr_t)context, .out = (uintptr_t)context, .ssrc = dice & 3, .sequence = dice >> 16,
                  .receives = (dice >> 2 & 7) != 0, .sends = (dice >> 5 & 7) != 0, .rates = { 0, 48000, 8000 } };
    k.rate_of[111] = 1;
    k.rate_of[0] = 2;
    give((mp_command){ .kind = MP_OPEN, .stream = stream }, NULL, &k, sizeof k);
}

static void close_stream_of(uint32_t stream) {
    if (leaving_count[stream] == 64 || pending_bytes > sizeof pending - 256) return;
    leaving[stream][leaving_count[stream]++] = in_use[stream];
    in_use[stream] = NULL;
    give((mp_command){ .kind = MP_CLOSE, .stream = stream }, NULL, NULL, 0);
}

/* One command that no Python of ours gives: refused before the thread meets it. What it cannot judge is left out: keys,
 * the end of a stream that is not there, and descriptors that are nobody's. */
static void give_nonsense(const uint8_t *bytes, size_t length) {
    uint8_t junk[NONSENSE] = { 0 };
    mp_command c;
    memcpy(junk, bytes, length < sizeof junk ? length : sizeof junk);
    memcpy(&c, junk, sizeof c);
    if (c.kind == MP_OPEN && c.size == sizeof junk) c.stream |= 1u << 31;
    if (c.kind == MP_CLOSE) c.stream = STREAMS + c.stream % 9;
    if (c.kind == MP_PLUG) c.value |= 1u << 31;
    memcpy(junk, &c, sizeof c);
    mp_push(plane, junk, c.size < sizeof junk ? c.size : sizeof junk);
}

static void take_events(int most, size_t room) {
    uint32_t used = 0, heard = 0, end = 0;
    int n = mp_take(plane, taken, most, block, room, &used, &heard);
    for (int i = 0; i < n; i++) {
        const mp_event *e = &taken[i];
        CHECK(e->start == end && e->end >= e->start && e->end <= used);
        CHECK(e->kind >= MP_EVENT_FRAME && e->kind <= MP_EVENT_CLOSED);
        CHECK(e->stream < STREAMS || (e->kind == MP_EVENT_RECORD && e->stream == MP_NO_STREAM));
        end = e->end;
        if (e->kind != MP_EVENT_CLOSED) continue;
        mp_end_talk(plane, e->stream);
        is_lent[e->stream] = 0;
        CHECK(leaving_count[e->stream]-- > 0); /* told once each; then nobody may use its context */
        if (leaving[e->stream][0]) leaving[e->stream][0]->live = 0;
        free(leaving[e->stream][0]);
        memmove(leaving[e->stream], leaving[e->stream] + 1, leaving_count[e->stream] * sizeof **leaving);
    }
    CHECK(end == used);
}

static void keeps_the_laws(void) {
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

static void start_plane(int link) {
    uint64_t functions[] = { (uintptr_t)protect, (uintptr_t)unprotect, (uintptr_t)protect, (uintptr_t)unprotect };
    plane = mp_new(link, 1280, STREAMS, 0.5, functions);
    CHECK(plane);
    pending_bytes = 0;
    give((mp_command){ .kind = MP_SET_PEERS }, NULL, names, ADDRESS_ROOM * RELAYS);
    flush();
}

static void stop_plane(void) {
    mp_stop(plane);
    for (int i = 0; i < 40 && pending_bytes; i++) {
        flush();
        mp_round(plane, 0, 0);
    }
    mp_round(plane, 0, 0);
    CHECK(!pending_bytes);
    keeps_the_laws();
    bindings_are_sound();
    mp_free(plane);
    for (int i = 0; i < STREAMS; i++) {
        free(in_use[i]);
        in_use[i] = NULL;
        while (leaving_count[i]) free(leaving[i][--leaving_count[i]]);
    }
}
