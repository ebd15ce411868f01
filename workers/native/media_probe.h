/* A probe: a stream that says numbered frames by itself, one every 20 ms, and knows them again when they come back. */
#ifndef TANDEM_MEDIA_PROBE_H
#define TANDEM_MEDIA_PROBE_H
#include <stdatomic.h>
#include <stdint.h>
#include "media.h"

#define PHASES 80          /* ticks of a frame: probes are spread over them, for clients have no clock in common */
#define PROBE_TICK_NS 250000ll
#define CROWD 400          /* beyond so many, a moment that few share is not worth a wake-up of the caller: whole milliseconds */
#define FORGET_AFTER 500   /* frames: workers/caller/echoes.py */
#define UNDER_WAY 512      /* more, and a power of two */
#define ROUND_TRIPS 2048   /* buckets, 1 % wide: workers/caller/histogram.py */
#define ECHOES_WORDS (sizeof(mp_echoes) / 8)

struct probe {
    mp_probe terms;
    uint8_t is_on;              /* it knows its frames; until the stream is closed */
    uint8_t speaks, phase;
    uint8_t is_listed;          /* in the wheel */
    uint8_t has_transit;
    int64_t due;                /* of the next frame */
    int64_t highest;            /* number of those that came back */
    double transit;
    mp_echoes echoes;
    _Atomic uint32_t sequence;  /* of `published` */
    _Atomic uint64_t published[ECHOES_WORDS];
    int64_t left_at[UNDER_WAY]; /* nanoseconds, by number; 0: back, or given up */
    _Atomic uint32_t round_trips[ROUND_TRIPS];
};
#endif
