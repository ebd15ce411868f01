/* The transceiver's media plane in C. workers/transceiver/media/base.py says what it does; media.c how.
 * cffi reads it without the preprocessor's lines, so it holds declarations only. */
#ifndef TANDEM_MEDIA_H
#define TANDEM_MEDIA_H
#include <stddef.h>
#include <stdint.h>

/* Where records and frames ended, in the order of the lists in workers/transceiver/media/native.py. */
enum {
    MP_DATAGRAMS, MP_RECORDS, MP_RAISED, MP_FRAMES, MP_REPORTS,
    MP_DROPPED_UNKNOWN_PEER, MP_DROPPED_MALFORMED_LINK, MP_DROPPED_QUEUE_FULL, MP_DROPPED_OVERSIZE,
    MP_DROPPED_UNEXPECTED_STATE, MP_DROPPED_MALFORMED_RTP, MP_DROPPED_SOURCE_LIMIT, MP_DROPPED_AUTHENTICATION,
    MP_DROPPED_REPLAY, MP_DROPPED_PAYLOAD_TYPE,
    MP_HANDED_UP, MP_FORWARDED, MP_RECORDS_OUT, MP_PLAYED,
    MP_UNDELIVERED,
    MP_UNSENT = MP_UNDELIVERED + 14,
    MP_COUNTERS = MP_UNSENT + 14
};

/* What did not leave, from MP_UNDELIVERED on if it was forwarded, from MP_UNSENT on if Python gave it. */
enum {
    MP_NOT_OPEN, MP_QUEUE_FULL, MP_NO_TARGET, MP_PAYLOAD_TYPE, MP_NO_WAY, MP_UNKNOWN_PEER, MP_OVERSIZE, MP_REPLAY, MP_CIPHER,
    MP_WOULD_BLOCK, MP_REFUSED, MP_UNREACHABLE, MP_TOO_BIG, MP_NO_BUFFERS
};

enum { MP_EVENT_FRAME = 1, MP_EVENT_RECORD, MP_EVENT_REPORT, MP_EVENT_SEEN, MP_EVENT_CLOSED };
enum {
    MP_OPEN = 1, MP_CLOSE, MP_BIND, MP_UNBIND, MP_SET_WAY, MP_FORWARD,
    MP_SEND, MP_SEND_REPORT, MP_SEND_RECORD, MP_RECEIVE, MP_SET_PEERS,
    MP_PLUG, MP_UNPLUG, MP_PROBE, MP_END_PROBE, /* of planes with wires */
    MP_PLAY /* the plane's own: a queue is not empty any more */
};
enum { MP_NO_STREAM = 0xffffffff };

/* What comes up. The bytes of a record or sighting begin with the relay's address; in the
 * latter follows when media last came by the stream's way. */
typedef struct {
    uint32_t size;          /* in the ring: of the whole entry, a multiple of 8; 0: the ring goes on at its start */
    uint32_t stream;
    double at;
    uint32_t start, end;    /* of its bytes in the block that `mp_take` fills */
    uint32_t timestamp;     /* of a record or sighting: the label */
    uint32_t ssrc;
    uint16_t sequence;      /* of a record: its flags */
    uint8_t kind;
    uint8_t payload_type;   /* of a record: its type */
    uint8_t marker;
    uint8_t padding[3];
} mp_event;

/* What goes down. A relay's address takes 24 bytes of the body, wherever there is one. */
typedef struct {
    uint32_t size;          /* head and body; in the ring, 0: it goes on at its start */
    uint8_t kind;
    uint8_t type;           /* payload type and marker as in RTP, or type of a record */
    uint8_t flags;          /* of a record */
    uint8_t has_relay;
    uint32_t stream;
    uint32_t value;         /* label, timestamp or target */
} mp_command;

/* The body of MP_OPEN. */
typedef struct {
    uint64_t in, out;       /* srtp_t */
    uint32_t ssrc;
    uint16_t sequence;      /* the first */
    uint8_t receives, sends;
    uint32_t rates[8];      /* clock rates; the first is not used */
    uint8_t rate_of[128];   /* by payload type: which of them; 0 if it was not agreed */
} mp_keys;

/* The body of MP_PLUG begins so; the addresses follow. */
typedef struct {
    int32_t fd;             /* the plane's from now on */
    uint32_t count;
} mp_plug;

/* The body of MP_PROBE: frames that are all alike but for a number. */
typedef struct {
    uint64_t frames;
    uint32_t timestamp, step; /* RTP's: of the first, and from each to the next */
    uint8_t type, number_at, octets, padding[5];
    uint8_t frame[128];
} mp_probe;

/* What of a probe's frames has come back: workers/caller/echoes.py. Instants are 0 until there is one. */
typedef struct {
    int64_t sent, received, duplicates, reordered, foreign, outstanding;
    double jitter;
    double first_sent, last_sent, first_back, last_back;
    double shortest, longest; /* round trip */
    double late;            /* the latest that a frame left */
} mp_echoes;

/* In the order of StreamStats. */
typedef struct {
    int64_t packets_in, octets_in, expected, lost;
    double jitter;
    int64_t source, highest, payload_type;
    double received_at;
    int64_t packets_out, octets_out, timestamp_out;
    double sent_at;
    int64_t reports_in, payload_type_out;
} mp_stats;

/* An end point of a back end, from its hello on, and the batch that is being made for it. Python's memory. */
typedef struct {
    int64_t credit;         /* audio items that it may still be sent */
    uint64_t without_credit;
    uint32_t items, bytes;  /* of the batch; its first 5 bytes are msgpack's head */
    uint32_t users;         /* loans that name it */
    uint32_t closed;
    uint8_t batch[262144];
} mp_line;

/* What a stream's packets are to a back end while they are lent: workers/transceiver/media/loans.py. */
typedef struct {
    uint64_t taken;
    int64_t timestamp;      /* the highest, unwrapped */
    int64_t offset, clock;  /* from it to milliseconds */
    int64_t at;             /* of the last, in milliseconds */
    uint32_t ssrc;
    uint16_t next;          /* sequence number */
    uint8_t type, prefix_length;
    uint8_t prefix[120];    /* of its item, as far as the value of `at` */
} mp_ear;

/* The item of a back end that a stream plays while it is lent. */
typedef struct {
    double origin;          /* when slot 0 was due */
    int64_t slot;           /* the next */
    uint32_t timestamp;     /* of slot 0 */
    uint32_t step;          /* from one slot's to the next one's */
    uint32_t most;          /* frames that may wait */
    uint8_t type, gap, live, open; /* open: more of it may come */
    uint8_t session_length, item_length;
    uint8_t session[63], item[63];
} mp_voice;

enum { PLAY_WINDOW = 64 }; /* frames that may wait for their slots; a power of two */

typedef struct {
    uint64_t left;          /* frames, since they were lent */
    int64_t slot;           /* of the next one */
    uint32_t gap, count;    /* count: frames that have not left, in `block` one behind the other */
    uint32_t octets[PLAY_WINDOW];
} mp_voice_end;

typedef struct mp mp;

mp *mp_new(int link, uint32_t link_mtu, uint32_t max_streams, double clock_offset, const uint64_t functions[4]);
int mp_start(mp *m, int cpu);
void mp_stop(mp *m);
void mp_free(mp *m);
int64_t mp_round(mp *m, int64_t now_ns, int with_link);
int mp_event_fd(mp *m);
size_t mp_push(mp *m, const uint8_t *commands, size_t length);
void mp_wake(mp *m);
void mp_rest(mp *m, int64_t until_ns, int64_t latest_ns);
int mp_take(mp *m, mp_event *events, int max_events, uint8_t *block, size_t room, uint32_t *used, uint32_t *heard);
int mp_read_stats(mp *m, uint32_t stream, mp_stats *out);
void mp_read_counters(mp *m, uint64_t *out);
int mp_read_echoes(mp *m, uint32_t stream, mp_echoes *out);
int mp_read_round_trips(mp *m, uint32_t stream, uint32_t *out, uint32_t buckets);

void mp_lend_ear(mp *m, uint32_t stream, mp_line *line, const mp_ear *terms);
int mp_end_ear(mp *m, uint32_t stream, mp_ear *out);
int mp_lend_voice(mp *m, uint32_t stream, mp_line *line, const mp_voice *terms);
int mp_say(mp *m, uint32_t stream, const uint8_t *payload, uint32_t octets, double now);
uint64_t mp_left(mp *m, uint32_t stream, uint32_t *waiting, uint32_t *least);
int mp_end_voice(mp *m, uint32_t stream, mp_voice_end *out, uint8_t *block);
uint32_t mp_hear(mp *m, mp_line *line, const uint8_t *batch, size_t length, double now, uint32_t *items);
void mp_end_talk(mp *m, uint32_t stream);
#endif
