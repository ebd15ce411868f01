/* Probes: what a caller says, and what it makes of what comes back. workers/caller/voice.py and echoes.py are the same
 * in Python, and the oracle. */
#define _GNU_SOURCE
#include "media_plane.h"

#define ASLEEP_NS 1000000000ll /* behind the clock by more, the machine was suspended: what was missed is left out */
#define PER_BUCKET 100.49917080713044 /* 1 / log(1.01) */

static void publish_echoes(struct probe *p) { publish_words(&p->sequence, p->published, &p->echoes, sizeof p->echoes); }

int is_probe(const mp *m, const uint8_t *body, uint32_t length) {
    mp_probe t;
    if (!m->probes || length != sizeof t) return 0;
    memcpy(&t, body, sizeof t);
    return t.step && t.type < 128 && t.octets <= sizeof t.frame && t.number_at + 4 <= t.octets;
}

/* How far apart the moments are at which probes speak. */
static int64_t grain(const mp *m) { return m->speaking > CROWD ? TICK_NS : PROBE_TICK_NS; }

static void take_phase(mp *m, struct probe *p, int64_t due) {
    p->due = due;
    p->phase = due / PROBE_TICK_NS % PHASES;
    m->phases[p->phase]++;
}

/* The next moment of a phase that as few as possible have. */
static void choose_phase(mp *m, struct probe *p) {
    int64_t step = grain(m), first = (m->now_ns / step + 1) * step, best = first;
    for (int64_t each = first; each < first + FRAME_NS; each += step)
        if (m->phases[each / PROBE_TICK_NS % PHASES] < m->phases[best / PROBE_TICK_NS % PHASES]) best = each;
    take_phase(m, p, best);
}

/* Its next moment. */
static void go_on(mp *m, struct probe *p) {
    int64_t step = grain(m), due = p->due + FRAME_NS;
    if (due % step == 0) p->due = due;
    else {
        m->phases[p->phase]--;
        take_phase(m, p, (due / step + 1) * step);
    }
}

void begin_probe(mp *m, uint32_t stream, const mp_probe *terms) {
    struct probe *p = &m->probes[stream];
    forget_probe(m, stream);
    p->terms = *terms;
    p->is_on = p->speaks = 1;
    p->has_transit = 0;
    p->highest = -1;
    memset(p->left_at, 0, sizeof p->left_at);
    for (int i = 0; i < ROUND_TRIPS; i++) atomic_store_explicit(&p->round_trips[i], 0, memory_order_relaxed);
    p->echoes = (mp_echoes){ 0 };
    publish_echoes(p);
    m->speaking++;
    choose_phase(m, p);
    if (!p->is_listed) wake_at(m, stream, p->due);
    p->is_listed = 1;
}

/* No more frames; what is under way may still come back. */
void end_probe(mp *m, uint32_t stream) {
    struct probe *p = &m->probes[stream];
    if (!p->speaks) return;
    m->phases[p->phase]--;
    m->speaking--;
    p->speaks = 0;
}

void forget_probe(mp *m, uint32_t stream) {
    end_probe(m, stream);
    m->probes[stream].is_on = 0;
}

static void speak(mp *m, uint32_t stream, struct probe *p) {
    mp_echoes *e = &p->echoes;
    uint32_t number = (uint32_t)e->sent;
    int64_t *oldest = &p->left_at[(number - FORGET_AFTER) & (UNDER_WAY - 1)];
    look_at_clock(m);
    double late = (m->now_ns - p->due) / 1e9;
    if (*oldest) e->outstanding--;
    *oldest = 0;
    p->left_at[number & (UNDER_WAY - 1)] = m->now_ns;
    put_u32(p->terms.frame + p->terms.number_at, number);
    if (late > e->late) e->late = late;
    if (!e->sent++) e->first_sent = m->now;
    e->last_sent = m->now;
    e->outstanding++;
    publish_echoes(p);
    send_frame(m, stream, p->terms.type | (number ? 0 : 0x80), p->terms.timestamp + number * p->terms.step, p->terms.frame, p->terms.octets);
}

/* The wheel's turn of a stream that is no longer in it. */
void probe_due(mp *m, uint32_t stream) {
    struct probe *p = &m->probes[stream];
    p->is_listed = 0;
    if (m->now_ns - p->due > ASLEEP_NS) p->due += (m->now_ns - p->due) / FRAME_NS * FRAME_NS;
    while (p->speaks && p->due <= m->now_ns) {
        if ((uint64_t)p->echoes.sent < p->terms.frames) speak(m, stream, p);
        if ((uint64_t)p->echoes.sent >= p->terms.frames) end_probe(m, stream);
        else go_on(m, p);
    }
    if (p->speaks) wake_at(m, stream, p->due);
    p->is_listed = p->speaks;
}

/* The number of a frame, if it is as it was sent. */
static int number_of(const mp_probe *t, const uint8_t *payload, uint32_t octets, uint32_t *number) {
    uint32_t at = t->number_at, behind = at + 4;
    if (octets != t->octets || memcmp(payload, t->frame, at) || memcmp(payload + behind, t->frame + behind, octets - behind)) return 0;
    *number = get_u32(payload + at);
    return 1;
}

/* Echoes.came. 0 if nobody asked for this. */
int probe_heard(mp *m, uint32_t stream, uint32_t timestamp, const uint8_t *payload, uint32_t octets) {
    struct probe *p = &m->probes[stream];
    mp_echoes *e = &p->echoes;
    uint32_t number;
    if (!p->is_on) return 0;
    int is_ours = number_of(&p->terms, payload, octets, &number) && number < e->sent;
    int64_t *left_at = is_ours && e->sent - number <= FORGET_AFTER ? &p->left_at[number & (UNDER_WAY - 1)] : NULL;
    if (!is_ours) e->foreign++;
    else if (!left_at || !*left_at) e->duplicates++;
    else {
        double took = (m->now_ns - *left_at) / 1e9, least = 1e-6;
        if (took < least) took = least;
        int bucket = (int)(log(took / least) * PER_BUCKET);
        atomic_fetch_add_explicit(&p->round_trips[bucket < ROUND_TRIPS ? bucket : ROUND_TRIPS - 1], 1, memory_order_relaxed);
        *left_at = 0;
        e->outstanding--;
        if (!e->received++ || took < e->shortest) e->shortest = took;
        if (took > e->longest) e->longest = took;
        if (e->first_back == 0) e->first_back = m->now;
        e->last_back = m->now;
        if (number < p->highest) e->reordered++;
        else p->highest = number;
        double media_time = (double)(uint32_t)(timestamp - p->terms.timestamp) / p->terms.step * (FRAME_NS / 1e9), transit = m->now - media_time;
        if (p->has_transit) e->jitter += (fabs(transit - p->transit) - e->jitter) / 16;
        p->has_transit = 1;
        p->transit = transit;
    }
    publish_echoes(p);
    return 1;
}
