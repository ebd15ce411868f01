/* A media plane: its state, and the few words of it that all its files use. */
#ifndef TANDEM_MEDIA_PLANE_H
#define TANDEM_MEDIA_PLANE_H
#include <semaphore.h>
#include "address.h"
#include "density.h"
#include "link.h"
#include "media_probe.h"
#include "media_queue.h"
#include "media_ring.h"
#include "media_stream.h"
#include "thread.h"

#define LINK_BATCH 32       /* link datagrams per recvmmsg, each of up to 64 KiB */
#define TURNS 8             /* batches until commands and clock get their turn */
#define MAX_PEERS 255
#define NO_PEER 0xffff
#define MAX_PACKET 1500     /* workers/transceiver/core/srtp.py */
#define MAX_TRAILER 20
#define TRAILER_ROOM 152    /* what libsrtp may write behind a packet */
#define RTP_HEADER 12
#define RECORD_LAST_TYPE 4
#define ADDRESS 18          /* of a relay, in bodies of events */
#define ADDRESS_ROOM 24     /* in bodies of commands, so that what follows is aligned */
#define STREAM_FRAMES 64    /* of one stream in the ring: no client crowds out another */
#define STREAM_RECORDS 256
#define STREAM_WIRES 16 /* of one stream; workers/caller/trunk.py */
#define LEGS 64             /* link datagrams per sendmmsg */
#define LEG_RECORDS 64
#define ARENA (1u << 18)    /* bytes of records on their way out */
#define GATHER_NS 1000000   /* workers/transceiver/media/base.py */
#define MOST_GAP_NS (GATHER_NS / 2)
#define DENSITY_NS 20000000ll /* voice comes every 20 ms, however many clients speak at once */
#define SEEN_EVERY 0.05
#define REPORT_WAIT_NS 100000000ll
#define NOT_OWED 0xffffffffu
#define WHEEL 64            /* ticks; as many as a word has bits */
#define TICK_NS 1000000ll
#define NOBODY 0xffffffffu

typedef int (*srtp_call)(void *context, void *packet, int *length); /* srtp_err_status_t; 0 is good */

struct peer { /* a relay's link socket */
    fp_endpoint at;
    union name name;
    socklen_t name_length;
    int leg; /* the datagram that its next record goes into; -1: a new one */
};

struct leg { /* a link datagram in the making */
    uint32_t size, forwarded, given;
    struct iovec vectors[LEG_RECORDS];
};

struct wheel { /* streams by when their next frame is due */
    int64_t tick_ns, tick; /* the last that has been served */
    uint64_t occupied;
    uint32_t first[WHEEL];
};

struct talk { /* Python's thread's: what of a stream is lent */
    uint8_t hears, speaks; /* hears: HEARS_NO_MORE from the first packet on that is not simply the next */
    mp_line *to, *from;
    mp_ear ear;
    mp_voice voice;
    int64_t origin_ns;
    int64_t shift; /* of the queue, as it was when it was lent */
    uint64_t first; /* of its queue's entries that were put there by this loan */
};

struct wire { /* instead of a link: a socket of one stream's own, and an address that it reaches */
    int fd; /* -1: none */
    uint32_t count; /* of wires that share it, at the first of them; 0 at the others */
    fp_endpoint at;
    union name name;
    socklen_t name_length;
};

struct mp {
    int link, family, event_fd, wake_fd;
    struct thread thread;
    _Atomic int armed, asleep, starved; /* Python has commands that found no room */
    _Atomic int64_t rests_until; /* Python does, for a round that begins then or later; 0: it does not */
    sem_t rested;
    uint32_t link_mtu, max_streams;
    double clock_offset, now;
    int64_t now_ns, nap_ns; /* of this round; until when the link is left alone */
    struct density density;
    int unsignalled;
    int64_t tell_ns; /* by when Python is told of what nobody waits for; 0: there is no such thing */
    int is_clocked; /* its thread runs: the time is what the clock shows */
    int takes_way; /* what is being received says where its stream is sent, if it is authentic */
    srtp_call protect, unprotect, protect_rtcp, unprotect_rtcp;
    struct byte_ring events, commands;
    struct labels labels;
    struct stream *streams;
    struct play_queue *queues;
    struct wheel wheel;
    struct talk *talks;
    uint32_t *speakers; /* streams + 1 by the name of their session, hashed */
    uint32_t speakers_mask;
    uint32_t owed; /* the first of a chain through `next_owed` */
    uint32_t decisions; /* of this round: what others wait for */
    struct wire *wires; /* by label; NULL: there is a link. With wires, `link` is the epoll set of their sockets */
    struct probe *probes; /* by stream; NULL likewise */
    uint32_t speaking, phases[PHASES]; /* probes; and those of each phase */
    uint64_t refused; /* frames; Python's */
    uint64_t counters[MP_COUNTERS];
    PUBLISHED(MP_COUNTERS) published;
    struct peer peers[MAX_PEERS];
    uint32_t peer_count, last_peer;
    struct mmsghdr in[LINK_BATCH], out[LEGS];
    struct iovec in_vectors[LINK_BATCH];
    union name in_names[LINK_BATCH];
    struct leg legs[LEGS];
    int leg_count;
    uint32_t arena_used;
    _Alignas(64) uint8_t arena[ARENA];
    uint8_t in_buffers[LINK_BATCH][LINK_BUFFER];
};

static inline void mp_count(mp *m, int which, uint64_t n) { m->counters[which] += n; }

static inline void set_time(mp *m, int64_t now_ns) {
    if (now_ns > m->now_ns) m->now_ns = now_ns; /* time never goes back */
    m->now = m->now_ns / 1e9 + m->clock_offset;
}

static inline void look_at_clock(mp *m) {
    if (m->is_clocked) set_time(m, clock_ns());
}

/* Has Python something for the thread? */
static inline int is_wanted(mp *m) {
    return !ring_is_empty(&m->commands) || atomic_load_explicit(&m->starved, memory_order_seq_cst);
}

static inline uint32_t find_peer(mp *m, const fp_endpoint *at) {
    if (m->last_peer < m->peer_count && !memcmp(&m->peers[m->last_peer].at, at, sizeof *at)) return m->last_peer;
    for (uint32_t i = 0; i < m->peer_count; i++)
        if (!memcmp(&m->peers[i].at, at, sizeof *at)) return m->last_peer = i;
    return NO_PEER;
}

/* 0: no room. */
static inline int raise_event(mp *m, mp_event *e, const void *first, uint32_t a, const void *second, uint32_t b) {
    if (!event_push(&m->events, e, first, a, second, b)) return 0;
    m->unsignalled = 1;
    return 1;
}

/* media_in.c: what comes from relays. */
void on_record(mp *m, uint32_t peer, int type, int flags, uint32_t label, uint8_t *payload, uint32_t length);
int pump_link(mp *m);

/* media.c: what Python asks for. */
void carry_out_all(mp *m);

/* media_out.c: what goes to relays. */
uint8_t *out_begin(mp *m, uint32_t peer, uint32_t room);
void out_end(mp *m, uint32_t peer, uint8_t *head, int type, int flags, uint32_t label, uint32_t length, int lost);
void out_flush(mp *m);
void forward_frame(mp *m, uint32_t from, int type, uint16_t sequence, uint32_t timestamp, uint32_t ssrc, const uint8_t *payload, uint32_t octets);
void send_frame(mp *m, uint32_t stream, int type, uint32_t timestamp, const uint8_t *payload, uint32_t octets);
void send_report(mp *m, uint32_t stream, const uint8_t *report, uint32_t size);
void send_record(mp *m, uint32_t peer, int type, int flags, uint32_t label, const uint8_t *payload, uint32_t length);

/* media_wire.c: streams with sockets of their own. */
int wires_new(mp *m);
void wires_free(mp *m);
int is_plug(const mp *m, const mp_command *c, const uint8_t *body, uint32_t length);
void plug(mp *m, uint32_t first, const uint8_t *body);
void unplug(mp *m, uint32_t first);
int pump_wires(mp *m);

/* media_probe.c: frames that are numbered, and told again when they come back. */
int is_probe(const mp *m, const uint8_t *body, uint32_t length);
void begin_probe(mp *m, uint32_t stream, const mp_probe *terms);
void end_probe(mp *m, uint32_t stream);
void forget_probe(mp *m, uint32_t stream);
void probe_due(mp *m, uint32_t stream);
int probe_heard(mp *m, uint32_t stream, uint32_t timestamp, const uint8_t *payload, uint32_t octets);

/* media_play.c: frames on their way to callers. */
void wake_at(mp *m, uint32_t number, int64_t due);
void play_stream(mp *m, uint32_t number);
void play_due(mp *m);
int64_t play_next(const mp *m);

/* media_talk.c: Python's thread's. */
int is_heard(mp *m, const mp_event *e, const uint8_t *payload, uint32_t octets);
#endif
