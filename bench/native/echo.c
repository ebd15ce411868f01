/* echo ADDRESS:PORT | echo --fd N -- the back end of the bench: sends every datagram back to where it came
 * from, in batches. A link datagram with many records goes back whole: the labels are the same both ways. */
#include "udp.h"

int main(int argc, char **argv) {
    int fd = argc > 2 && !strcmp(argv[1], "--fd") ? atoi(argv[2]) : bound_to(argc > 1 ? argv[1] : "127.0.0.1:0");
    static uint8_t bytes[BATCH][LARGE];
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    static struct sockaddr_storage names[BATCH];
    say_address(fd);
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){ bytes[i], LARGE };
            messages[i].msg_hdr = (struct msghdr){ .msg_name = &names[i], .msg_namelen = sizeof names[i],
                                                   .msg_iov = &vectors[i], .msg_iovlen = 1 };
        }
        struct pollfd ready = { fd, POLLIN, 0 };
        int n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        if (n <= 0) { poll(&ready, 1, 1000); continue; }
        for (int i = 0; i < n; i++) vectors[i].iov_len = messages[i].msg_len;
        for (int sent = 0; sent < n;) {
            int more = sendmmsg(fd, messages + sent, n - sent, 0);
            sent += more > 0 ? more : 1;
        }
    }
}
