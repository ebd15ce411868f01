/* echo ADDRESS:PORT | echo --link FD -- the back end of the bench: sends every datagram back to where it came
 * from, in batches.
 *
 * --link: the back end of Tandem, on a transceiver's link socket. A link datagram of DATA goes back whole: its
 * labels are the same both ways. An INTRO is answered with a bare success response, assured: docs/wire.md 2. */
#include "udp.h"

#define RECORD_HEADER 8
#define INTRO 2
#define INTRO_HEADER 37 /* transport, client and local address with their ports */

/* Answers in place. Set-up only: a check has its packet to itself, or shares it with other checks. */
static uint32_t answer(uint8_t *bytes, uint32_t length) {
    static uint8_t answers[LARGE];
    uint32_t size = 0;
    for (uint32_t at = 0, record; at + RECORD_HEADER <= length; at += record) {
        uint8_t *head = bytes + at, *check = head + RECORD_HEADER + INTRO_HEADER, *to = answers + size;
        record = RECORD_HEADER + (head[2] << 8 | head[3]);
        if (at + record > length) break;
        if (head[0] != INTRO || record < RECORD_HEADER + INTRO_HEADER + 20) continue;
        memcpy(to, (uint8_t[]){ 1, 1, 0, 20 }, 4); /* DATA, ASSURED, 20 bytes */
        memcpy(to + 4, head + 4, 4);                /* the label */
        memcpy(to + 8, check, 20);
        memcpy(to + 8, (uint8_t[]){ 1, 1, 0, 0 }, 4); /* a success response without attributes */
        size += RECORD_HEADER + 20;
    }
    memcpy(bytes, answers, size);
    return size;
}

int main(int argc, char **argv) {
    int link = argc > 2 && !strcmp(argv[1], "--link");
    end_with_parent();
    int fd = link ? atoi(argv[2]) : bound_to(argc > 1 ? argv[1] : "127.0.0.1:0");
    static uint8_t bytes[BATCH][LARGE];
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    static struct sockaddr_storage names[BATCH];
    give_room(fd);
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
        for (int i = 0; i < n; i++) {
            vectors[i].iov_len = messages[i].msg_len;
            if (link && bytes[i][0] == INTRO) vectors[i].iov_len = answer(bytes[i], messages[i].msg_len);
        }
        send_all(fd, messages, n);
    }
}
