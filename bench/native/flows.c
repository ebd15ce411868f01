/* flows TARGET FIRST PPS CHECKS - clients that talk for as long as they are let, each from an address of its own.
 *
 * CHECKS has a line for each flow: a STUN check in hex, and the least and most milliseconds between two of them.
 * Flow n has the n-th address from FIRST on, all on one wildcard socket (IP_PKTINFO names it), and says its check
 * until that is answered. When all are, a line says `connected`, and each sends PPS datagrams a second, evenly.
 * SIGINT ends it: one JSON line with the times (CLOCK_MONOTONIC, s) at which media came back to each flow. */
#include "udp.h"

#define MOST 4096
#define LENGTH 160

struct flow { uint8_t check[256]; int length, least, most, answered; double due; uint32_t count, room; double *arrivals; };
static struct flow flows[MOST];
static uint8_t media[LENGTH], in[BATCH][SMALL];
static struct mmsghdr sends[BATCH], receives[BATCH];
static struct iovec send_vectors[BATCH], receive_vectors[BATCH];
static _Alignas(8) char controls[2][BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
static struct sockaddr_in target;
static uint32_t first;
static int fd, count, queued;
static volatile sig_atomic_t ended;

static void end(int number) { (void)number; ended = 1; }

static void flush(void) {
    send_all(fd, sends, queued);
    queued = 0;
}

static void queue(int flow, uint8_t *bytes, int length) {
    struct in_pktinfo from = { .ipi_spec_dst.s_addr = htonl(first + flow) };
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&sends[queued].msg_hdr)), &from, sizeof from);
    send_vectors[queued] = (struct iovec){ bytes, length };
    if (++queued == BATCH) flush();
}

static void receive(double now) {
    for (int n = BATCH; n == BATCH;) {
        for (int i = 0; i < BATCH; i++) receives[i].msg_hdr.msg_controllen = sizeof controls[1][i];
        n = recvmmsg(fd, receives, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
            struct in_pktinfo to;
            memcpy(&to, CMSG_DATA(CMSG_FIRSTHDR(&receives[i].msg_hdr)), sizeof to);
            uint32_t number = ntohl(to.ipi_addr.s_addr) - first;
            if (number >= (uint32_t)count) continue;
            struct flow *f = &flows[number];
            if (in[i][0] == 1 && in[i][1] == 1) f->answered = 1;
            if (in[i][0] != 0x80) continue;
            if (f->count == f->room) f->arrivals = realloc(f->arrivals, (f->room = f->room * 2 + 256) * sizeof *f->arrivals);
            f->arrivals[f->count++] = now;
        }
    }
}

/* The checks that are due. How many flows have never been answered. */
static int check(double now) {
    int strangers = 0;
    for (int i = 0; i < count; i++) {
        struct flow *f = &flows[i];
        strangers += !f->answered;
        if (now < f->due) continue;
        queue(i, f->check, f->length);
        double wait = f->answered ? f->least + (f->most - f->least) * drand48() : 300;
        f->due = now + wait / 1000;
    }
    flush();
    return strangers;
}

static void read_checks(const char *path) {
    FILE *file = fopen(path, "r");
    char hex[513];
    if (!file) { perror(path); exit(1); }
    for (struct flow *f = flows; count < MOST && fscanf(file, "%512s %d %d", hex, &f->least, &f->most) == 3; f = &flows[++count])
        for (; sscanf(hex + 2 * f->length, "%2hhx", &f->check[f->length]) == 1;) f->length++;
    fclose(file);
}

static void report(void) {
    printf("{\"arrivals\": [");
    for (int i = 0; i < count; i++) {
        printf(i ? ", [" : "[");
        for (uint32_t j = 0; j < flows[i].count; j++) printf(j ? ", %.4f" : "%.4f", flows[i].arrivals[j]);
        printf("]");
    }
    printf("]}\n");
}

int main(int argc, char **argv) {
    if (argc != 5) { fprintf(stderr, "flows TARGET FIRST PPS CHECKS\n"); return 64; }
    target = address_of(argv[1]);
    struct in_addr address;
    if (!inet_aton(argv[2], &address)) { fprintf(stderr, "%s is no address\n", argv[2]); return 64; }
    first = ntohl(address.s_addr);
    double step = 1 / atof(argv[3]);
    read_checks(argv[4]);
    end_with_parent();
    signal(SIGINT, end);
    fd = bound_to("0.0.0.0:0");
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &(int){ 1 }, sizeof(int));
    media[0] = 0x80;
    for (int i = 0; i < BATCH; i++) {
        struct msghdr *head = &sends[i].msg_hdr;
        *head = (struct msghdr){ .msg_name = &target, .msg_namelen = sizeof target, .msg_iov = &send_vectors[i],
                                 .msg_iovlen = 1, .msg_control = controls[0][i], .msg_controllen = sizeof controls[0][i] };
        struct cmsghdr *control = CMSG_FIRSTHDR(head);
        *control = (struct cmsghdr){ .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)) };
        receive_vectors[i] = (struct iovec){ in[i], SMALL };
        receives[i].msg_hdr = (struct msghdr){ .msg_iov = &receive_vectors[i], .msg_iovlen = 1, .msg_control = controls[1][i] };
    }
    while (!ended && check(seconds())) {
        poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 20);
        receive(seconds());
    }
    printf("connected\n");
    fflush(stdout);
    /* From here on the flows check at moments of their own, as clients do that know nothing of each other. */
    double start = seconds(), now = start, checked = start;
    for (int i = 0; i < count; i++) flows[i].due = start + flows[i].most / 1000.0 * drand48();
    for (uint64_t sent = 0; !ended; now = seconds()) {
        uint64_t due = (now - start) / step * count;
        if (due > sent + 4 * count) sent = due - 4 * count; /* we were stopped for long: nobody would send all that */
        for (; sent < due; sent++) queue(sent % count, media, sizeof media);
        flush();
        if (now - checked > 0.005) check(checked = now);
        receive(now);
        poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 1);
    }
    report();
    return 0;
}
