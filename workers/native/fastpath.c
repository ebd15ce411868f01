/* The relay's native datapath: two pumps, a sweep, and the thread that runs them. No parser, no policy, no log,
 * no allocation once it runs. workers/relay/datapath/base.py says what it must do; the Python one is its oracle.
 *
 * One thread owns sockets and table. It waits in poll(2), moves datagrams in batches, takes no lock and never
 * touches Python. Rings join it to the worker's Python, each with one producer and one consumer:
 *
 *     commands ->  install and remove flows. Applied after a batch has been received and before it is looked
 *                  up: whoever sends because of a response that left after the install meets the flow.
 *     upcalls  <-  what Python must decide: a ring for records, one for installed flows, one for strangers,
 *                  read in that order, so that a flood of strangers fills only its own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "ring.h"
#include "table.h"

#define MAX_PORTS 63       /* with the link, a bit each */
#define BATCH 64            /* datagrams per recvmmsg on a public socket */
#define LINK_BATCH 8        /* link datagrams per recvmmsg, each of up to 64 KiB */
#define RETURN_BATCH 256    /* datagrams to clients per sendmmsg */
#define MAX_PAYLOAD 2048    /* workers/wire/link.py */
#define LINK_BUFFER 65536
#define COMMANDS 8192
#define UPCALL_RING 1024    /* datagrams that wait in a ring of upcalls: workers/relay/datapath/base.py */
#define RECORD_RING 4096
#define FLOW_UPCALLS 8      /* of one installed flow: no client crowds out another */
#define TICK_MS 100
#define TOMBSTONE_TICKS (30 * 1000 / TICK_MS)
#define SWEEP_SHARE 64      /* a tick's sweep looks at this fraction of the table */
#define SWEEP_LEAST 1024
#define TURNS 16            /* batches per socket until poll and clock get their turn */
#define RECORD_HEADER 8
#define RECORD_DATA 1
#define RECORD_LAST_TYPE 4

union name { struct sockaddr_in v4; struct sockaddr_in6 v6; };

struct port { /* a public socket, and the datagrams on their way out of it */
    int fd, family, count;
    struct mmsghdr messages[RETURN_BATCH];
    struct iovec vectors[RETURN_BATCH];
    union name names[RETURN_BATCH];
};

struct leg { /* a link datagram in the making: all records of a batch for one transceiver */
    fp_endpoint peer;
    uint32_t size;
    union name name;
    struct iovec vectors[2 * BATCH];
};

struct fp {
    struct table_header *header;
    struct table table;
    uint32_t link_mtu, idle_ticks, sweep_at, now;
    int link, link_family, port_count, upcall_fd, wake_fd, has_thread;
    pthread_t thread;
    _Atomic int running, armed;
    struct ring records, known, strangers;
    _Atomic uint8_t *waiting; /* datagrams in the ring, by slot */
    _Alignas(64) _Atomic uint32_t command_head;
    _Alignas(64) _Atomic uint32_t command_tail;
    uint64_t counters[FP_COUNTERS];
    uint64_t published[2][FP_COUNTERS]; /* as they stood after a round, when the laws hold: the one of `rounds` & 1 */
    _Alignas(64) _Atomic uint64_t rounds;
    fp_command commands[COMMANDS];
    struct port *ports[MAX_PORTS];
    struct mmsghdr in[BATCH], out[BATCH], link_in[LINK_BATCH];
    struct iovec in_vectors[BATCH], link_vectors[LINK_BATCH];
    union name names[BATCH], link_names[LINK_BATCH];
    struct leg legs[BATCH];
    uint8_t heads[BATCH][RECORD_HEADER];
    uint8_t buffers[BATCH][MAX_PAYLOAD + 8]; /* one byte more than is served, so that a longer one shows */
    uint8_t link_buffers[LINK_BATCH][LINK_BUFFER];
};

static inline void count(fp *f, int which, uint64_t n) { f->counters[which] += n; }

static void publish(fp *f) {
    uint64_t rounds = atomic_load_explicit(&f->rounds, memory_order_relaxed) + 1;
    memcpy(f->published[rounds & 1], f->counters, sizeof f->counters);
    atomic_store_explicit(&f->rounds, rounds, memory_order_release);
}

/* Python's. Read again if a round ended meanwhile: the next one writes where this reads. */
void fp_counters(fp *f, uint64_t *out) {
    uint64_t before;
    do {
        before = atomic_load_explicit(&f->rounds, memory_order_acquire);
        memcpy(out, f->published[before & 1], sizeof f->counters);
        atomic_thread_fence(memory_order_acquire);
    } while (atomic_load_explicit(&f->rounds, memory_order_relaxed) != before);
}

/* --- addresses ------------------------------------------------------------------------------------------ */

static void read_name(fp_endpoint *to, const union name *name) {
    if (name->v4.sin_family == AF_INET) {
        memset(to->address, 0, 10);
        memset(to->address + 10, 0xff, 2);
        memcpy(to->address + 12, &name->v4.sin_addr, 4);
        memcpy(to->port, &name->v4.sin_port, 2);
    } else {
        memcpy(to->address, &name->v6.sin6_addr, 16);
        memcpy(to->port, &name->v6.sin6_port, 2);
    }
}

static socklen_t write_name(union name *name, const fp_endpoint *from, int family) {
    memset(name, 0, sizeof *name);
    if (family == AF_INET) {
        name->v4.sin_family = AF_INET;
        memcpy(&name->v4.sin_port, from->port, 2);
        memcpy(&name->v4.sin_addr, from->address + 12, 4);
        return sizeof name->v4;
    }
    name->v6.sin6_family = AF_INET6;
    memcpy(&name->v6.sin6_port, from->port, 2);
    memcpy(&name->v6.sin6_addr, from->address, 16);
    return sizeof name->v6;
}

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

/* Every installed label is given back exactly once. With a full ring it stays owed, and the sweep tries again. */
static int give_back(fp *f, struct slot *s) {
    fp_upcall entry = { .kind = FP_UPCALL_EXPIRED, .label = table_label(&f->table, s), .port = s->port };
    if (s->owed && upcall(f, &f->records, &entry, NULL)) s->owed = 0;
    return !s->owed;
}

static void bury(fp *f, struct slot *s) {
    slot_begin(s);
    s->state = SLOT_TOMBSTONE;
    s->seen = f->now;
    slot_end(s);
    count(f, FP_FLOWS, (uint64_t)-1);
    give_back(f, s);
}

static void install(fp *f, const fp_command *c) {
    struct table *t = &f->table;
    struct slot *s = &t->slots[c->label >> 8];
    struct slot *old = table_find(t, &c->client, c->port, table_hash(t, &c->client, c->port));
    if (s->state == SLOT_INSTALLED) count(f, FP_FLOWS, (uint64_t)-1);
    table_free(t, s);
    s->generation = c->label & 0xff;
    s->owed = 1;
    if (old && old != s) {
        if (!give_back(f, old)) return; /* the new label is owed too: the client's next check tries again */
        if (old->state == SLOT_INSTALLED) count(f, FP_FLOWS, (uint64_t)-1);
        table_free(t, old);
    }
    slot_begin(s);
    s->port = c->port;
    s->client = c->client;
    s->peer = c->peer;
    memcpy(s->route, c->route, sizeof s->route);
    s->seen = f->now;
    s->state = SLOT_INSTALLED;
    slot_end(s);
    index_add(t, s);
    count(f, FP_FLOWS, 1);
}

static void apply(fp *f, const fp_command *c) {
    struct table *t = &f->table;
    struct slot *s = table_at(t, c->label);
    if (c->kind == FP_INSTALL && c->label >> 8 < t->capacity && c->port < f->port_count) install(f, c);
    else if (c->kind == FP_REMOVE && s) bury(f, s);
    else if (c->kind == FP_REMOVE_ROUTE)
        for (s = t->slots; s < t->slots + t->capacity; s++)
            if (s->state == SLOT_INSTALLED && !memcmp(s->route, c->route, sizeof s->route)) bury(f, s);
}

static void drain_commands(fp *f) {
    uint32_t head = atomic_load_explicit(&f->command_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&f->command_tail, memory_order_acquire);
    for (; head != tail; head++) apply(f, &f->commands[head & (COMMANDS - 1)]);
    atomic_store_explicit(&f->command_head, head, memory_order_release);
}

/* Python's. -1: the ring is full. */
int fp_command_push(fp *f, const fp_command *command) {
    uint32_t tail = atomic_load_explicit(&f->command_tail, memory_order_relaxed);
    if (tail - atomic_load_explicit(&f->command_head, memory_order_acquire) == COMMANDS) return -1;
    f->commands[tail & (COMMANDS - 1)] = *command;
    atomic_store_explicit(&f->command_tail, tail + 1, memory_order_release);
    return 0;
}

/* --- sending ---------------------------------------------------------------------------------------------- */

/* Which of five counters in a row a failed send belongs to. */
static int reason(void) {
    switch (errno) {
    case EAGAIN: return 0;
    case ECONNREFUSED: case EPERM: case EACCES: return 1;
    case EHOSTUNREACH: case ENETUNREACH: case EADDRNOTAVAIL: case EINVAL: return 2;
    case EMSGSIZE: return 3;
    default: return 4;
    }
}

/* Every message is tried once. `weigh` says how many datagrams of clients one stands for. */
static void send_all(fp *f, int fd, struct mmsghdr *messages, int n, int sent_to, int dropped_to, int weigh) {
    for (int done = 0; done < n;) {
        int sent = sendmmsg(fd, messages + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL), to = sent_to;
        if (sent <= 0) {
            to = dropped_to + reason();
            sent = 1;
        }
        for (int end = done + sent; done < end; done++) count(f, to, weigh ? messages[done].msg_hdr.msg_iovlen / 2 : 1);
    }
}

static void flush_port(fp *f, struct port *p) {
    send_all(f, p->fd, p->messages, p->count, FP_RETURNED, FP_RECORDS_WOULD_BLOCK, 0);
    p->count = 0;
}

/* --- from clients ----------------------------------------------------------------------------------------- */

static void add_record(fp *f, int *legs, const struct slot *s, int i, uint32_t length) {
    uint32_t label = htonl(table_label(&f->table, s)), size = RECORD_HEADER + length;
    uint8_t *head = f->heads[i];
    head[0] = RECORD_DATA;
    head[1] = 0;
    head[2] = length >> 8;
    head[3] = length & 0xff;
    memcpy(head + 4, &label, 4);
    int at = *legs - 1;
    while (at >= 0 && (memcmp(&f->legs[at].peer, &s->peer, sizeof s->peer) || f->legs[at].size + size > f->link_mtu)) at--;
    int is_new = at < 0;
    if (is_new) at = (*legs)++;
    struct leg *leg = &f->legs[at];
    struct msghdr *message = &f->out[at].msg_hdr;
    if (is_new) {
        leg->peer = s->peer;
        leg->size = 0;
        *message = (struct msghdr){ .msg_name = &leg->name, .msg_iov = leg->vectors };
        message->msg_namelen = write_name(&leg->name, &s->peer, f->link_family);
    }
    leg->vectors[message->msg_iovlen++] = (struct iovec){ head, RECORD_HEADER };
    leg->vectors[message->msg_iovlen++] = (struct iovec){ f->buffers[i], length };
    leg->size += size;
}

static int hand_up(fp *f, struct slot *s, int port, const fp_endpoint *client, int i, uint32_t length) {
    fp_upcall entry = { .kind = FP_UPCALL_DATAGRAM, .length = length, .port = port, .from = *client };
    if (!s || s->state != SLOT_INSTALLED) return upcall(f, &f->strangers, &entry, f->buffers[i]);
    s->seen = f->now;
    _Atomic uint8_t *waiting = &f->waiting[s - f->table.slots];
    if (atomic_load_explicit(waiting, memory_order_relaxed) >= FLOW_UPCALLS) return 0;
    entry.known = 1;
    entry.label = table_label(&f->table, s);
    memcpy(entry.route, s->route, sizeof entry.route);
    atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed);
    if (upcall(f, &f->known, &entry, f->buffers[i])) return 1;
    atomic_fetch_sub_explicit(waiting, 1, memory_order_relaxed);
    return 0;
}

static int pump_port(fp *f, int number) {
    struct port *p = f->ports[number];
    for (int i = 0; i < BATCH; i++) f->in[i].msg_hdr.msg_namelen = sizeof f->names[i];
    int n = recvmmsg(p->fd, f->in, BATCH, MSG_DONTWAIT, NULL), legs = 0;
    if (n <= 0) return 0;
    drain_commands(f);
    count(f, FP_RECEIVED, n);
    fp_endpoint clients[BATCH];
    uint64_t hashes[BATCH];
    struct slot *slots[BATCH];
    /* Three passes, so that a million flows cost the memory's latency once per batch and not per datagram. */
    for (int i = 0; i < n; i++) {
        read_name(&clients[i], &f->names[i]);
        hashes[i] = table_hash(&f->table, &clients[i], number);
        __builtin_prefetch(&f->table.index[hashes[i] & f->table.mask]);
    }
    for (int i = 0; i < n; i++) {
        const struct entry *e = &f->table.index[hashes[i] & f->table.mask];
        if (e->slot) __builtin_prefetch(&f->table.slots[e->slot - 1], 1);
    }
    for (int i = 0; i < n; i++) slots[i] = table_find(&f->table, &clients[i], number, hashes[i]);
    for (int i = 0; i < n; i++) {
        uint32_t length = f->in[i].msg_len;
        uint8_t first = f->buffers[i][0];
        struct slot *s = slots[i];
        if (!length) count(f, FP_DROPPED_EMPTY, 1);
        else if (length > MAX_PAYLOAD) count(f, FP_DROPPED_OVERSIZE, 1);
        else if (s && s->state == SLOT_INSTALLED && ((first >= 128 && first < 192) || (first >= 20 && first < 64))) {
            s->seen = f->now;
            add_record(f, &legs, s, i, length);
        } else if (s && s->state == SLOT_TOMBSTONE && first > 3) {
            s->seen = f->now;
            count(f, FP_DROPPED_TOMBSTONE, 1);
        } else count(f, hand_up(f, s, number, &clients[i], i, length) ? FP_UPCALLED : FP_DROPPED_UPCALLS_FULL, 1);
    }
    send_all(f, f->link, f->out, legs, FP_FORWARDED, FP_DROPPED_WOULD_BLOCK, 1);
    return n == BATCH;
}

/* --- from transceivers ------------------------------------------------------------------------------------ */

static void handle_record(fp *f, const fp_endpoint *peer, uint8_t *record, uint32_t length) {
    uint32_t label;
    memcpy(&label, record + 4, 4);
    label = ntohl(label);
    struct slot *s = table_at(&f->table, label);
    if (s && memcmp(&s->peer, peer, sizeof *peer)) s = NULL;
    if (s && record[0] == RECORD_DATA && length) {
        struct port *p = f->ports[s->port];
        p->vectors[p->count] = (struct iovec){ record + RECORD_HEADER, length };
        p->messages[p->count].msg_hdr.msg_namelen = write_name(&p->names[p->count], &s->client, p->family);
        if (++p->count == RETURN_BATCH) flush_port(f, p);
        return;
    }
    fp_upcall entry = { .kind = FP_UPCALL_RECORD, .length = length, .label = label, .record_type = record[0],
                        .record_flags = record[1], .from = *peer, .known = s != NULL };
    if (s) {
        entry.client = s->client;
        entry.port = s->port;
        memcpy(entry.route, s->route, sizeof entry.route);
    }
    count(f, upcall(f, &f->records, &entry, record + RECORD_HEADER) ? FP_RAISED : FP_RECORDS_QUEUE_FULL, 1);
}

static int pump_link(fp *f) {
    for (int i = 0; i < LINK_BATCH; i++) f->link_in[i].msg_hdr.msg_namelen = sizeof f->link_names[i];
    int n = recvmmsg(f->link, f->link_in, LINK_BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0) return 0;
    drain_commands(f);
    for (int i = 0; i < n; i++) {
        fp_endpoint peer;
        read_name(&peer, &f->link_names[i]);
        uint8_t *at = f->link_buffers[i];
        for (size_t left = f->link_in[i].msg_len, size; left; at += size, left -= size) {
            count(f, FP_RECORDS, 1);
            uint32_t length = left < RECORD_HEADER ? 0 : (uint32_t)at[2] << 8 | at[3];
            size = RECORD_HEADER + (size_t)length;
            if (size > left || at[0] < RECORD_DATA || at[0] > RECORD_LAST_TYPE) {
                count(f, FP_RECORDS_MALFORMED, 1);
                break;
            }
            handle_record(f, &peer, at, length);
        }
    }
    for (int i = 0; i < f->port_count; i++)
        if (f->ports[i]->count) flush_port(f, f->ports[i]);
    return n == LINK_BATCH;
}

/* --- time ------------------------------------------------------------------------------------------------- */

static void sweep(fp *f) {
    struct table *t = &f->table;
    uint32_t share = t->capacity / SWEEP_SHARE + SWEEP_LEAST;
    if (share > t->capacity) share = t->capacity;
    for (uint32_t i = 0; i < share; i++) {
        struct slot *s = &t->slots[f->sweep_at];
        f->sweep_at = f->sweep_at + 1 == t->capacity ? 0 : f->sweep_at + 1;
        uint32_t silent = f->now - s->seen;
        if (s->state == SLOT_INSTALLED) {
            if (silent <= f->idle_ticks || !give_back(f, s)) continue;
            count(f, FP_FLOWS, (uint64_t)-1);
            table_free(t, s);
        } else if (give_back(f, s) && s->state == SLOT_TOMBSTONE && silent > TOMBSTONE_TICKS) table_free(t, s);
    }
}

/* One round without waiting: what the thread does between two polls, and tests do in its place. `ready`: bit 0
 * for the link, bit n + 1 for port n. */
void fp_pump(fp *f, uint64_t now_ms, uint64_t ready) {
    uint32_t tick = now_ms / TICK_MS;
    if (tick != f->now) {
        f->now = tick;
        drain_commands(f);
        sweep(f);
    }
    /* Turn by turn, so that no socket waits for another's flood. */
    for (int turn = 0; ready && turn < TURNS; turn++) {
        if (ready & 1 && !pump_link(f)) ready &= ~(uint64_t)1;
        for (int i = 0; i < f->port_count; i++)
            if (ready >> (i + 1) & 1 && !pump_port(f, i)) ready &= ~((uint64_t)2 << i);
    }
    drain_commands(f);
    publish(f);
}

static uint64_t clock_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *run(void *argument) {
    fp *f = argument;
    int n = f->port_count + 1;
    struct pollfd fds[MAX_PORTS + 2] = { { f->link, POLLIN, 0 } };
    for (int i = 0; i < f->port_count; i++) fds[1 + i] = (struct pollfd){ f->ports[i]->fd, POLLIN, 0 };
    fds[n] = (struct pollfd){ f->wake_fd, POLLIN, 0 };
    while (atomic_load_explicit(&f->running, memory_order_acquire)) {
        uint64_t ready = 0;
        poll(fds, n + 1, TICK_MS);
        for (int i = 0; i < n; i++) ready |= (uint64_t)(fds[i].revents != 0) << i;
        fp_pump(f, clock_ms(), ready);
    }
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------------------- */

size_t fp_table_size(uint32_t capacity) { return sizeof(struct table_header) + (size_t)capacity * sizeof(struct slot); }

/* NULL if memory or descriptors are short. A table of another layout or capacity starts empty. */
fp *fp_open(int table_fd, uint32_t capacity, uint32_t link_mtu, uint32_t idle_seconds, const uint8_t hash_key[16]) {
    size_t size = fp_table_size(capacity), entries = 2;
    while (entries < (size_t)capacity * 2) entries <<= 1;
    fp *f = aligned_alloc(64, sizeof *f);
    if (!f) return NULL;
    memset(f, 0, sizeof *f);
    struct table_header *h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, table_fd, 0);
    f->header = h == MAP_FAILED ? NULL : h;
    f->table = (struct table){ .index = calloc(entries, sizeof(struct entry)), .mask = entries - 1, .capacity = capacity };
    f->records = (struct ring){ .limit = RECORD_RING, .bytes = malloc(RING_BYTES) };
    f->known = (struct ring){ .limit = UPCALL_RING, .bytes = malloc(RING_BYTES) };
    f->strangers = (struct ring){ .limit = UPCALL_RING, .bytes = malloc(RING_BYTES) };
    f->waiting = calloc(capacity, sizeof *f->waiting);
    f->upcall_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->link = -1;
    f->link_mtu = link_mtu;
    f->idle_ticks = idle_seconds * (1000 / TICK_MS);
    f->now = clock_ms() / TICK_MS;
    atomic_store(&f->armed, 1);
    if (!f->header || !f->table.index || !f->waiting || !f->records.bytes || !f->known.bytes || !f->strangers.bytes ||
        f->upcall_fd < 0 || f->wake_fd < 0) {
        fp_close(f);
        return NULL;
    }
    f->table.slots = (struct slot *)(h + 1);
    if (h->magic != TABLE_MAGIC || h->layout != TABLE_LAYOUT || h->capacity != capacity) {
        memset(h, 0, size);
        memcpy(h->hash_key, hash_key, 16);
        h->capacity = capacity;
        h->layout = TABLE_LAYOUT;
        h->magic = TABLE_MAGIC;
    }
    memcpy(f->table.key, h->hash_key, 16);
    count(f, FP_FLOWS, table_recover(&f->table));
    publish(f);
    for (int i = 0; i < BATCH; i++) {
        f->in_vectors[i] = (struct iovec){ f->buffers[i], MAX_PAYLOAD + 1 };
        f->in[i].msg_hdr = (struct msghdr){ .msg_name = &f->names[i], .msg_iov = &f->in_vectors[i], .msg_iovlen = 1 };
    }
    for (int i = 0; i < LINK_BATCH; i++) {
        f->link_vectors[i] = (struct iovec){ f->link_buffers[i], LINK_BUFFER };
        f->link_in[i].msg_hdr = (struct msghdr){ .msg_name = &f->link_names[i], .msg_iov = &f->link_vectors[i], .msg_iovlen = 1 };
    }
    return f;
}

static int family_of(int fd) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    return getsockname(fd, (struct sockaddr *)&name, &length) ? -1 : name.ss_family;
}

/* The index of the socket in commands and upcalls; -1 if there are too many, or it is not one. */
int fp_add_port(fp *f, int fd) {
    int family = family_of(fd);
    struct port *p = f->port_count < MAX_PORTS && family >= 0 ? calloc(1, sizeof *p) : NULL;
    if (!p) return -1;
    p->fd = fd;
    p->family = family;
    for (int i = 0; i < RETURN_BATCH; i++)
        p->messages[i].msg_hdr = (struct msghdr){ .msg_name = &p->names[i], .msg_iov = &p->vectors[i], .msg_iovlen = 1 };
    f->ports[f->port_count] = p;
    return f->port_count++;
}

int fp_set_link(fp *f, int fd) {
    f->link = fd;
    f->link_family = family_of(fd);
    return f->link_family;
}

/* `cpu` < 0: wherever the kernel likes. */
int fp_start(fp *f, int cpu) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    atomic_store(&f->running, 1);
    f->has_thread = !pthread_create(&f->thread, &attributes, run, f);
    pthread_attr_destroy(&attributes);
    return f->has_thread ? 0 : -1;
}

void fp_stop(fp *f) {
    if (!f->has_thread) return;
    uint64_t one = 1;
    atomic_store_explicit(&f->running, 0, memory_order_release);
    (void)!write(f->wake_fd, &one, sizeof one);
    pthread_join(f->thread, NULL);
    f->has_thread = 0;
}

void fp_close(fp *f) {
    fp_stop(f);
    for (int i = 0; i < f->port_count; i++) free(f->ports[i]);
    if (f->header) munmap(f->header, fp_table_size(f->table.capacity));
    if (f->upcall_fd >= 0) close(f->upcall_fd);
    if (f->wake_fd >= 0) close(f->wake_fd);
    free(f->table.index);
    free(f->waiting);
    free(f->records.bytes);
    free(f->known.bytes);
    free(f->strangers.bytes);
    free(f);
}

int fp_upcall_fd(fp *f) { return f->upcall_fd; }
