/* What it costs to find the flow of a datagram: `lookup FLOWS`, in nanoseconds, with the relay's own table.
 *
 * Batches as they come from a socket under load, of clients in random order, made afresh in the same few cache lines
 * as the pump's are. The median batch: whatever else runs on the machine only makes some of them slower.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "../../workers/native/kept.h"

#define BATCH 64
#define ROUNDS 40000

static fp_endpoint client(uint32_t number) {
    fp_endpoint e = { .address = { [10] = 0xff, 0xff, 10, number >> 16, number >> 8, number }, .port = { number >> 12, number * 7 } };
    return e;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **arguments) {
    uint32_t flows = count > 1 ? atoi(arguments[1]) : 1000, seed = 1;
    int fd = memfd_create("flows", 0);
    struct kept kept;
    fp_endpoint port = { .port = { 1, 1 } }, asked[BATCH];
    if (ftruncate(fd, kept_size(flows)) || !kept_map(&kept, fd, flows, PROT_READ | PROT_WRITE) || !kept_format(&kept)) return 1;
    kept_recover(&kept, &port, 1, 0);
    for (uint32_t i = 0; i < flows; i++) {
        struct slot *s = &kept.table.slots[i];
        s->client = client(i);
        s->state = SLOT_INSTALLED;
        index_add(&kept.table, s);
    }
    static double took[ROUNDS];
    long found = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BATCH; i++) {
            seed = seed * 1664525 + 1013904223;
            asked[i] = client((uint32_t)((uint64_t)seed * flows >> 32));
        }
        double start = now();
        struct slot *slots[BATCH];
        table_find_all(&kept.table, asked, 0, BATCH, slots);
        for (int i = 0; i < BATCH; i++)
            if (slots[i]) found += slots[i]->state; /* as the pump does, which makes it pay for the slot */
        took[round] = (now() - start) / BATCH;
    }
    if (found != (long)BATCH * ROUNDS) return 1;
    qsort(took, ROUNDS, sizeof *took, by_size);
    printf("%.1f\n", took[ROUNDS / 2]);
    return 0;
}
