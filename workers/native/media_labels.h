/* Which stream a link label is: a hash table with linear probing, 8 bytes an entry. Removal moves later entries up,
 * so there are no tombstones and no upkeep. Labels are given out by relays, which are trusted: no secret key. */
#ifndef TANDEM_MEDIA_LABELS_H
#define TANDEM_MEDIA_LABELS_H
#include <stdint.h>

#define MAX_LABELS 32 /* of one stream: workers/transceiver/core/labels.py */
#define LABEL_BITS 32
#define NEWS_BIT (1ull << 40)
#define STREAM_SHIFT 41 /* label 32 | peer 8 | news 1 | stream + 1, 23 */
#define KEY_MASK (NEWS_BIT - 1)
#define MOST_STREAMS ((1u << 23) - 2)

typedef uint64_t binding; /* news: no MediaSeen has gone up yet */

struct labels { binding *entries; uint32_t mask; };

static inline uint64_t label_key(uint32_t label, uint32_t peer) { return (uint64_t)peer << LABEL_BITS | label; }
static inline uint32_t bound_stream(binding b) { return (uint32_t)(b >> STREAM_SHIFT) - 1; }

static inline uint32_t label_home(const struct labels *t, uint64_t key) {
    key *= 0x9e3779b97f4a7c15ull;
    return (uint32_t)(key >> 32) & t->mask;
}

static inline binding *label_find(const struct labels *t, uint64_t key) {
    for (uint32_t i = label_home(t, key); t->entries[i]; i = (i + 1) & t->mask)
        if ((t->entries[i] & KEY_MASK) == key) return &t->entries[i];
    return NULL;
}

/* There is always room: the table has two entries for each label that all streams together may have. */
static inline void label_put(struct labels *t, uint64_t key, uint32_t stream) {
    uint32_t i = label_home(t, key);
    while (t->entries[i] && (t->entries[i] & KEY_MASK) != key) i = (i + 1) & t->mask;
    t->entries[i] = key | NEWS_BIT | (uint64_t)(stream + 1) << STREAM_SHIFT;
}

static inline void label_remove(struct labels *t, uint64_t key) {
    binding *found = label_find(t, key);
    if (!found) return;
    uint32_t hole = (uint32_t)(found - t->entries);
    for (uint32_t i = (hole + 1) & t->mask; t->entries[i]; i = (i + 1) & t->mask) {
        uint32_t home = label_home(t, t->entries[i] & KEY_MASK);
        if (((i - home) & t->mask) < ((i - hole) & t->mask)) continue; /* it would come to stand before its home */
        t->entries[hole] = t->entries[i];
        hole = i;
    }
    t->entries[hole] = 0;
}
#endif
