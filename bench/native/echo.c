/* echo ADDRESS:PORT | echo --link FD -- the back end of the bench: sends every datagram back to where it came
 * from, in batches.
 *
 * --link: the back end of Tandem, on a transceiver's link socket. A link datagram of DATA goes back whole: its
 * labels are the same both ways. An INTRO is answered with a bare success response, or with its media if the
 * relay has recovered their flow, assured: docs/wire.md 2. */
#include "udp.h"

#define RECORD_HEADER 8
#define INTRO 2
#define INTRO_HEADER 37 /* transport, client and local address with their ports */

static uint32_t size_of(const uint8_t *head) { return RECORD_HEADER + (head[2] << 8 | head[3]); }

static int has_intro(const uint8_t *bytes, uint32_t length) {
    for (uint32_t at = 0; at + RECORD_HEADER <= length; at += size_of(bytes + at))
        if (bytes[at] == INTRO) return 1;
    return 0;
}

/* Answers in place: a check is answered, the media of a recovered flow go back, and so do the others' DATA. */
static uint32_t answer(uint8_t *bytes, uint32_t length) {
    static uint8_t answers[LARGE];
    uint32_t size = 0;
    for (uint32_t at = 0, record; at + RECORD_HEADER <= length; at += record) {
        uint8_t *head = bytes + at, *payload = head + RECORD_HEADER + INTRO_HEADER, *to = answers + size;
        record = size_of(head);
        if (at + record > length) break;
        if (head[0] != INTRO) {
            memcpy(to, head, record);
            size += record;
            continue;
        }
        if (record < RECORD_HEADER + INTRO_HEADER + 20) continue;
        uint32_t back = record - RECORD_HEADER - INTRO_HEADER;
        int is_check = payload[0] < 2;
        if (is_check) back = 20;
        memcpy(to, (uint8_t[]){ 1, 1, back >> 8, back }, 4); /* DATA, ASSURED */
        memcpy(to + 4, head + 4, 4);                          /* the label */
        memcpy(to + 8, payload, back);
        if (is_check) memcpy(to + 8, (uint8_t[]){ 1, 1, 0, 0 }, 4); /* a success response without attributes */
        size += RECORD_HEADER + back;
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
            if (link && has_intro(bytes[i], messages[i].msg_len)) vectors[i].iov_len = answer(bytes[i], messages[i].msg_len);
        }
        send_all(fd, messages, n);
    }
}
