/* One relay's native datapath: its state, and the few words of it that both its files use. */
#ifndef TANDEM_DATAPATH_H
#define TANDEM_DATAPATH_H
#include "address.h"
#include "link.h"
#include "pace.h"
#include "ring.h"
#include "siblings.h"
#include "thread.h"

#define BATCH 64            /* datagrams per recvmmsg on a public socket */
#define LINK_BATCH 8        /* link datagrams per recvmmsg, each of up to 64 KiB */
#define RETURN_BATCH 256    /* datagrams to clients per sendmmsg */
#define MAX_PAYLOAD 2048    /* workers/wire/link.py */
#define UPCALL_RING 1024    /* datagrams that wait in a ring of upcalls: workers/relay/datapath/base.py */
#define STRANGERS_MEDIA 512 /* from so many strangers on checks only */
#define RECORD_RING 4096
#define ENDED_RING 256      /* of these, when a label is given back that nobody waits for */
#define FLOW_UPCALLS 8      /* of one installed flow: no client crowds out another */
#define TICK_MS 100
#ifndef FLOW_MOST           /* tests have less, which is sooner reached */
#define FLOW_MOST 500       /* datagrams that a flow forwards in a tick: workers/relay/datapath/base.py */
#endif
#define TOMBSTONE_TICKS (30 * 1000 / TICK_MS)
#define SWEEP_MS 25         /* little and often, so that a million flows which end at once keep no datagram waiting */
#define REST_MS 200         /* between two looks at an empty table: nothing in it can fall silent */
#define SWEEP_SHARE 256     /* a sweep looks at this fraction of the table */
#define SWEEP_LEAST 256
#define SWEEP_MOST 1024     /* flows that one sweep takes out, which costs more than a look */
#define REMOVALS 16         /* routes and peers on their way through the table; further commands wait for them */
#ifndef REMOVAL_SHARE       /* tests have less, so that their small tables take many rounds, too */
#define REMOVAL_SHARE 16384 /* slots that a round looks at for them, and SWEEP_MOST flows that it takes out */
#endif
#define BALANCE 1024        /* link datagrams that say whether transceivers gather; then older ones count half */
#define TURNS 16            /* batches per socket until poll and clock get their turn */
#define RECORD_LAST_TYPE 6
#define ROUTED_PREFIX 43    /* of a record that names its client */

struct port { /* a public socket, and the datagrams on their way out of it */
    int fd, family, count;
    struct mmsghdr messages[RETURN_BATCH];
    struct iovec vectors[RETURN_BATCH];
    union name names[RETURN_BATCH];
};

struct leg { /* a link datagram in the making: all records of a batch for one transceiver, or one relay */
    fp_endpoint peer;
    uint32_t size;
    union name name;
    struct iovec vectors[2 * BATCH];
};

/* A route whose flows are taken out, little by little, or a peer whose flows are raised: those of the slots from `at`
 * to `end` that were installed before it was said. */
struct removal { int raises; uint16_t route[3]; fp_endpoint peer; uint32_t installed, at, end; };

struct fp {
    struct kept kept;
    uint32_t link_mtu, idle_ticks, sweep_at, now;
    uint32_t installed; /* so far; wraps */
    int removal_count;
    struct removal removals[REMOVALS]; /* the first is under way */
    uint64_t swept; /* when, in units of SWEEP_MS */
    struct density density;
    uint32_t asked, answered; /* link datagrams that left and came */
    int link, link_family, ingress, port_count, sibling_count, upcall_fd, wake_fd;
    struct thread thread;
    _Atomic int armed;
    struct ring records, known, strangers;
    struct commands commands;
    _Atomic uint8_t *waiting; /* datagrams in the ring, by slot */
    uint16_t *passed; /* datagrams forwarded in the tick when it was last seen, by slot */
    uint64_t counters[FP_COUNTERS];
    PUBLISHED(FP_COUNTERS) published;
    struct port *ports[MAX_PORTS];
    fp_endpoint locals[MAX_PORTS];
    struct sibling siblings[MAX_SIBLINGS];
    struct mmsghdr in[BATCH], out[BATCH], link_in[LINK_BATCH];
    struct iovec in_vectors[BATCH], link_vectors[LINK_BATCH];
    union name names[BATCH], link_names[LINK_BATCH];
    struct leg legs[BATCH];
    uint8_t heads[BATCH][RECORD_HEADER];
    uint8_t buffers[BATCH][MAX_PAYLOAD + 8]; /* one byte more than is served, so that a longer one shows */
    uint8_t link_buffers[LINK_BATCH][LINK_BUFFER];
};

static inline void count(fp *f, int which, uint64_t n) { f->counters[which] += n; }

static inline void publish(fp *f) { publish_all(&f->published.rounds, f->published.copies, f->counters, FP_COUNTERS); }

static inline uint64_t clock_ms(void) { return clock_ns() / 1000000; }
#endif
