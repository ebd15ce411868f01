/* The native media plane under libFuzzer: one thread, one input, the laws after every round.
 *
 * Beside memory errors it finds: a record that leaves for somebody who is no relay.
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

static void left(int fd, const union pretended *to) {
    CHECK(fd == LINK && (ntohl(to->v4.sin_addr.s_addr) & 255) < RELAYS);
}

/* Structured as Python gives it: kind, stream, label, relay, type, then the body. */
static void tell(const struct operation *o) {
    mp_command c = { .kind = byte_at(o, 0) % (MP_SET_PEERS + 1), .stream = byte_at(o, 1) % STREAMS, .value = byte_at(o, 2),
                     .type = byte_at(o, 4), .flags = byte_at(o, 4) & 1 };
    const uint8_t *relay = byte_at(o, 3) < 250 ? names[byte_at(o, 3) % (RELAYS + 1)] : NULL;
    size_t length = o->length > 5 ? o->length - 5 : 0;
    switch (c.kind) {
    case MP_OPEN: open_stream_of(c.stream, (uint32_t)byte_at(o, 2) << 16 | byte_at(o, 4)); break;
    case MP_CLOSE: close_stream_of(c.stream); break;
    case MP_SET_PEERS: give(c, NULL, names, ADDRESS_ROOM * (1 + c.value % RELAYS)); break;
    case MP_SEND: case MP_SEND_REPORT: relay = NULL; /* fall through */
    default: give(c, relay, o->bytes + (o->length - length), length);
    }
}

static void carry(const struct operation *o) {
    switch (o->what % 6) {
    case 0: arrive(LINK, o->who % (RELAYS + 1), 0, o->bytes, o->length); break;
    case 1: tell(o); break;
    case 2: give_nonsense(o->bytes, o->length); break;
    case 3: flush(); break;
    case 4:
        failing = byte_at(o, 3);
        pretended_ns += 1000ll * (byte_at(o, 0) | byte_at(o, 1) << 8 | byte_at(o, 2) << 16);
        if (o->who % 4) flush();
        mp_round(plane, pretended_ns, o->who % 8 != 7);
        keeps_the_laws();
        bindings_are_sound();
        break;
    case 5: take_events(o->who ? 512 : 1 + byte_at(o, 0) % 9, byte_at(o, 1) % 4 ? sizeof block : 65600); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct operation o;
    forget_all();
    for (int i = 0; i <= RELAYS; i++) {
        fp_endpoint at;
        union name name;
        name_of((union pretended *)&name, AF_INET, i, 0);
        read_name(&at, &name);
        memcpy(names[i], &at, sizeof at);
    }
    start_plane(LINK);
    while (next_operation(&data, &size, &o)) carry(&o);
    failing = 0;
    flush();
    mp_round(plane, pretended_ns, 1);
    take_events(512, sizeof block);
    stop_plane();
    forget_all();
    return 0;
}
