/* The life of a native datapath: its memory and sockets, what it takes over from an earlier one, its end; and
 * what Python reads of it while it lives. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "datapath.h"

size_t fp_table_size(uint32_t capacity) { return kept_size(capacity); }

/* NULL if memory or descriptors are short, or the file is. Ports and link are added next, then `fp_recover`. */
fp *fp_open(int table_fd, uint32_t capacity, uint32_t link_mtu, uint32_t idle_seconds) {
    fp *f = aligned_alloc(64, sizeof *f);
    if (!f) return NULL;
    memset(f, 0, offsetof(fp, heads)); /* what follows is written before it is read */
    f->records = (struct ring){ .limit = RECORD_RING, .bytes = malloc(RING_BYTES) };
    f->known = (struct ring){ .limit = UPCALL_RING, .bytes = malloc(RING_BYTES) };
    f->strangers = (struct ring){ .limit = UPCALL_RING, .bytes = malloc(RING_BYTES) };
    f->waiting = calloc(capacity, sizeof *f->waiting);
    f->passed = calloc(capacity, sizeof *f->passed);
    f->upcall_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->link = f->ingress = -1;
    f->link_mtu = link_mtu;
    f->idle_ticks = idle_seconds * (1000 / TICK_MS);
    atomic_store(&f->armed, 1);
    if (!kept_map(&f->kept, table_fd, capacity, PROT_READ | PROT_WRITE) || !f->waiting || !f->passed ||
        !f->records.bytes || !f->known.bytes || !f->strangers.bytes || f->upcall_fd < 0 || f->wake_fd < 0) {
        fp_close(f);
        return NULL;
    }
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

/* The index of the socket in commands and upcalls; -1 if there are too many, or it is not one. It may be bound to
 * `local` later, when its group is to have it. */
int fp_add_port(fp *f, int fd, const uint8_t local[18]) {
    struct port *p = f->port_count < MAX_PORTS ? calloc(1, sizeof *p) : NULL;
    fp_endpoint now;
    if (!p) return -1;
    *p = (struct port){ .fd = fd, .family = bound_to(fd, &now) };
    memcpy(&f->locals[f->port_count], local, sizeof now);
    if (p->family < 0) {
        free(p);
        return -1;
    }
    for (int i = 0; i < RETURN_BATCH; i++)
        p->messages[i].msg_hdr = (struct msghdr){ .msg_name = &p->names[i], .msg_iov = &p->vectors[i], .msg_iovlen = 1 };
    f->ports[f->port_count] = p;
    return f->port_count++;
}

/* -1 if it is not a socket. */
int fp_set_link(fp *f, int fd) {
    fp_endpoint bound;
    f->link = fd;
    f->link_family = bound_to(fd, &bound);
    return f->link_family < 0 ? -1 : 0;
}

/* Of all ports, the one to which Global Relays send. */
void fp_set_ingress(fp *f, int port) { f->ingress = port; }

/* Take over the flows of an earlier owner of the table, or make it an empty one. -1 if there is no randomness. */
int64_t fp_recover(fp *f) {
    if (!kept_fits(f->kept.header, f->kept.table.capacity) && !kept_format(&f->kept)) return -1;
    uint32_t flows = kept_recover(&f->kept, f->locals, f->port_count, clock_ms() / TICK_MS);
    f->counters[FP_FLOWS] = flows;
    publish(f);
    return flows;
}

/* Before the start: the labels that are installed, in order; `out` has room for as many as there are. */
size_t fp_labels(fp *f, uint32_t *out) {
    const struct table *t = &f->kept.table;
    size_t n = 0;
    for (const struct slot *s = t->slots; s < t->slots + kept_used(&f->kept); s++)
        if (s->state == SLOT_INSTALLED) out[n++] = table_label(t, s);
    return n;
}

/* Before the start: where the installed flows lead, each way once, as far as there is room. */
size_t fp_ways(fp *f, fp_way *out, size_t room) {
    const struct table *t = &f->kept.table;
    size_t n = 0;
    for (const struct slot *s = t->slots; s < t->slots + kept_used(&f->kept); s++) {
        if (s->state != SLOT_INSTALLED) continue;
        fp_way way = { .peer = s->peer };
        memcpy(way.route, s->route, sizeof way.route);
        size_t i = 0;
        while (i < n && memcmp(&out[i], &way, sizeof way)) i++;
        if (i == n && n < room) out[n++] = way;
    }
    return n;
}

uint8_t *fp_generations(fp *f) { return f->kept.generations; }
uint32_t *fp_used(fp *f) { return (uint32_t *)&f->kept.header->used; }

/* -1: one too many. The descriptor stays open with its owner. */
int fp_add_sibling(fp *f, int fd) {
    if (f->sibling_count == MAX_SIBLINGS) return -1;
    f->siblings[f->sibling_count++].fd = fd;
    return 0;
}

/* Python's: has a sibling a flow of that client on that socket? The one that heard of it last counts. */
int fp_ask_siblings(fp *f, const uint8_t client[18], int port, uint16_t route[3]) {
    struct slot found;
    fp_endpoint from;
    uint32_t seen = 0;
    int any = 0;
    memcpy(&from, client, sizeof from);
    for (int i = 0; i < f->sibling_count; i++) {
        if (!sibling_find(&f->siblings[i], &from, &f->locals[port], &found)) continue;
        if (any && (int32_t)(found.seen - seen) <= 0) continue;
        memcpy(route, found.route, sizeof found.route);
        seen = found.seen;
        any = 1;
    }
    return any;
}

static void describe(const struct slot *s, uint32_t number, fp_flow *out) {
    *out = (fp_flow){ .label = number << 8 | s->generation, .seen = s->seen, .port = s->port, .far = s->far };
    out->client = s->client;
    out->peer = s->peer;
    memcpy(out->route, s->route, sizeof out->route);
}

/* Python's, while the thread goes on: the flows of so many slots from `from` on. The slot to go on with; 0 after the
 * last. A slot that is being written is left out. */
uint32_t fp_look(fp *f, uint32_t from, uint32_t slots, fp_flow *out, uint32_t *count) {
    uint32_t used = kept_used(&f->kept), end = slots < used && from < used - slots ? from + slots : used;
    struct slot copy;
    *count = 0;
    for (uint32_t i = from; i < end; i++)
        if (slot_copy(&f->kept.table.slots[i], &copy) && copy.state == SLOT_INSTALLED) describe(&copy, i, &out[(*count)++]);
    return end < used ? end : 0;
}

/* Likewise: the flow of that client on that socket, if there is one. */
int fp_find(fp *f, const uint8_t client[18], int port, fp_flow *out) {
    struct sibling own = { .fd = -1, .kept = f->kept };
    struct slot copy;
    fp_endpoint from;
    memcpy(&from, client, sizeof from);
    uint32_t found = sibling_find(&own, &from, &f->locals[port], &copy);
    if (found) describe(&copy, found - 1, out);
    return found != 0;
}

/* Python's. */
void fp_counters(fp *f, uint64_t *out) { read_all(&f->published.rounds, f->published.copies, out, FP_COUNTERS); }

void fp_close(fp *f) {
    fp_stop(f);
    for (int i = 0; i < f->port_count; i++) free(f->ports[i]);
    for (int i = 0; i < f->sibling_count; i++) kept_unmap(&f->siblings[i].kept);
    kept_unmap(&f->kept);
    if (f->upcall_fd >= 0) close(f->upcall_fd);
    if (f->wake_fd >= 0) close(f->wake_fd);
    free(f->waiting);
    free(f->passed);
    free(f->records.bytes);
    free(f->known.bytes);
    free(f->strangers.bytes);
    free(f);
}

int fp_upcall_fd(fp *f) { return f->upcall_fd; }
