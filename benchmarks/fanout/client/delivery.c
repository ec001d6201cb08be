/* What a message does that has come. */
#include "load.h"

#include <string.h>

static const char begin[] = "~fan:";

/* Note the number; return whether it is the first time on this stream. */
static int is_new(struct stream *s, uint64_t number) {
    if (number > s->last) {
        uint64_t ahead = number - s->last;
        /* A gap is what leaves the 64 last ones without having been seen. */
        if (ahead < 64) {
            uint64_t leaving = s->seen >> (64 - ahead);
            counters.gaps += ahead - (uint64_t)__builtin_popcountll(leaving);
            s->seen = s->seen << ahead | 1;
        } else {
            counters.gaps += ahead - (uint64_t)__builtin_popcountll(s->seen);
            s->seen = 1;
        }
        s->last = number;
        return 1;
    }
    uint64_t behind = s->last - number;
    if (options.twin && behind < 64 && s->seen >> behind & 1) {
        counters.twins++;
        return 0;
    }
    if (behind >= 64 || s->seen >> behind & 1) {
        counters.doubles++;
        return 0;
    }
    s->seen |= 1ULL << behind;
    counters.reordered++;
    return 1;
}

static void delivered(struct stream *s, uint64_t number, int room, int64_t now) {
    if (room >= options.rooms) {
        counters.malformed++;
        return;
    }
    if (!is_new(s, number)) return;
    counters.deliveries++;
    s->messages++;
    struct in_flight *one = &flying[(size_t)room * ROOM_WINDOW + number % ROOM_WINDOW];
    if (one->number != number || s->trouble != HEALTHY) return;
    int timed = one->due >= timed_from && one->due < timed_to;
    if (timed) histogram_add(&delays, now - one->due);
    if (--one->left == 0) {
        in_flight--;
        if (timed) histogram_add(&last_delays, now - one->due);
    }
}

static int64_t digits(const char *p, int count) {
    int64_t value = 0;
    for (; count--; p++) {
        if (*p < '0' || *p > '9') return -1;
        value = value * 10 + (*p - '0');
    }
    return value;
}

/* Find the marks in some bytes; return how many at the end may be the beginning of one. */
size_t find_marks(struct stream *s, const char *data, size_t length, int64_t now) {
    const char *end = data + length;
    for (const char *p = data; p < end;) {
        const char *mark = memchr(p, '~', (size_t)(end - p));
        if (!mark) return 0;
        size_t rest = (size_t)(end - mark);
        if (rest < MARK_LENGTH)
            return memcmp(mark, begin, rest < 5 ? rest : 5) ? 0 : rest;
        if (memcmp(mark, begin, 5)) {
            p = mark + 1;
            continue;
        }
        int64_t number = digits(mark + 25, 10), room = digits(mark + 36, 6);
        if (digits(mark + 5, 19) < 0 || number < 0 || room < 0 || mark[42] != '~') {
            counters.malformed++;
            p = mark + 1;
            continue;
        }
        delivered(s, (uint64_t)number, (int)room, now);
        p = mark + MARK_LENGTH;
    }
    return 0;
}
