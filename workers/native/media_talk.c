/* What Python lends of streams that talk with a back end: packets that are simply the next become items of its batch, and
 * items of its batches that simply go on become frames of the stream's queue. Whatever else comes, Python decides, and
 * takes back what it has lent. Everything here runs in Python's thread; the plane's meets only the queues.
 *
 * The back end is a stranger: of its batch every byte is looked at before anything is done, and one that is not made of
 * `audio_out` throughout is Python's. */
#define _GNU_SOURCE
#include "media_plane.h"

#define HEARS_NO_MORE 2
#define MAX_ITEMS 4096 /* ipc/backend/codec.py */
#define BATCH_HEAD 5
#define ITEM_ROOM 32   /* of an item, beside prefix and payload */
#define MAX_OCTETS (MAX_PACKET - MAX_TRAILER - RTP_HEADER)
#define LIVE_MOST 25   /* workers/transceiver/audio/playout.py */
#define REST_NS 200000000ll
#define LATE_NS 5000000ll /* a frame that comes so late after its slot has begun still has it: workers/transceiver/audio/lendable.py */

/* --- what callers say -------------------------------------------------------------------------------------- */

static uint8_t *put_number(uint8_t *to, uint64_t value) {
    int bytes = value < 128 ? 0 : value < 256 ? 1 : value < 65536 ? 2 : value <= UINT32_MAX ? 4 : 8;
    if (!bytes) *to++ = value;
    else *to++ = bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf;
    while (bytes) *to++ = value >> 8 * --bytes;
    return to;
}

static void put_item(mp_line *line, const mp_ear *ear, const uint8_t *payload, uint32_t octets) {
    uint8_t *to = line->batch + line->bytes;
    memcpy(to, ear->prefix, ear->prefix_length);
    to = put_number(to + ear->prefix_length, ear->at);
    memcpy(to, "\xa7payload", 8);
    to += 8;
    if (octets < 256) *to++ = 0xc4;
    else {
        *to++ = 0xc5;
        *to++ = octets >> 8;
    }
    *to++ = octets;
    memcpy(to, payload, octets);
    line->bytes = to + octets - line->batch;
    line->items++;
    line->batch[0] = 0xdd;
    put_u32(line->batch + 1, line->items);
}

/* As PacketEar.take_next. Is this packet done with? */
int is_heard(mp *m, const mp_event *e, const uint8_t *payload, uint32_t octets) {
    struct talk *t = &m->talks[e->stream];
    mp_ear *ear = &t->ear;
    mp_line *line = t->to;
    if (t->hears != 1) return 0;
    if (line->closed || e->payload_type != ear->type || e->ssrc != ear->ssrc || e->sequence != ear->next || !octets
        || octets > MAX_PACKET || line->items == MAX_ITEMS || line->bytes + ear->prefix_length + ITEM_ROOM + octets > sizeof line->batch) {
        t->hears = HEARS_NO_MORE;
        return 0;
    }
    uint32_t step = e->timestamp - (uint32_t)ear->timestamp;
    int64_t ticks = ear->timestamp + (step < 1u << 31 ? (int64_t)step : (int64_t)step - (1ll << 32));
    if (ticks > ear->timestamp) ear->timestamp = ticks;
    ticks += ear->offset;
    ear->at = ticks > 0 ? ticks * 1000 / ear->clock : 0;
    ear->next++;
    ear->taken++;
    if (line->credit <= 0) line->without_credit++;
    else {
        line->credit--;
        put_item(line, ear, payload, octets);
    }
    return 1;
}

void mp_lend_ear(mp *m, uint32_t stream, mp_line *line, const mp_ear *terms) {
    struct talk *t = stream < m->max_streams ? &m->talks[stream] : NULL;
    if (!t || t->hears || terms->clock <= 0 || terms->prefix_length > sizeof terms->prefix) return;
    t->ear = *terms;
    t->to = line;
    t->hears = 1;
    if (!line->items) line->bytes = BATCH_HEAD;
    line->users++;
}

int mp_end_ear(mp *m, uint32_t stream, mp_ear *out) {
    struct talk *t = stream < m->max_streams ? &m->talks[stream] : NULL;
    if (!t || !t->hears) return 0;
    *out = t->ear;
    t->hears = 0;
    t->to->users--;
    t->to = NULL;
    return 1;
}

/* --- who speaks in which session --------------------------------------------------------------------------- */

static uint32_t home(const mp *m, const uint8_t *name, uint32_t length) { /* FNV-1a; the names are our own */
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < length; i++) hash = (hash ^ name[i]) * 16777619u;
    return hash & m->speakers_mask;
}

static uint32_t place(const mp *m, const uint8_t *name, uint32_t length) {
    uint32_t at = home(m, name, length);
    for (; m->speakers[at]; at = (at + 1) & m->speakers_mask) {
        const mp_voice *v = &m->talks[m->speakers[at] - 1].voice;
        if (v->session_length == length && !memcmp(v->session, name, length)) break;
    }
    return at;
}

static void forget_speaker(mp *m, const mp_voice *v) {
    uint32_t hole = place(m, v->session, v->session_length);
    for (uint32_t at = (hole + 1) & m->speakers_mask; m->speakers[at]; at = (at + 1) & m->speakers_mask) {
        const mp_voice *other = &m->talks[m->speakers[at] - 1].voice;
        uint32_t from = home(m, other->session, other->session_length);
        if (((at - from) & m->speakers_mask) < ((at - hole) & m->speakers_mask)) continue; /* it would stand before its home */
        m->speakers[hole] = m->speakers[at];
        hole = at;
    }
    m->speakers[hole] = 0;
}

/* --- what callers hear ------------------------------------------------------------------------------------- */

static int64_t to_ns(const mp *m, double instant) { return (int64_t)((instant - m->clock_offset) * 1e9 + 0.5); }

/* 0 if it must not be, and nothing is lent. */
int mp_lend_voice(mp *m, uint32_t stream, mp_line *line, const mp_voice *terms) {
    struct talk *t = stream < m->max_streams ? &m->talks[stream] : NULL;
    if (!t || t->speaks || terms->session_length > sizeof terms->session || terms->item_length > sizeof terms->item) return 0;
    uint32_t at = place(m, terms->session, terms->session_length);
    if (m->speakers[at]) return 0;
    struct play_queue *q = &m->queues[stream];
    t->voice = *terms;
    t->origin_ns = to_ns(m, terms->origin);
    t->from = line;
    t->speaks = 1;
    t->first = queue_take_back(q);
    t->shift = atomic_load_explicit(&q->shift, memory_order_relaxed);
    m->speakers[at] = stream + 1;
    atomic_store_explicit(&q->least, NO_LEAST, memory_order_relaxed);
    line->users++;
    return 1;
}

/* By how much what this loan has planned is late. */
static int64_t lateness(const struct talk *t, struct play_queue *q) {
    return atomic_load_explicit(&q->shift, memory_order_relaxed) - t->shift;
}

/* Which slot a frame gets that comes now, where nothing waits; -1 if the grid has to begin anew. */
static int64_t slot_now(const struct talk *t, int64_t now_ns, int64_t late) {
    int64_t since = now_ns - t->origin_ns - late, slot = t->voice.slot;
    if (since - slot * FRAME_NS > REST_NS) return -1;
    return since - LATE_NS >= slot * FRAME_NS ? (since - LATE_NS) / FRAME_NS + 1 : slot;
}

/* As Playout.add_next. 0 if it is not that simple, or there is no room. */
static int say(mp *m, uint32_t stream, const uint8_t *payload, uint32_t octets, int64_t now_ns) {
    struct talk *t = &m->talks[stream];
    struct play_queue *q = &m->queues[stream];
    mp_voice *v = &t->voice;
    uint32_t waiting = queue_waiting(q);
    int64_t slot = v->slot;
    uint8_t *command = NULL;
    if (!octets || octets > MAX_OCTETS || waiting >= v->most) return 0;
    if (!waiting && (slot = slot_now(t, now_ns, lateness(t, q))) < 0) return 0;
    if (!atomic_exchange_explicit(&q->listed, 1, memory_order_seq_cst) && !(command = ring_room(&m->commands, rounded(sizeof(mp_command)), 0))) {
        atomic_store_explicit(&q->listed, 0, memory_order_seq_cst);
        return 0;
    }
    int type = v->type | (v->gap || slot != v->slot ? 0x80 : 0);
    int64_t due = t->origin_ns + slot * FRAME_NS - t->shift; /* the plane adds what is the shift by then, and as many steps */
    uint32_t timestamp = v->timestamp + (uint32_t)(slot - t->shift / FRAME_NS) * v->step;
    int is_put = queue_put(q, due, timestamp, v->step, type, payload, octets);
    if (is_put) {
        v->slot = slot + 1;
        v->gap = 0;
    }
    if (command) { /* also if nothing was put: the plane finds that out */
        mp_command c = { .size = sizeof c, .kind = MP_PLAY, .stream = stream };
        memcpy(command, &c, sizeof c);
        ring_commit(&m->commands, rounded(sizeof c));
    }
    return is_put;
}

int mp_say(mp *m, uint32_t stream, const uint8_t *payload, uint32_t octets, double now) {
    return stream < m->max_streams && m->talks[stream].speaks && say(m, stream, payload, octets, to_ns(m, now));
}

/* How many frames have left since they were lent; how many wait, and `least`, how many waited behind each that has left
 * since the last look. */
uint64_t mp_left(mp *m, uint32_t stream, uint32_t *waiting, uint32_t *least) {
    *waiting = 0;
    *least = NO_LEAST;
    if (stream >= m->max_streams || !m->talks[stream].speaks) return 0;
    struct play_queue *q = &m->queues[stream];
    *least = atomic_exchange_explicit(&q->least, NO_LEAST, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    *waiting = (uint32_t)(atomic_load_explicit(&q->tail, memory_order_relaxed) - head);
    return head - m->talks[stream].first;
}

/* `block` has room for what may wait: PLAY_WINDOW frames of MAX_OCTETS. */
int mp_end_voice(mp *m, uint32_t stream, mp_voice_end *out, uint8_t *block) {
    struct talk *t = stream < m->max_streams ? &m->talks[stream] : NULL;
    if (!t || !t->speaks) return 0;
    struct play_queue *q = &m->queues[stream];
    uint64_t head = queue_take_back(q), tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    *out = (mp_voice_end){ .left = head - t->first, .slot = t->voice.slot + lateness(t, q) / FRAME_NS, .gap = t->voice.gap };
    for (uint64_t at = head; at != tail; at++) {
        struct play_entry *e = queue_entry(q, at);
        if (at == head) {
            int64_t due = atomic_load_explicit(&e->due, memory_order_relaxed) + atomic_load_explicit(&q->shift, memory_order_relaxed);
            out->slot = (due - t->origin_ns) / FRAME_NS;
            out->gap = e->frame->type >> 7;
        }
        memcpy(block, e->frame->payload, e->frame->octets);
        block += out->octets[out->count++] = e->frame->octets;
        free(e->frame);
        e->frame = NULL;
    }
    queue_reap(q);
    if (atomic_load_explicit(&q->has_gap, memory_order_relaxed)) out->gap = 1;
    forget_speaker(m, &t->voice);
    t->speaks = 0;
    t->from->users--;
    t->from = NULL;
    return 1;
}

/* The stream is gone, whatever of it was lent. */
void mp_end_talk(mp *m, uint32_t stream) {
    static uint8_t block[PLAY_WINDOW * MAX_OCTETS];
    mp_voice_end voice;
    mp_ear ear;
    mp_end_ear(m, stream, &ear);
    mp_end_voice(m, stream, &voice, block);
}

/* --- batches ----------------------------------------------------------------------------------------------- */

struct reader { const uint8_t *at, *end; };
struct text { const uint8_t *at; uint32_t length; };
struct saying { struct text session, item, payload; int live; };

static int get(struct reader *r, uint32_t bytes, uint32_t *value) {
    if ((size_t)(r->end - r->at) < bytes) return 0;
    for (*value = 0; bytes; bytes--) *value = *value << 8 | *r->at++;
    return 1;
}

static int get_text(struct reader *r, struct text *t, uint32_t length) {
    if ((size_t)(r->end - r->at) < length) return 0;
    *t = (struct text){ r->at, length };
    r->at += length;
    return 1;
}

/* ASCII; whether other text is well formed, Python knows. */
static int read_string(struct reader *r, struct text *t) {
    uint32_t length;
    if (!get(r, 1, &length)) return 0;
    if (length >> 5 == 5) length &= 31;
    else if (length != 0xd9 || !get(r, 1, &length)) return 0;
    if (!get_text(r, t, length)) return 0;
    for (uint32_t i = 0; i < length; i++)
        if (t->at[i] > 127) return 0;
    return 1;
}

static int read_bytes(struct reader *r, struct text *t) {
    uint32_t head, length;
    return get(r, 1, &head) && (head == 0xc4 || head == 0xc5) && get(r, head - 0xc3, &length) && get_text(r, t, length);
}

static int is(const struct text *t, const char *what) { return t->length == strlen(what) && !memcmp(t->at, what, t->length); }

/* An `audio_out` that is not the last of its item. */
static int read_saying(struct reader *r, struct saying *s) {
    uint32_t head, flag = 0;
    struct text key, type = { NULL, 0 };
    *s = (struct saying){ .item = { (const uint8_t *)"", 0 } };
    if (!get(r, 1, &head) || head >> 4 != 8) return 0;
    for (head &= 15; head; head--) {
        if (!read_string(r, &key)) return 0;
        int known = is(&key, "type") ? read_string(r, &type) && is(&type, "audio_out")
            : is(&key, "session") ? read_string(r, &s->session)
            : is(&key, "payload") ? read_bytes(r, &s->payload)
            : is(&key, "item") ? read_string(r, &s->item)
            : is(&key, "live") ? get(r, 1, &flag) && flag >> 1 == 0x61
            : 0;
        if (!known) return 0;
        if (is(&key, "live")) s->live = flag & 1;
    }
    return type.at && s->session.at && s->payload.at;
}

static int begin(struct reader *r, uint32_t *items) {
    uint32_t head;
    if (!get(r, 1, &head)) return 0;
    if (head >> 4 == 9) *items = head & 15;
    else if ((head != 0xdc && head != 0xdd) || !get(r, head == 0xdc ? 2 : 4, items)) return 0;
    return *items <= MAX_ITEMS;
}

static int is_said(mp *m, const mp_line *line, const struct saying *s, int64_t now_ns) {
    uint32_t number = m->speakers[place(m, s->session.at, s->session.length)];
    if (!number--) return 0;
    const struct talk *t = &m->talks[number];
    const mp_voice *v = &t->voice;
    if (t->from != line || !v->open || v->live != s->live || v->item_length != s->item.length
        || memcmp(v->item, s->item.at, s->item.length) || (s->live && queue_waiting(&m->queues[number]) >= LIVE_MOST)) return 0;
    return say(m, number, s->payload.at, s->payload.length, now_ns);
}

/* A batch of an end point: how many of its first items are done with. `items`: how many it has; 0 if it is not made of
 * `audio_out` alone, and Python's. */
uint32_t mp_hear(mp *m, mp_line *line, const uint8_t *batch, size_t length, double now, uint32_t *items) {
    struct reader first = { batch, batch + length }, second = first;
    struct saying s;
    uint32_t count, done = 0;
    int64_t now_ns = to_ns(m, now);
    *items = 0;
    if (!begin(&first, &count)) return 0;
    for (uint32_t i = 0; i < count; i++)
        if (!read_saying(&first, &s)) return 0;
    if (first.at != first.end) return 0;
    *items = count;
    for (begin(&second, &count); done < count && read_saying(&second, &s) && is_said(m, line, &s, now_ns); done++) {}
    return done;
}
