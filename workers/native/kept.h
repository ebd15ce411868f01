/* What outlives a relay: a file of shared memory that holds the table, and what a successor makes of it.
 *
 *     header, one page | slots | index | generations, a byte per slot
 *
 * The generations and `used` are Python's: it raises both before it tells anybody of a label, so a successor
 * never gives out a label that is under way. The index is never trusted but made anew from the slots: then no
 * slot that a death has torn, and no memory that something else has written, can lead a look-up astray.
 */
#ifndef TANDEM_KEPT_H
#define TANDEM_KEPT_H
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include "table.h"

#define KEPT_MAGIC 0x544e444du /* TNDM */
#define KEPT_LAYOUT 4u
#define KEPT_PAGE 4096u
#define MAX_PORTS 63 /* with the link, a bit each */
#define NO_PORT 0xffffu

struct kept_header {
    _Atomic uint32_t magic; /* zero while the rest is being written */
    uint32_t layout, capacity;
    _Atomic uint32_t used; /* slots from the first on that have ever had a label */
    uint8_t hash_key[16];
    uint32_t port_count;
    fp_endpoint ports[MAX_PORTS]; /* what `slot.port` counts; another process may count otherwise */
};
_Static_assert(sizeof(struct kept_header) <= KEPT_PAGE, "the header has a page");

struct kept {
    struct kept_header *header;
    struct table table;
    uint8_t *generations;
    size_t size;
};

static inline size_t kept_entries(uint32_t capacity) {
    size_t entries = 2;
    while (entries < (size_t)capacity * 2) entries <<= 1;
    return entries;
}

static inline size_t kept_size(uint32_t capacity) {
    return KEPT_PAGE + (size_t)capacity * sizeof(struct slot) + kept_entries(capacity) * sizeof(table_entry) + capacity;
}

static inline uint32_t kept_used(const struct kept *k) {
    uint32_t used = atomic_load_explicit(&k->header->used, memory_order_relaxed);
    return used < k->table.capacity ? used : k->table.capacity;
}

static inline int kept_fits(const struct kept_header *h, uint32_t capacity) {
    return atomic_load_explicit(&h->magic, memory_order_acquire) == KEPT_MAGIC && h->layout == KEPT_LAYOUT &&
           h->capacity == capacity && h->port_count <= MAX_PORTS;
}

/* Map a table of so many flows. The file must be long enough, or touching it would end the process. */
static inline int kept_map(struct kept *k, int fd, uint32_t capacity, int protection) {
    struct stat file;
    size_t size = kept_size(capacity);
    if (fstat(fd, &file) || (uint64_t)file.st_size < size) return 0;
    uint8_t *at = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return 0;
    *k = (struct kept){ .header = (struct kept_header *)at, .size = size };
    k->table = (struct table){ .slots = (struct slot *)(at + KEPT_PAGE), .capacity = capacity, .mask = kept_entries(capacity) - 1 };
    k->table.index = (table_entry *)(k->table.slots + capacity);
    k->generations = (uint8_t *)(k->table.index + k->table.mask + 1);
    memcpy(k->table.key, k->header->hash_key, sizeof k->table.key);
    return 1;
}

static inline void kept_unmap(struct kept *k) {
    if (k->header) munmap(k->header, k->size);
    k->header = NULL;
}

/* Zeros; whole pages as holes, so that what is not there takes no memory. */
static inline void kept_clear(void *from, void *to) {
    uintptr_t start = (uintptr_t)from, end = (uintptr_t)to;
    uintptr_t first = (start + KEPT_PAGE - 1) & -(uintptr_t)KEPT_PAGE, last = end & -(uintptr_t)KEPT_PAGE;
    if (first >= last || madvise((void *)first, last - first, MADV_REMOVE)) first = last = end;
    memset(from, 0, first - start);
    memset((void *)last, 0, end - last);
}

/* An empty table with random generations. 0 if there is no randomness. */
static inline int kept_format(struct kept *k) {
    struct kept_header *h = k->header;
    uint32_t capacity = k->table.capacity;
    atomic_store_explicit(&h->magic, 0, memory_order_release);
    kept_clear(h, (uint8_t *)h + k->size);
    for (size_t done = 0; done < capacity;) {
        ssize_t n = getrandom(k->generations + done, capacity - done, 0);
        if (n < 0) return 0;
        done += n;
    }
    if (getrandom(h->hash_key, sizeof h->hash_key, 0) != sizeof h->hash_key) return 0;
    memcpy(k->table.key, h->hash_key, sizeof k->table.key);
    h->layout = KEPT_LAYOUT;
    h->capacity = capacity;
    return 1;
}

/* Take over what an earlier owner left, and say how many flows that is. What goes: a torn slot, one of another
 * generation than its number has by now, one of a socket that is no more, and the second of two with one key. */
static inline uint32_t kept_recover(struct kept *k, const fp_endpoint *ports, uint32_t port_count, uint32_t now) {
    struct table *t = &k->table;
    struct kept_header *h = k->header;
    uint16_t port_of[MAX_PORTS];
    uint32_t installed = 0, used = kept_used(k), old_ports = h->port_count;
    for (uint32_t i = 0; i < old_ports; i++) {
        port_of[i] = NO_PORT;
        for (uint32_t j = 0; j < port_count; j++)
            if (!memcmp(&h->ports[i], &ports[j], sizeof *ports)) port_of[i] = j;
    }
    /* A death between the slots and the ports that they count would leave a lie: rather nothing, then. */
    if (old_ports != port_count || memcmp(h->ports, ports, port_count * sizeof *ports))
        atomic_store_explicit(&h->magic, 0, memory_order_release);
    kept_clear(t->slots + used, t->index + t->mask + 1);
    for (uint32_t i = 0; i < used; i++) {
        struct slot *s = &t->slots[i];
        int torn = atomic_load_explicit(&s->sequence, memory_order_relaxed) & 1, was = s->state;
        uint16_t port = s->port < old_ports ? port_of[s->port] : NO_PORT;
        slot_begin(s);
        s->state = SLOT_FREE;
        s->owed = 0;
        s->installed = 0;
        s->port = port;
        if (!torn && port != NO_PORT && (was == SLOT_TOMBSTONE || (was == SLOT_INSTALLED && s->generation == k->generations[i])) &&
            !table_find(t, &s->client, port, s->far, slot_hash(t, s))) {
            s->state = was;
            if ((int32_t)(now - s->seen) < 0) s->seen = now;
            s->owed = was == SLOT_INSTALLED;
            index_add(t, s);
            installed += s->owed;
        }
        slot_end(s);
    }
    memcpy(h->ports, ports, port_count * sizeof *ports);
    h->port_count = port_count;
    atomic_store_explicit(&h->used, used, memory_order_relaxed);
    atomic_store_explicit(&h->magic, KEPT_MAGIC, memory_order_release);
    return installed;
}
#endif
