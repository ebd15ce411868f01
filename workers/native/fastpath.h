/* The relay's native datapath. workers/relay/datapath/base.py says what it does; fastpath.c how.
 * cffi reads it without the preprocessor's lines, so it holds declarations only. */
#ifndef TANDEM_FASTPATH_H
#define TANDEM_FASTPATH_H
#include <stddef.h>
#include <stdint.h>

/* Where datagrams and records ended, in the order of `_COUNTERS` in workers/relay/datapath/native.py. */
enum {
    FP_RECEIVED, FP_FORWARDED, FP_UPCALLED,
    FP_DROPPED_EMPTY, FP_DROPPED_OVERSIZE, FP_DROPPED_TOMBSTONE, FP_DROPPED_UPCALLS_FULL, FP_DROPPED_FLOW_LIMIT,
    FP_DROPPED_WOULD_BLOCK, FP_DROPPED_REFUSED, FP_DROPPED_UNREACHABLE, FP_DROPPED_TOO_BIG, FP_DROPPED_NO_BUFFERS,
    FP_DROPPED_MALFORMED,
    FP_RECORDS, FP_RETURNED, FP_RAISED,
    FP_RECORDS_MALFORMED, FP_RECORDS_QUEUE_FULL,
    FP_RECORDS_WOULD_BLOCK, FP_RECORDS_REFUSED, FP_RECORDS_UNREACHABLE, FP_RECORDS_TOO_BIG, FP_RECORDS_NO_BUFFERS,
    FP_FLOWS,
    FP_COUNTERS
};

enum { FP_UPCALL_DATAGRAM = 1, FP_UPCALL_RECORD = 2, FP_UPCALL_EXPIRED = 3 };
enum { FP_INSTALL = 1, FP_REMOVE = 2, FP_REMOVE_ROUTE = 3, FP_RAISE = 4, FP_RAISE_PEER = 5 };

/* An address as on the link: IPv4 is v4-mapped; the port is big-endian. */
typedef struct { uint8_t address[16]; uint8_t port[2]; } fp_endpoint;

typedef struct {
    uint32_t kind;
    uint32_t label;         /* slot << 8 | generation */
    uint32_t far;           /* label of a Global Relay, on the port for them */
    uint16_t route[3];      /* cluster, transceiver, epoch */
    uint16_t port;          /* index of the public socket */
    fp_endpoint client;     /* or link address of the Global Relay */
    fp_endpoint peer;       /* link address of the transceiver, or of a cluster's relay */
} fp_command;

/* An entry of an upcall ring; `length` bytes of datagram or record payload follow. */
typedef struct {
    uint32_t size;          /* of the whole entry, a multiple of 8; 0: the ring goes on at its start */
    uint32_t label;         /* of the record, or of the flow if `known` */
    uint32_t far;           /* label of a Global Relay */
    uint16_t length;
    uint16_t route[3];
    uint16_t port;
    uint8_t kind;
    uint8_t known;          /* an installed flow has that source (datagram), or that label and peer (record) */
    uint8_t record_type;
    uint8_t record_flags;
    fp_endpoint from;       /* client, or link peer */
    fp_endpoint other;      /* if `known`, the other end of the flow */
} fp_upcall;

typedef struct { uint16_t route[3]; fp_endpoint peer; } fp_way;

/* An installed flow, for who looks at the table. */
typedef struct {
    uint32_t label;
    uint32_t seen;          /* the client's last datagram: CLOCK_MONOTONIC in units of 1/10 s */
    uint16_t route[3];
    uint16_t port;
    uint32_t far;           /* label of a Global Relay, on the port for them */
    fp_endpoint client, peer;
} fp_flow;

typedef struct fp fp;

size_t fp_table_size(uint32_t capacity);
fp *fp_open(int table_fd, uint32_t capacity, uint32_t link_mtu, uint32_t idle_seconds);
int fp_add_port(fp *f, int fd, const uint8_t local[18]);
int fp_set_link(fp *f, int fd);
void fp_set_ingress(fp *f, int port);
int fp_add_sibling(fp *f, int fd);
int64_t fp_recover(fp *f);
size_t fp_labels(fp *f, uint32_t *out);
size_t fp_ways(fp *f, fp_way *out, size_t room);
uint8_t *fp_generations(fp *f);
uint32_t *fp_used(fp *f);
int fp_start(fp *f, int cpu);
void fp_stop(fp *f);
void fp_close(fp *f);
void fp_pump(fp *f, uint64_t now_ms, uint64_t ready);
int64_t fp_rest(fp *f, int64_t now_ns);
int fp_upcall_fd(fp *f);
int fp_command_push(fp *f, const fp_command *command);
size_t fp_take(fp *f, uint8_t *out, size_t room);
int fp_ask_siblings(fp *f, const uint8_t client[18], int port, uint16_t route[3]);
uint32_t fp_look(fp *f, uint32_t from, uint32_t slots, fp_flow *out, uint32_t *count);
int fp_find(fp *f, const uint8_t client[18], int port, fp_flow *out);
void fp_counters(fp *f, uint64_t *out);
#endif
