/* fill --file PATH --leave N --seconds S --idle I
 *
 * Makes the flow table of a relay that does not run full: all slots but N, each a copy of the first flow that is in it
 * under another client's address, and as old as that it falls silent after S seconds, where I make a flow silent.
 * Prints how many flows the table has. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "../../workers/native/kept.h"

#define TICKS 10 /* a second has */

int main(int argc, char **argv) {
    const char *path = "";
    uint32_t leave = 0, used, from;
    double seconds = 10, idle = 60;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--file")) path = argv[i + 1];
        else if (!strcmp(argv[i], "--leave")) leave = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--seconds")) seconds = atof(argv[i + 1]);
        else if (!strcmp(argv[i], "--idle")) idle = atof(argv[i + 1]);
    }
    struct kept_header header;
    struct kept kept;
    struct slot *like = NULL;
    struct timespec now;
    int fd = open(path, O_RDWR);
    if (fd < 0 || read(fd, &header, sizeof header) != sizeof header || !kept_fits(&header, header.capacity) ||
        !kept_map(&kept, fd, header.capacity, PROT_READ | PROT_WRITE)) {
        fprintf(stderr, "fill: %s is no flow table\n", path);
        return 64;
    }
    from = used = kept_used(&kept);
    for (uint32_t i = 0; i < used && !like; i++)
        if (kept.table.slots[i].state == SLOT_INSTALLED) like = &kept.table.slots[i];
    if (!like || header.capacity <= leave) {
        fprintf(stderr, "fill: there is no flow to copy, or no room\n");
        return 64;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint32_t seen = (uint32_t)(now.tv_sec * TICKS + now.tv_nsec / (1000000000 / TICKS) + (seconds - idle) * TICKS);
    for (used = header.capacity - leave; from < used; from++) {
        struct slot *s = &kept.table.slots[from];
        *s = (struct slot){ .state = SLOT_INSTALLED, .generation = kept.generations[from], .port = like->port,
                            .client = like->client, .peer = like->peer, .seen = seen, .owed = 1 };
        memcpy(s->route, like->route, sizeof s->route);
        uint32_t address = htonl(0x0a000000u + from); /* 10.0.0.0/8 */
        memcpy(s->client.address + 12, &address, 4);
    }
    atomic_store(&kept.header->used, used);
    printf("%u\n", used);
    return 0;
}
