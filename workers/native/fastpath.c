/* The relay's native datapath: two pumps, a sweep, and the thread that runs them. No parser, no policy, no log,
 * no allocation once it runs. workers/relay/datapath/base.py says what it must do; the Python one is its oracle.
 *
 * One thread owns sockets and table. It waits in poll(2), rests where datagrams are dense (pace.h), moves them in
 * batches, takes no lock and never touches Python. Rings join it to the worker's Python, each with one producer and
 * one consumer:
 *
 *     commands ->  install and remove flows. Applied after a batch has been received and before it is looked
 *                  up: whoever sends because of a response that left after the install meets the flow.
 *     upcalls  <-  what Python must decide: a ring for records, one for installed flows, one for strangers,
 *                  read in that order, so that a flood of strangers fills only its own.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/prctl.h>
#include "departure.h"

/* --- upcalls and commands --------------------------------------------------------------------------------- */

static int upcall(fp *f, struct ring *r, fp_upcall *entry, const void *payload) {
    if (!ring_push(r, entry, payload)) return 0;
    if (atomic_exchange_explicit(&f->armed, 0, memory_order_seq_cst)) {
        uint64_t one = 1;
        (void)!write(f->upcall_fd, &one, sizeof one);
    }
    return 1;
}

/* Python's: the events so far, records and installed flows first. Armed before the look, so that whatever
 * comes after it wakes the reader again. */
size_t fp_take(fp *f, uint8_t *out, size_t room) {
    uint64_t signalled;
    (void)!read(f->upcall_fd, &signalled, sizeof signalled);
    atomic_store_explicit(&f->armed, 1, memory_order_seq_cst);
    size_t records = ring_take(&f->records, out, room), end = records + ring_take(&f->known, out + records, room - records);
    for (size_t at = records; at < end; at += ((fp_upcall *)(out + at))->size)
        atomic_fetch_sub_explicit(&f->waiting[((fp_upcall *)(out + at))->label >> 8], 1, memory_order_relaxed);
    return end + ring_take(&f->strangers, out + end, room - end);
}

/* Every installed label is given back exactly once. Where so many wait it stays owed, and the sweep tries again: a
 * million flows that end at once must keep no record and no stranger waiting. */
static int give_back(fp *f, struct slot *s, uint32_t most) {
    fp_upcall entry = { .kind = FP_UPCALL_EXPIRED, .label = table_label(&f->kept.table, s) };
    if (s->owed && ring_count(&f->records) < most && upcall(f, &f->records, &entry, NULL)) s->owed = 0;
    return !s->owed;
}

static void bury(fp *f, struct slot *s) {
    slot_begin(s);
    s->state = SLOT_TOMBSTONE;
    s->seen = f->now;
    slot_end(s);
    count(f, FP_FLOWS, (uint64_t)-1);
    give_back(f, s, ENDED_RING);
}

static void install(fp *f, const fp_command *c) {
    struct table *t = &f->kept.table;
    uint32_t number = c->label >> 8;
    struct slot *s = &t->slots[number], *old = table_find(t, &c->client, c->port, c->far, table_hash(t, &c->client, c->port, c->far));
    if (number >= kept_used(&f->kept)) atomic_store_explicit(&f->kept.header->used, number + 1, memory_order_relaxed);
    if (s->state == SLOT_INSTALLED) count(f, FP_FLOWS, (uint64_t)-1);
    table_free(t, s);
    slot_begin(s);
    s->generation = c->label & 0xff;
    s->owed = 1;
    slot_end(s);
    if (old && old != s) {
        if (!give_back(f, old, RECORD_RING)) return; /* the new label is owed too: the client's next check tries again */
        if (old->state == SLOT_INSTALLED) count(f, FP_FLOWS, (uint64_t)-1);
        table_free(t, old);
    }
    slot_begin(s);
    s->port = c->port;
    s->far = c->far;
    s->client = c->client;
    s->peer = c->peer;
    s->raised = 0;
    memcpy(s->route, c->route, sizeof s->route);
    s->seen = f->now;
    f->passed[number] = 0;
    s->installed = ++f->installed;
    s->state = SLOT_INSTALLED;
    slot_end(s);
    index_add(t, s);
    count(f, FP_FLOWS, 1);
}

static void begin_removing(fp *f, const fp_command *c) {
    struct removal *r = &f->removals[f->removal_count++];
    *r = (struct removal){ .raises = c->kind == FP_RAISE_PEER, .peer = c->peer, .installed = f->installed, .end = kept_used(&f->kept) };
    memcpy(r->route, c->route, sizeof r->route);
}

/* A table of a million flows is too long a way for one round: media would wait. A flow that is installed meanwhile,
 * of the same route come back, is none of those that were meant. */
static void go_on_removing(fp *f) {
    uint32_t looks = REMOVAL_SHARE, buried = 0;
    while (f->removal_count && looks && buried < SWEEP_MOST) {
        struct removal *r = &f->removals[0];
        if (r->at == r->end) {
            memmove(r, r + 1, --f->removal_count * sizeof *r);
            continue;
        }
        looks--;
        struct slot *s = &f->kept.table.slots[r->at++];
        if (s->state != SLOT_INSTALLED || s->installed - r->installed - 1 < f->installed - r->installed) continue; /* whatever has wrapped */
        if (r->raises) s->raised |= !memcmp(&s->peer, &r->peer, sizeof r->peer);
        else if (!memcmp(s->route, r->route, sizeof r->route)) {
            bury(f, s);
            buried++;
        }
    }
}

static void apply(fp *f, const fp_command *c) {
    struct table *t = &f->kept.table;
    struct slot *s = table_at(t, c->label);
    if (c->kind == FP_INSTALL && c->label >> 8 < t->capacity && c->port < f->port_count) install(f, c);
    else if (c->kind == FP_REMOVE && s) bury(f, s);
    else if (c->kind == FP_RAISE && s) s->raised = 1;
    else if (c->kind == FP_REMOVE_ROUTE || c->kind == FP_RAISE_PEER) begin_removing(f, c);
}

static void drain_commands(fp *f) {
    for (const fp_command *c; f->removal_count < REMOVALS && (c = commands_first(&f->commands)); commands_pop(&f->commands))
        apply(f, c);
}

/* Python's. -1: the ring is full. */
int fp_command_push(fp *f, const fp_command *command) { return commands_push(&f->commands, command) ? 0 : -1; }

/* --- both ways -------------------------------------------------------------------------------------------- */

static void flush_port(fp *f, struct port *p) {
    send_all(f, p->fd, p->messages, p->count, FP_RETURNED, FP_RECORDS_WOULD_BLOCK, 0);
    p->count = 0;
}

static void hear(fp *f, struct slot *s) {
    if (s->seen != f->now) f->passed[s - f->kept.table.slots] = 0;
    s->seen = f->now;
}

/* One more datagram of its client; 0 if that is more than its share of this tick. */
static int admit(fp *f, struct slot *s) {
    hear(f, s);
    uint16_t *passed = &f->passed[s - f->kept.table.slots];
    return *passed < FLOW_MOST && ++*passed;
}

static int hand_up(fp *f, struct slot *s, fp_upcall *entry, const uint8_t *payload, int is_media) {
    entry->kind = FP_UPCALL_DATAGRAM;
    if (!s || s->state != SLOT_INSTALLED)
        return !(is_media && ring_count(&f->strangers) >= STRANGERS_MEDIA) && upcall(f, &f->strangers, entry, payload);
    hear(f, s);
    _Atomic uint8_t *waiting = &f->waiting[s - f->kept.table.slots];
    if (atomic_load_explicit(waiting, memory_order_relaxed) >= FLOW_UPCALLS) return 0;
    entry->known = 1;
    entry->label = table_label(&f->kept.table, s);
    entry->other = s->peer;
    memcpy(entry->route, s->route, sizeof entry->route);
    atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed);
    if (upcall(f, &f->known, entry, payload)) return 1;
    atomic_fetch_sub_explicit(waiting, 1, memory_order_relaxed);
    return 0;
}

/* Link datagrams of late, each way. */
static void note_balance(fp *f, uint32_t asked, uint32_t answered) {
    f->asked += asked;
    f->answered += answered;
    if (f->asked + f->answered < BALANCE) return;
    f->asked /= 2;
    f->answered /= 2;
}

/* Transceivers answer many datagrams with one: they wait for more before they do. */
static int are_gathered(const fp *f) { return f->asked > 2 * f->answered; }

/* --- from clients ----------------------------------------------------------------------------------------- */

static int pump_port(fp *f, int number) {
    struct port *p = f->ports[number];
    for (int i = 0; i < BATCH; i++) f->in[i].msg_hdr.msg_namelen = sizeof f->names[i];
    int n = recvmmsg(p->fd, f->in, BATCH, MSG_DONTWAIT, NULL), legs = 0;
    if (n <= 0) return 0;
    f->density.datagrams += n;
    drain_commands(f);
    count(f, FP_RECEIVED, n);
    fp_endpoint clients[BATCH];
    struct slot *slots[BATCH];
    for (int i = 0; i < n; i++) read_name(&clients[i], &f->names[i]);
    table_find_all(&f->kept.table, clients, number, n, slots);
    for (int i = 0; i < n; i++) {
        uint32_t length = f->in[i].msg_len;
        uint8_t first = f->buffers[i][0];
        struct slot *s = slots[i];
        if (!length) count(f, FP_DROPPED_EMPTY, 1);
        else if (length > MAX_PAYLOAD) count(f, FP_DROPPED_OVERSIZE, 1);
        else if (s && s->state == SLOT_INSTALLED && !s->raised && ((first >= 128 && first < 192) || (first >= 20 && first < 64))) {
            if (!admit(f, s)) {
                count(f, FP_DROPPED_FLOW_LIMIT, 1);
                continue;
            }
            uint8_t *head = f->heads[i];
            put_head(head, RECORD_DATA, 0, length);
            add_record(f, &legs, to_link(f), &s->peer, table_label(&f->kept.table, s), head, f->buffers[i], length);
        } else if (s && s->state == SLOT_TOMBSTONE && first > 3) {
            s->seen = f->now;
            count(f, FP_DROPPED_TOMBSTONE, 1);
        } else {
            fp_upcall entry = { .length = length, .port = number, .from = clients[i] };
            count(f, hand_up(f, s, &entry, f->buffers[i], first > 3) ? FP_UPCALLED : FP_DROPPED_UPCALLS_FULL, 1);
        }
    }
    note_balance(f, legs, 0);
    depart(f, &legs, to_link(f));
    return n == BATCH;
}

/* --- records ---------------------------------------------------------------------------------------------- */

typedef void on_record(fp *f, int *legs, const fp_endpoint *peer, uint8_t *record, uint32_t length);

/* One batch of link datagrams, record by record: `take` is known where this is inlined. How many datagrams. */
static inline __attribute__((always_inline)) int pump_records(fp *f, int fd, int records, int malformed, on_record *take, int *legs) {
    for (int i = 0; i < LINK_BATCH; i++) f->link_in[i].msg_hdr.msg_namelen = sizeof f->link_names[i];
    int n = recvmmsg(fd, f->link_in, LINK_BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0) return 0;
    f->density.datagrams += n;
    drain_commands(f);
    for (int i = 0; i < n; i++) {
        fp_endpoint peer;
        read_name(&peer, &f->link_names[i]);
        uint8_t *at = f->link_buffers[i];
        int32_t length;
        for (size_t left = f->link_in[i].msg_len; left; at += RECORD_HEADER + length, left -= RECORD_HEADER + length) {
            count(f, records, 1);
            if ((length = record_length(at, left, RECORD_LAST_TYPE)) < 0) {
                count(f, malformed, 1);
                break;
            }
            take(f, legs, &peer, at, length);
        }
    }
    return n;
}

/* --- from Global Relays ----------------------------------------------------------------------------------- */

static void switch_record(fp *f, int *legs, const fp_endpoint *peer, uint8_t *record, uint32_t length) {
    uint32_t far = get_u32(record + 4);
    int is_data = record[0] == RECORD_DATA;
    struct slot *s = table_find(&f->kept.table, peer, f->ingress, far, table_hash(&f->kept.table, peer, f->ingress, far));
    if (is_data && !length) count(f, FP_DROPPED_EMPTY, 1);
    else if (length > MAX_PAYLOAD + (is_data ? 0 : ROUTED_PREFIX)) count(f, FP_DROPPED_OVERSIZE, 1);
    else if (is_data && s && s->state == SLOT_INSTALLED && !s->raised) {
        if (!admit(f, s)) {
            count(f, FP_DROPPED_FLOW_LIMIT, 1);
            return;
        }
        record[1] = 0;
        add_record(f, legs, to_link(f), &s->peer, table_label(&f->kept.table, s), record, record + RECORD_HEADER, length);
    } else if (is_data && s && s->state == SLOT_TOMBSTONE) {
        s->seen = f->now;
        count(f, FP_DROPPED_TOMBSTONE, 1);
    } else {
        fp_upcall entry = { .length = length, .port = f->ingress, .from = *peer, .far = far, .record_type = record[0] };
        count(f, hand_up(f, s, &entry, record + RECORD_HEADER, is_data) ? FP_UPCALLED : FP_DROPPED_UPCALLS_FULL, 1);
    }
}

/* Each record stands for a datagram of a client, and changes its label where it is. */
static int pump_ingress(fp *f) {
    int legs = 0, n = pump_records(f, f->ports[f->ingress]->fd, FP_RECEIVED, FP_DROPPED_MALFORMED, switch_record, &legs);
    depart(f, &legs, to_link(f));
    return n == LINK_BATCH;
}

/* --- from transceivers ------------------------------------------------------------------------------------ */

static void handle_record(fp *f, int *legs, const fp_endpoint *peer, uint8_t *record, uint32_t length) {
    uint32_t label = get_u32(record + 4);
    struct slot *s = table_at(&f->kept.table, label);
    if (s && memcmp(&s->peer, peer, sizeof *peer)) s = NULL;
    if (s && record[0] == RECORD_DATA && length) {
        if (s->port == f->ingress) { /* with its flags: the Global Relay may not know yet what they say */
            add_record(f, legs, to_globals(f), &s->client, s->far, record, record + RECORD_HEADER, length);
            return;
        }
        struct port *p = f->ports[s->port];
        p->vectors[p->count] = (struct iovec){ record + RECORD_HEADER, length };
        p->messages[p->count].msg_hdr.msg_namelen = write_name(&p->names[p->count], &s->client, p->family);
        if (++p->count == RETURN_BATCH) flush_port(f, p);
        return;
    }
    fp_upcall entry = { .kind = FP_UPCALL_RECORD, .length = length, .label = label, .record_type = record[0],
                        .record_flags = record[1], .from = *peer, .known = s != NULL };
    if (s) {
        entry.other = s->client;
        entry.far = s->far;
        entry.port = s->port;
        memcpy(entry.route, s->route, sizeof entry.route);
    }
    count(f, upcall(f, &f->records, &entry, record + RECORD_HEADER) ? FP_RAISED : FP_RECORDS_QUEUE_FULL, 1);
}

static int pump_link(fp *f) {
    int legs = 0, n = pump_records(f, f->link, FP_RECORDS, FP_RECORDS_MALFORMED, handle_record, &legs);
    note_balance(f, 0, n);
    if (legs) depart(f, &legs, to_globals(f));
    for (int i = 0; i < f->port_count; i++)
        if (f->ports[i]->count) flush_port(f, f->ports[i]);
    return n == LINK_BATCH;
}

/* --- time ------------------------------------------------------------------------------------------------- */

static void sweep(fp *f) {
    struct table *t = &f->kept.table;
    uint32_t used = kept_used(&f->kept), share = used / SWEEP_SHARE + SWEEP_LEAST, freed = 0;
    if (share > used) share = used;
    for (uint32_t i = 0; i < share && freed < SWEEP_MOST; i++) {
        if (f->sweep_at >= used) f->sweep_at = 0;
        struct slot *s = &t->slots[f->sweep_at++];
        int32_t silent = f->now - s->seen;
        if (s->state == SLOT_INSTALLED) {
            if (silent <= (int32_t)f->idle_ticks || !give_back(f, s, ENDED_RING)) continue;
            count(f, FP_FLOWS, (uint64_t)-1);
        } else if (!give_back(f, s, ENDED_RING) || s->state != SLOT_TOMBSTONE || silent <= TOMBSTONE_TICKS) continue;
        table_free(t, s);
        freed++;
    }
}

/* For how many ns from its beginning, `now_ns`, the sockets are left alone after a round: on a road of two relays,
 * each of which has a wake-up to pay, and where transceivers gather for longer anyway, which their link datagrams
 * tell. Where each datagram is answered at once, each is served at once. */
int64_t fp_rest(fp *f, int64_t now_ns) { return f->ingress < 0 && !are_gathered(f) ? 0 : pace_rest(&f->density, now_ns); }

/* One round without waiting: what the thread does between two polls, and tests do in its place. `ready`: bit 0
 * for the link, bit n + 1 for port n. */
void fp_pump(fp *f, uint64_t now_ms, uint64_t ready) {
    if (now_ms / SWEEP_MS > f->swept) { /* time never goes back: that would look like long silence */
        f->swept = now_ms / SWEEP_MS;
        f->now = now_ms / TICK_MS;
        drain_commands(f);
        sweep(f);
    }
    /* Turn by turn, so that no socket waits for another's flood. */
    for (int turn = 0; ready && turn < TURNS; turn++) {
        if (ready & 1 && !pump_link(f)) ready &= ~(uint64_t)1;
        for (int i = 0; i < f->port_count; i++)
            if (ready >> (i + 1) & 1 && !(i == f->ingress ? pump_ingress(f) : pump_port(f, i))) ready &= ~((uint64_t)2 << i);
    }
    drain_commands(f);
    go_on_removing(f);
    publish(f);
}

static void *run(void *argument) {
    fp *f = argument;
    int n = f->port_count + 1;
    struct pollfd fds[MAX_PORTS + 2] = { { f->link, POLLIN, 0 } };
    for (int i = 0; i < f->port_count; i++) fds[1 + i] = (struct pollfd){ f->ports[i]->fd, POLLIN, 0 };
    fds[n] = (struct pollfd){ f->wake_fd, POLLIN, 0 };
    prctl(PR_SET_TIMERSLACK, 1); /* a rest is as long as it says */
    while (is_running(&f->thread)) {
        uint64_t ready = 0;
        poll(fds, n + 1, f->removal_count ? 0 : kept_used(&f->kept) ? SWEEP_MS : REST_MS);
        for (int i = 0; i < n; i++) {
            ready |= (uint64_t)(fds[i].revents != 0) << i;        /* reading clears an error */
            if (fds[i].revents & POLLNVAL) fds[i].fd = -1;         /* but nothing this one: it would spin */
        }
        int64_t began = clock_ns(), rest;
        fp_pump(f, began / 1000000, ready);
        if ((rest = fp_rest(f, began))) sleep_until(began + rest);
    }
    return NULL;
}

/* `cpu` < 0: wherever the kernel likes. */
int fp_start(fp *f, int cpu) { return thread_start(&f->thread, "datapath", cpu, run, f); }

void fp_stop(fp *f) { thread_stop(&f->thread, f->wake_fd); }
