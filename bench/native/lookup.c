/* What it costs to find the flow of a datagram: `lookup FLOWS`, in nanoseconds, with the relay's own table.
 *
 * Batches as they come from a socket under load, of clients in random order. The best of some rounds: whatever else
 * runs on the machine only adds.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "../../workers/native/kept.h"

#define BATCH 64
#define LOOKUPS (1 << 21)
#define ROUNDS 9

static fp_endpoint client(uint32_t number) {
    fp_endpoint e = { .address = { [10] = 0xff, 0xff, 10, number >> 16, number >> 8, number }, .port = { number >> 12, number * 7 } };
    return e;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int count, char **arguments) {
    uint32_t flows = count > 1 ? atoi(arguments[1]) : 1000, seed = 1;
    int fd = memfd_create("flows", 0);
    struct kept kept;
    fp_endpoint port = { .port = { 1, 1 } }, *asked = malloc(LOOKUPS * sizeof *asked);
    if (!asked || ftruncate(fd, kept_size(flows)) || !kept_map(&kept, fd, flows, PROT_READ | PROT_WRITE) || !kept_format(&kept)) return 1;
    kept_recover(&kept, &port, 1, 0);
    for (uint32_t i = 0; i < flows; i++) {
        struct slot *s = &kept.table.slots[i];
        s->client = client(i);
        s->state = SLOT_INSTALLED;
        index_add(&kept.table, s);
    }
    for (int i = 0; i < LOOKUPS; i++) {
        seed = seed * 1664525 + 1013904223;
        asked[i] = client((uint32_t)((uint64_t)seed * flows >> 32));
    }
    double best = 1e18;
    long found = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        for (int i = 0; i < LOOKUPS; i += BATCH) {
            struct slot *slots[BATCH];
            table_find_all(&kept.table, asked + i, 0, BATCH, slots);
            for (int j = 0; j < BATCH; j++)
                if (slots[j]) found += slots[j]->state; /* as the pump does, which makes it pay for the slot */
        }
        double took = (now() - start) / LOOKUPS;
        if (took < best) best = took;
    }
    if (found != (long)LOOKUPS * ROUNDS) return 1;
    printf("%.1f\n", best);
    return 0;
}
