/* load --fd N --target A:P --flows F --size S [--rate R | --window W] --seconds T [--prefix HEX]
 *
 * Sends from F source addresses 127.1.x.y of one wildcard socket (the source is chosen per datagram with
 * IP_PKTINFO), so that a thousand flows cost the load generator no thousand system calls; receives what comes
 * back and prints one JSON line: sent, received, latency p50 and p99 in microseconds.
 *
 * A datagram: prefix (4 bytes of ChannelData for TURN) | 0x80 | 0 | room for an index, 2 | 0, 4 | send time ns, 8 | ... */
#include "udp.h"

#define BUCKETS 200000
static uint32_t histogram[BUCKETS];

static double percentile(uint64_t total, double share) {
    uint64_t seen = 0;
    for (int i = 0; i < BUCKETS; i++) if ((seen += histogram[i]) >= total * share && seen) return i;
    return BUCKETS;
}

int main(int argc, char **argv) {
    int fd = -1, flows = 1000, size = 160, rate = 0, window = 1024, prefix_length = 0;
    double run = 2;
    uint8_t prefix[64];
    struct sockaddr_in target = { 0 };
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--fd")) fd = atoi(value);
        else if (!strcmp(name, "--target")) target = address_of(value);
        else if (!strcmp(name, "--flows")) flows = atoi(value);
        else if (!strcmp(name, "--size")) size = atoi(value);
        else if (!strcmp(name, "--rate")) rate = atoi(value);
        else if (!strcmp(name, "--window")) window = atoi(value);
        else if (!strcmp(name, "--seconds")) run = atof(value);
        else if (!strcmp(name, "--prefix"))
            for (; prefix_length < 64 && sscanf(value + 2 * prefix_length, "%2hhx", &prefix[prefix_length]) == 1;) prefix_length++;
    }
    end_with_parent();
    prctl(PR_SET_TIMERSLACK, 1); /* the default, 50 us, would make pairs of what is due one by one */
    if (fd < 0 || size < 16 || size + prefix_length > SMALL) { fprintf(stderr, "load: bad arguments\n"); return 64; }
    static uint8_t out[BATCH][SMALL], in[BATCH][SMALL];
    static struct mmsghdr sends[BATCH], receives[BATCH];
    static struct iovec send_vectors[BATCH], receive_vectors[BATCH];
    static _Alignas(8) char controls[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
    for (int i = 0; i < BATCH; i++) {
        memcpy(out[i], prefix, prefix_length);
        out[i][prefix_length] = 0x80;
        send_vectors[i] = (struct iovec){ out[i], size + prefix_length };
        receive_vectors[i] = (struct iovec){ in[i], SMALL };
        struct msghdr *head = &sends[i].msg_hdr;
        *head = (struct msghdr){ .msg_name = &target, .msg_namelen = sizeof target, .msg_iov = &send_vectors[i],
                                 .msg_iovlen = 1, .msg_control = controls[i], .msg_controllen = sizeof controls[i] };
        struct cmsghdr *control = CMSG_FIRSTHDR(head);
        control->cmsg_level = IPPROTO_IP;
        control->cmsg_type = IP_PKTINFO;
        control->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
        receives[i].msg_hdr = (struct msghdr){ .msg_iov = &receive_vectors[i], .msg_iovlen = 1 };
    }
    uint64_t sent = 0, received = 0, measured = 0;
    int64_t inflight = 0;
    int flow = 0;
    double start = seconds(), end = start + run, last = start;
    for (double now = start; now < end || (received < sent && now < last + 0.2 && now < end + 1); now = seconds()) {
        int due = 0;
        if (now < end) {
            if (rate) due = (int)((now - start) * rate - sent);
            else if (window > inflight) due = window - inflight > BATCH ? BATCH : (int)(window - inflight);
        }
        if (due > BATCH) due = BATCH;
        if (due > 0) {
            struct timespec t;
            clock_gettime(CLOCK_MONOTONIC, &t);
            uint64_t stamp = (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
            for (int i = 0; i < due; i++) {
                struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(0x7f010001 + flow) };
                flow = flow + 1 == flows ? 0 : flow + 1;
                memcpy(CMSG_DATA(CMSG_FIRSTHDR(&sends[i].msg_hdr)), &info, sizeof info);
                memcpy(out[i] + prefix_length + 8, &stamp, 8);
            }
            int n = sendmmsg(fd, sends, due, 0);
            if (n > 0) { sent += n; inflight += n; }
        }
        int n = recvmmsg(fd, receives, BATCH, MSG_DONTWAIT, NULL);
        if (n > 0) {
            struct timespec t;
            clock_gettime(CLOCK_MONOTONIC, &t);
            uint64_t arrival = (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec, stamp;
            for (int i = 0; i < n; i++) {
                if (receives[i].msg_len < (unsigned)(prefix_length + 16)) continue;
                memcpy(&stamp, in[i] + prefix_length + 8, 8);
                uint64_t us = (arrival - stamp) / 1000;
                histogram[us < BUCKETS ? us : BUCKETS - 1]++;
                measured++;
            }
            received += n;
            inflight -= n;
            last = seconds();
        } else if (due <= 0 || rate) {
            struct pollfd ready = { fd, POLLIN, 0 };
            double until_due = rate && now < end ? start + (sent + 1.0) / rate - seconds() : 0.002;
            struct timespec nap = { 0, until_due > 0 ? (long)(until_due * 1e9) : 0 };
            ppoll(&ready, 1, &nap, NULL);
            if (!rate && now - last > 0.1) inflight = 0; /* the rest was lost: go on */
        }
    }
    printf("{\"sent\": %lu, \"received\": %lu, \"p50_us\": %.0f, \"p99_us\": %.0f}\n", sent, received,
           percentile(measured, 0.5), percentile(measured, 0.99));
    return 0;
}
