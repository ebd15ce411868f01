/* One stream: its keys, where it is sent, and what has come of it (workers/transceiver/core/reception.py). */
#ifndef TANDEM_MEDIA_STREAM_H
#define TANDEM_MEDIA_STREAM_H
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include "media.h"
#include "media_labels.h"

#define MAX_SOURCES 16   /* workers/transceiver/core/audio.py */
#define MAX_GAP 3000     /* workers/transceiver/core/reception.py */
#define MAX_MISORDER 100
#define REPLAY_WINDOW 128 /* libsrtp's */
#define SEQUENCES 65536
#define STATS_WORDS (sizeof(mp_stats) / 8)

typedef struct { /* as Reception */
    int64_t packets, base, highest, received, earlier_expected, earlier_received;
    int32_t suspect;
    uint32_t ssrc, timestamp;
    int has_ssrc;
    double jitter, arrived_at;
} reception;

struct stream {
    void *in, *out;             /* srtp_t; NULL until opened */
    uint32_t generation;        /* changes when it is closed, so that nobody forwards to its successor */
    uint32_t target, target_generation;
    uint16_t way_peer;
    uint8_t has_way, receives, sends, forwards;
    uint8_t source_count, label_count;
    uint32_t way_label;
    double seen_at, way_at;     /* when Python was told; when media last came by the way */
    /* out */
    uint32_t ssrc;
    uint16_t next;              /* sequence number: after the highest one sent */
    uint16_t first, shift;      /* of what is forwarded: the first sent, and what is added to numbers of its source */
    uint32_t origin, origin_ssrc, time_shift;
    uint8_t has_origin, has_sent;
    uint32_t owed;              /* endings that Python has not been told of */
    uint32_t next_owed;
    _Atomic uint32_t waiting[2];/* events in the ring, of records and of frames */
    reception reception;
    mp_stats stats;
    _Atomic uint32_t sequence;  /* odd while `published` is written */
    _Atomic uint64_t published[STATS_WORDS];
    uint32_t rates[8];
    uint8_t rate_of[128];
    uint32_t sources[MAX_SOURCES];
    uint64_t labels[MAX_LABELS];
};

/* Words that one thread writes and another reads whole. `sequence` is odd while they are written. */
static inline void publish_words(_Atomic uint32_t *sequence, _Atomic uint64_t *to, const void *from, size_t bytes) {
    uint32_t before = atomic_load_explicit(sequence, memory_order_relaxed);
    atomic_store_explicit(sequence, before + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, (const uint8_t *)from + i * 8, 8);
        atomic_store_explicit(&to[i], word, memory_order_relaxed);
    }
    atomic_store_explicit(sequence, before + 2, memory_order_release);
}

static inline void read_words(_Atomic uint32_t *sequence, _Atomic uint64_t *from, void *to, size_t bytes) {
    uint32_t before, after;
    do {
        before = atomic_load_explicit(sequence, memory_order_acquire);
        for (size_t i = 0; i < bytes / 8; i++) {
            uint64_t word = atomic_load_explicit(&from[i], memory_order_relaxed);
            memcpy((uint8_t *)to + i * 8, &word, 8);
        }
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(sequence, memory_order_relaxed);
    } while (before & 1 || before != after);
}

static inline void publish_stats(struct stream *s) { publish_words(&s->sequence, s->published, &s->stats, sizeof s->stats); }
static inline void read_stats(struct stream *s, mp_stats *out) { read_words(&s->sequence, s->published, out, sizeof *out); }

static inline int has_source(const struct stream *s, uint32_t source) {
    for (int i = 0; i < s->source_count; i++)
        if (s->sources[i] == source) return 1;
    return 0;
}

static inline void add_source(struct stream *s, uint32_t source) {
    if (s->source_count < MAX_SOURCES && !has_source(s, source)) s->sources[s->source_count++] = source;
}

static inline void set_way(struct stream *s, uint32_t peer, uint32_t label, int is_way) {
    s->way_at = 0;
    s->way_peer = peer;
    s->way_label = label;
    s->has_way = is_way;
}

static inline void forget_stats(struct stream *s) {
    s->reception = (reception){ .highest = -1, .suspect = -1 };
    s->stats = (mp_stats){ .payload_type = -1, .payload_type_out = -1 };
    publish_stats(s);
}

static inline int64_t expected(const reception *r) { return r->earlier_expected + r->highest - r->base + 1; }

static inline void begin_source(reception *r, uint32_t ssrc, uint16_t sequence, uint32_t timestamp, double now) {
    r->earlier_expected = expected(r);
    r->earlier_received += r->received;
    r->ssrc = ssrc;
    r->has_ssrc = 1;
    r->base = r->highest = sequence;
    r->received = 1;
    r->suspect = -1;
    r->arrived_at = now;
    r->timestamp = timestamp;
}

/* RFC 3550, A.1, A.3 and A.8. The replay window has already refused repetitions. */
static inline void count_packet(reception *r, uint32_t ssrc, uint16_t sequence, uint32_t timestamp, uint32_t rate, double now) {
    r->packets++;
    if (!r->has_ssrc || ssrc != r->ssrc) {
        begin_source(r, ssrc, sequence, timestamp, now);
        return;
    }
    int32_t step = (uint16_t)(sequence - (uint16_t)r->highest);
    if (step < MAX_GAP) {
        r->highest += step;
        r->suspect = -1;
    } else if (step <= SEQUENCES - MAX_MISORDER) { /* a jump: believed when the next packet follows it */
        if (sequence != r->suspect) r->suspect = (uint16_t)(sequence + 1);
        else begin_source(r, ssrc, sequence, timestamp, now);
        return;
    } else if (r->highest + step - SEQUENCES < r->base) r->base = r->highest + step - SEQUENCES;
    r->received++;
    double elapsed = (int32_t)(timestamp - r->timestamp), deviation = fabs(now - r->arrived_at - elapsed / rate);
    /* An hour of silence or a peer that resets its clock must not own the average. */
    r->jitter += ((deviation < 1 ? deviation : 1) - r->jitter) / 16;
    r->arrived_at = now;
    r->timestamp = timestamp;
}

static inline void packet_came(struct stream *s, uint32_t ssrc, uint16_t sequence, uint32_t timestamp, int type, uint32_t octets, double now) {
    reception *r = &s->reception;
    count_packet(r, ssrc, sequence, timestamp, s->rates[s->rate_of[type]], now);
    int64_t lost = expected(r) - r->earlier_received - r->received;
    s->stats.packets_in = r->packets;
    s->stats.octets_in += octets;
    s->stats.expected = expected(r);
    s->stats.lost = lost > 0 ? lost : 0;
    s->stats.jitter = r->jitter;
    s->stats.source = r->ssrc;
    s->stats.highest = r->highest;
    s->stats.payload_type = type;
    s->stats.received_at = now;
}

/* The number and time that a forwarded packet leaves with; 0 if it is too late to leave at all. */
static inline int renumber(struct stream *to, uint32_t origin, uint32_t ssrc, int type, double now, uint16_t *sequence, uint32_t *timestamp) {
    uint16_t number = *sequence + to->shift;
    int16_t step = number - (uint16_t)(to->next - 1);
    if (to->has_origin && to->origin == origin && to->origin_ssrc == ssrc && step < MAX_GAP && step > -REPLAY_WINDOW) {
        if (step <= 0 && (int16_t)(number - to->first) < 0) return 0;
    } else { /* another source, or a jump of this one: no gap; the time that has passed has passed for the peer too */
        number = to->first = to->next;
        if (!to->has_sent) to->first -= REPLAY_WINDOW; /* packets before the first one, if they come late, have a number */
        to->shift = number - *sequence;
        to->origin = origin;
        to->origin_ssrc = ssrc;
        to->has_origin = 1;
        if (to->has_sent) {
            double passed = (now - to->stats.sent_at) * to->rates[to->rate_of[type]];
            to->time_shift = (uint32_t)to->stats.timestamp_out + (uint32_t)(passed < 1 ? 1 : passed > 1e9 ? 1e9 : passed) - *timestamp;
        } else to->time_shift = 0;
    }
    *sequence = number;
    *timestamp += to->time_shift;
    return 1;
}

static inline void packet_left(struct stream *s, uint16_t sequence, uint32_t timestamp, int type, uint32_t octets, double now) {
    if (!s->has_sent || (int16_t)(sequence - s->next) >= 0) {
        s->next = sequence + 1;
        s->stats.timestamp_out = timestamp;
    }
    s->has_sent = 1;
    s->stats.packets_out++;
    s->stats.octets_out += octets;
    s->stats.sent_at = now;
    s->stats.payload_type_out = type;
    publish_stats(s);
}
#endif
