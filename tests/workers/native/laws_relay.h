/* What holds of a native datapath, whatever came: fuzz.c and guided_relay.c ask after every round. */

/* Python's part: takes what waits. */
static void take_upcalls(fp *path, int ports) {
    static uint8_t taken[1 << 17];
    size_t end = fp_take(path, taken, sizeof taken), at = 0;
    while (at < end) {
        fp_upcall *u = (fp_upcall *)(taken + at);
        CHECK(u->size >= sizeof *u && u->size % 8 == 0 && sizeof *u + u->length <= u->size);
        CHECK(u->kind >= FP_UPCALL_DATAGRAM && u->kind <= FP_UPCALL_EXPIRED);
        CHECK(u->port < ports);
        at += u->size;
    }
    CHECK(at == end);
}

static void keeps_the_laws(fp *path, uint32_t capacity) {
    uint64_t n[FP_COUNTERS], dropped = 0, lost = 0;
    fp_counters(path, n);
    for (int i = FP_DROPPED_EMPTY; i <= FP_DROPPED_MALFORMED; i++) dropped += n[i];
    for (int i = FP_RECORDS_MALFORMED; i <= FP_RECORDS_NO_BUFFERS; i++) lost += n[i];
    CHECK(n[FP_RECEIVED] == n[FP_FORWARDED] + n[FP_UPCALLED] + dropped);
    CHECK(n[FP_RECORDS] == n[FP_RETURNED] + n[FP_RAISED] + lost);
    CHECK(n[FP_FLOWS] <= capacity);
}
