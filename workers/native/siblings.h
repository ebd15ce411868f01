/* Other relays' tables, read only: who has the flow of a client that came to us?
 *
 * Python's thread asks, and only for media of strangers. A sibling writes meanwhile, may not have started yet, or
 * may have started anew with another layout: so nothing that is read is used before it is checked, and a flow
 * counts only if its sequence stood still while it was copied. A wrong "no" costs one datagram.
 */
#ifndef TANDEM_SIBLINGS_H
#define TANDEM_SIBLINGS_H
#include <unistd.h>
#include "kept.h"

#define MAX_SIBLINGS 255
#define SIBLING_PROBES 256

struct sibling { int fd; struct kept kept; };

/* Map it as its header says; again if that has changed. */
static inline int sibling_open(struct sibling *s) {
    struct kept_header h;
    if (s->kept.header && kept_fits(s->kept.header, s->kept.table.capacity)) {
        memcpy(s->kept.table.key, s->kept.header->hash_key, sizeof s->kept.table.key);
        return 1;
    }
    kept_unmap(&s->kept);
    return pread(s->fd, &h, sizeof h, 0) == (ssize_t)sizeof h && h.capacity && h.capacity < 1u << 24 &&
           kept_fits(&h, h.capacity) && kept_map(&s->kept, s->fd, h.capacity, PROT_READ);
}

/* The number of the slot, copied to `found`, and one more; 0 if there is none. */
static inline uint32_t sibling_find(struct sibling *sibling, const fp_endpoint *client, const fp_endpoint *local, struct slot *found) {
    if (!sibling_open(sibling)) return 0;
    const struct table *t = &sibling->kept.table;
    const struct kept_header *h = sibling->kept.header;
    uint32_t port = 0, ports = h->port_count < MAX_PORTS ? h->port_count : MAX_PORTS;
    while (port < ports && memcmp(&h->ports[port], local, sizeof *local)) port++;
    if (port == ports) return 0;
    uint64_t hash = table_hash(t, client, port, 0);
    uint32_t entry;
    for (size_t i = hash; i - hash < SIBLING_PROBES && (entry = entry_at(t, i)); i++) {
        uint32_t number = (entry & ENTRY_SLOT) - 1;
        if (entry >> 24 != hash >> 56 || number >= t->capacity) continue;
        if (!slot_copy(&t->slots[number], found)) continue;
        if (found->state == SLOT_INSTALLED && found->port == port && !memcmp(&found->client, client, sizeof *client)) return number + 1;
    }
    return 0;
}
#endif
