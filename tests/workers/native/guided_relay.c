/* The native datapath under libFuzzer: one thread, one input, the laws after every round.
 *
 * Beside memory errors it finds: a datagram that leaves for where no command said, and more bytes out than came in.
 */
#define _GNU_SOURCE
#include "kernel.h"
#include "../../../workers/native/fastpath.c"
#include "../../../workers/native/life.c"
#include "laws_relay.h"

#define CAPACITY 40
#define CLIENTS 16
#define PORTS 3 /* the last is for Global Relays */
#define INGRESS (PORTS - 1)
#define TRANSCEIVER 64 /* hosts from here on have link sockets */

static int table = -1, damaged;
static fp *path, *sibling;
static uint64_t records; /* each has a header of its own on the way in */

static void left(int fd, const union pretended *to) {
    uint8_t host = fd == PUBLIC + 1 ? to->v6.sin6_addr.s6_addr[15] : ntohl(to->v4.sin_addr.s_addr);
    CHECK(damaged || (fd == LINK ? host >= TRANSCEIVER : host < TRANSCEIVER));
}

static void endpoint_of(fp_endpoint *to, int family, uint8_t host, uint8_t port) {
    union name name;
    name_of((union pretended *)&name, family, host, port);
    read_name(to, &name);
}

static void begin(void) {
    path = fp_open(table, CAPACITY, 1280, 60);
    CHECK(path);
    for (int i = 0; i < PORTS; i++) {
        fp_endpoint local;
        CHECK(bound_to(PUBLIC + i, &local) > 0 && fp_add_port(path, PUBLIC + i, (const uint8_t *)&local) == i);
    }
    CHECK(fp_set_link(path, LINK) == 0);
    fp_set_ingress(path, INGRESS);
    CHECK(fp_recover(path) <= CAPACITY);
    uint32_t labels[CAPACITY];
    fp_way ways[4];
    CHECK(fp_labels(path, labels) <= CAPACITY && fp_ways(path, ways, 4) <= 4);
}

static void tell(const struct operation *o) {
    fp_command c = { .kind = byte_at(o, 0), .port = byte_at(o, 1) % (PORTS + 1), .far = byte_at(o, 2) };
    c.label = (uint32_t)byte_at(o, 3) << 8 | byte_at(o, 4);
    if (o->who & 1) c.label |= (uint32_t)byte_at(o, 9) << 16; /* no such slot */
    c.route[1] = byte_at(o, 5);
    endpoint_of(&c.client, c.port == 1 ? AF_INET6 : AF_INET, byte_at(o, 6) % CLIENTS, byte_at(o, 7));
    endpoint_of(&c.peer, AF_INET, TRANSCEIVER + byte_at(o, 8) % 4, 0);
    fp_command_push(path, &c);
}

static void damage(const struct operation *o) {
    size_t size = fp_table_size(CAPACITY), at = (byte_at(o, 0) | (size_t)byte_at(o, 1) << 8) % size;
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, table, 0);
    for (uint32_t i = 2; i < o->length && at < size; i++) memory[at++] = o->bytes[i];
    damaged |= o->length > 2;
    munmap(memory, size);
}

static void look(const struct operation *o) {
    fp_endpoint from;
    fp_flow flows[CAPACITY];
    uint32_t count, next;
    uint16_t route[3];
    endpoint_of(&from, AF_INET, byte_at(o, 0) % CLIENTS, byte_at(o, 1));
    fp_ask_siblings(sibling, (const uint8_t *)&from, 0, route);
    fp_find(path, (const uint8_t *)&from, byte_at(o, 2) % PORTS, flows);
    next = fp_look(path, byte_at(o, 3), 1 + byte_at(o, 4) % CAPACITY, flows, &count);
    CHECK(next <= CAPACITY && count <= CAPACITY);
}

static void carry(const struct operation *o) {
    uint64_t n[FP_COUNTERS];
    switch (o->what % 8) {
    case 0: case 1: arrive(PUBLIC + o->what % 2, o->who % CLIENTS, o->who / CLIENTS, o->bytes, o->length); break;
    case 2: arrive(PUBLIC + INGRESS, o->who % CLIENTS, o->who / CLIENTS, o->bytes, o->length); break;
    case 3: arrive(LINK, TRANSCEIVER + o->who % 4, 0, o->bytes, o->length); break;
    case 4: tell(o); break;
    case 5:
        failing = byte_at(o, 2);
        pretended_ns += 1000000ll * (byte_at(o, 0) | byte_at(o, 1) << 8);
        fp_pump(path, clock_ms(), o->who ? o->who : (2 << PORTS) - 1);
        keeps_the_laws(path, CAPACITY);
        break;
    case 6:
        if (o->who % 4) take_upcalls(path, PORTS);
        else look(o);
        break;
    case 7:
        fp_counters(path, n);
        records += n[FP_RECEIVED];
        fp_close(path);
        if (o->who & 1) damage(o);
        begin();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct operation o;
    uint64_t n[FP_COUNTERS];
    if (table < 0) table = memfd_create("flows", MFD_CLOEXEC);
    CHECK(!ftruncate(table, 0) && !ftruncate(table, fp_table_size(CAPACITY)));
    forget_all();
    damaged = records = 0;
    begin();
    sibling = fp_open(table, CAPACITY, 1280, 60);
    fp_endpoint local;
    CHECK(sibling && bound_to(PUBLIC, &local) > 0 && !fp_add_port(sibling, PUBLIC, (const uint8_t *)&local));
    CHECK(!fp_add_sibling(sibling, table));
    while (next_operation(&data, &size, &o)) carry(&o);
    failing = 0;
    fp_pump(path, clock_ms(), (2 << PORTS) - 1);
    take_upcalls(path, PORTS);
    keeps_the_laws(path, CAPACITY);
    fp_counters(path, n);
    CHECK(bytes_out[0] <= bytes_in[1] + RECORD_HEADER * (records + n[FP_RECEIVED]));
    CHECK(bytes_out[1] <= bytes_in[0]);
    fp_close(path);
    fp_close(sibling);
    forget_all();
    return 0;
}
