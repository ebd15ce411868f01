/* The native datapath under sanitizers: random datagrams, link records, commands and table contents.
 *
 *     fuzz SEED ROUNDS          deterministic, in one thread; the laws of conservation hold after every round
 *     fuzz SEED ROUNDS thread   with the datapath's own thread beside this one, for ThreadSanitizer
 *
 * Every so often the datapath dies and another one starts on its table: intact, damaged in a few bytes, or full of
 * noise behind a good header. A third one, its sibling, reads the same memory all the while.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../../workers/native/datapath.h"

#define CAPACITY 40
#define CLIENTS 12
#define TRANSCEIVERS 3
#define PORTS 3             /* the last is for Global Relays */
#define INGRESS (PORTS - 1)
#define CHECK(what) do { if (!(what)) { fprintf(stderr, "round %ld: %s\n", round_, #what); abort(); } } while (0)

static uint64_t state;
static long round_;
static int table, public[PORTS], link_, clients[PORTS][CLIENTS], transceivers[TRANSCEIVERS], threaded;
static fp *path, *sibling;

#include "laws_relay.h"

static uint32_t roll(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % below;
}

static void noise(uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = roll(256);
}

static int udp(int family) {
    union name name = { 0 };
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 1 << 22;
    socklen_t length = family == AF_INET ? sizeof name.v4 : sizeof name.v6;
    name.any.sa_family = family;
    if (family == AF_INET) name.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else name.v6.sin6_addr = in6addr_loopback;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    CHECK(!bind(fd, &name.any, length));
    return fd;
}

static void say(int from, int to, const void *data, size_t n) {
    union name name;
    socklen_t length = sizeof name;
    getsockname(to, &name.any, &length);
    (void)!sendto(from, data, n, MSG_DONTWAIT, &name.any, length);
}

static void hush(int fd) {
    uint8_t byte;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0) {}
}

static int add_port(fp *f, int i) {
    fp_endpoint local;
    CHECK(bound_to(public[i], &local) > 0);
    return fp_add_port(f, public[i], (const uint8_t *)&local);
}

static fp *start(void) {
    fp *f = fp_open(table, CAPACITY, 1280 + roll(4000), 60);
    CHECK(f);
    for (int i = 0; i < PORTS; i++) CHECK(add_port(f, i) == i);
    CHECK(fp_set_link(f, link_) == 0);
    fp_set_ingress(f, INGRESS);
    CHECK(fp_recover(f) <= CAPACITY);
    uint32_t labels[CAPACITY];
    fp_way ways[4];
    CHECK(fp_labels(f, labels) <= CAPACITY);
    CHECK(fp_ways(f, ways, 4) <= 4);
    if (threaded) CHECK(!fp_start(f, -1));
    return f;
}

static void damage(void) {
    size_t size = fp_table_size(CAPACITY);
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, table, 0);
    struct kept_header *h = (struct kept_header *)memory;
    uint32_t how = roll(4);
    if (how == 1) for (uint32_t n = roll(100); n; n--) memory[roll(size)] = roll(256);
    if (how == 2) noise(memory + sizeof *h, size - sizeof *h);
    if (how >= 2) {
        h->port_count = roll(4);
        h->used = roll(2 * CAPACITY);
        for (int i = 0; i < CAPACITY; i++) {
            struct slot *s = &((struct slot *)(memory + KEPT_PAGE))[i];
            s->sequence = roll(8) ? 0 : 1;
            s->state = roll(4);
            s->port = roll(4);
            s->far = roll(3);
            if (how == 3) s->generation = memory[size - CAPACITY + i];
        }
    }
    munmap(memory, size);
}

static void fill_endpoint(fp_endpoint *to, int fd) {
    if (roll(8)) bound_to(fd, to);
    else noise((uint8_t *)to, sizeof *to);
}

static void command(void) {
    fp_command c = { .kind = roll(8) ? FP_INSTALL + roll(5) : roll(9), .port = roll(PORTS + 1) };
    c.label = roll(10) ? roll(CAPACITY + 2) << 8 | roll(3) : roll(1u << 31);
    c.route[1] = roll(3);
    if (c.port == INGRESS) c.far = roll(6);
    fill_endpoint(&c.client, clients[c.port % PORTS][roll(CLIENTS)]);
    fill_endpoint(&c.peer, transceivers[roll(TRANSCEIVERS)]);
    fp_command_push(path, &c);
}

static void from_client(void) {
    static const uint8_t firsts[] = { 0, 1, 20, 22, 63, 128, 191, 255 };
    static const uint16_t sizes[] = { 0, 1, 2, 12, 160, 1200, 2047, 2048, 2049, 2056, 9000 };
    uint8_t data[9000];
    int port = roll(INGRESS);
    size_t n = sizes[roll(sizeof sizes / sizeof *sizes)];
    if (n) data[0] = firsts[roll(sizeof firsts)];
    memset(data + 1, 7, sizeof data - 1);
    say(clients[port][roll(CLIENTS)], public[port], data, n);
}

/* Records to the link socket, or to the one for Global Relays. */
static void from_relative(int from, int to, uint32_t labels, int shift) {
    static uint8_t data[65507];
    size_t n = 0;
    for (uint32_t records = roll(6); records && n < 60000; records--) {
        uint32_t length = roll(20) ? roll(300) : roll(5000), label = roll(labels) << shift | roll(3);
        if (!roll(200)) length = sizeof data - n - RECORD_HEADER;
        uint8_t head[] = { roll(12) ? 1 : roll(8), roll(4), length >> 8, length, label >> 24, label >> 16, label >> 8, label };
        memcpy(data + n, head, sizeof head);
        n += sizeof head;
        n += length < sizeof data - n ? length : 0;
    }
    if (!roll(4)) n += roll(12);
    if (!roll(10)) noise(data, n < 64 ? n : 64);
    say(from, to, data, n < sizeof data ? n : sizeof data);
}

static void from_transceiver(void) { from_relative(transceivers[roll(TRANSCEIVERS)], link_, CAPACITY + 1, 8); }

static void from_global(void) { from_relative(clients[INGRESS][roll(CLIENTS)], public[INGRESS], 2, 1); }

int main(int count, char **arguments) {
    state = count > 1 ? strtoull(arguments[1], NULL, 10) * 0x9e3779b97f4a7c15ull + 1 : 1;
    long rounds = count > 2 ? atol(arguments[2]) : 20000;
    threaded = count > 3;
    table = memfd_create("flows", MFD_CLOEXEC);
    CHECK(!ftruncate(table, fp_table_size(CAPACITY)));
    for (int i = 0; i < PORTS; i++) {
        public[i] = udp(i == 1 ? AF_INET6 : AF_INET);
        for (int j = 0; j < CLIENTS; j++) clients[i][j] = udp(i == 1 ? AF_INET6 : AF_INET);
    }
    link_ = udp(AF_INET);
    for (int i = 0; i < TRANSCEIVERS; i++) transceivers[i] = udp(AF_INET);
    path = start();
    sibling = fp_open(table, CAPACITY, 1280, 60);
    CHECK(sibling && !add_port(sibling, 0) && !fp_add_sibling(sibling, table));
    uint64_t now = 1000000;
    for (round_ = 0; round_ < rounds; round_++) {
        for (uint32_t n = roll(12); n; n--) command();
        for (uint32_t n = roll(40); n; n--) roll(3) ? from_client() : roll(2) ? from_transceiver() : from_global();
        if (!roll(3)) now += roll(20000);
        if (!threaded) fp_pump(path, now, roll(2 << PORTS));
        if (roll(3)) take_upcalls(path, PORTS);
        if (!roll(20)) for (int i = 0; i < PORTS * CLIENTS; i++) hush(clients[i % PORTS][i / PORTS]);
        if (!roll(20)) for (int i = 0; i < TRANSCEIVERS; i++) hush(transceivers[i]);
        fp_endpoint asked;
        uint16_t route[3];
        fill_endpoint(&asked, clients[0][roll(CLIENTS)]);
        fp_ask_siblings(sibling, (const uint8_t *)&asked, 0, route);
        keeps_the_laws(path, CAPACITY);
        if (!roll(60)) {
            fp_close(path);
            if (!threaded || roll(2)) damage();
            path = start();
        }
    }
    fp_close(path);
    fp_close(sibling);
    printf("%ld rounds\n", round_);
    return 0;
}
