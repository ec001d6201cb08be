/*
 * Commands, one a line; each is answered by one line of JSON:
 *
 *   closed window=W secs=S [warm=T]   keep W messages in flight: the next is published when the
 *                                     last stream has an old one
 *   open rate=R secs=S [warm=T] [poisson=1] [drain=D]
 *                                     publish by the clock; a message's delay counts from when it
 *                                     was due, so that a stall shows
 *   idle secs=S                       publish nothing
 *   stall | trickle | vanish | heal first=F n=N
 *                                     these streams read nothing, read a byte a second, are gone
 *                                     without a word, or read again
 *   spin on=0|1
 *   count                             how many streams are there still
 *
 * SIGUSR1 ends a phase before its time.
 */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct phase {
    enum { CLOSED, OPEN, IDLE } kind;
    double seconds, warm, rate, drain;
    uint64_t window;
    int poisson;
};
volatile sig_atomic_t phase_is_over;

struct reading {
    int64_t at, server;
    double own, core;
};

void poll_once(int milliseconds) {
    static struct epoll_event events[512];
    int count = epoll_wait(epoll, events, 512, milliseconds);
    trickle();
    if (count <= 0) return;
    int64_t began = now_ns();
    for (int i = 0; i < count; i++) {
        uintptr_t what = (uintptr_t)events[i].data.ptr;
        if (what & 1) publisher_event((void *)(what & ~(uintptr_t)1), events[i].events);
        else stream_event((struct stream *)what, events[i].events);
    }
    counters.busy_ns += (uint64_t)(now_ns() - began);
}

static double value(const char *line, const char *name, double otherwise) {
    char key[32];
    snprintf(key, sizeof key, " %s=", name);
    const char *found = strstr(line, key);
    return found ? atof(found + strlen(key)) : otherwise;
}

static int next_room(void) {
    static unsigned turn;
    return (int)(turn++ % (unsigned)options.rooms);
}

/* Return the natural logarithm of 1/u for 0 < u <= 1, without a library for it. */
static double minus_log(double u) {
    double sum = 0;
    for (; u < 0.5; u *= 2) sum += 0.69314718055994531;
    double y = (1 - u) / (1 + u), square = y * y;
    return sum + 2 * y * (1 + square / 3 + square * square / 5 + square * square * square / 7);
}

/* Return the time to the next message of a phase that publishes by the clock. */
static int64_t pause_ns(const struct phase *phase) {
    static uint64_t random = 88172645463325252ULL;
    double mean = 1e9 / phase->rate;
    if (!phase->poisson) return (int64_t)mean;
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    double u = (double)(random >> 11) / 9007199254740992.0;
    return (int64_t)(mean * minus_log(u < 1e-12 ? 1e-12 : u));
}

static void keep_window(uint64_t window) {
    while (in_flight + waiting_to_publish() < window) {
        uint64_t before = in_flight + waiting_to_publish();
        publish(next_room(), now_ns());
        if (in_flight + waiting_to_publish() <= before) return; /* nobody is in that room */
    }
}

static struct reading read_all(void) {
    struct reading found = {now_ns(), server_cpu_ns(), own_cpu_seconds(),
                            core_busy_seconds(options.core)};
    return found;
}

static void report(const struct phase *phase, const struct reading *from, const struct reading *to,
                   const struct counters *c) {
    static const char *kinds[] = {"closed", "open", "idle"};
    double seconds = (double)(to->at - from->at) / 1e9;
    double cpu = (double)(to->server - from->server) / 1e9;
    double each = c->deliveries ? 1.0 / (double)c->deliveries : 0;
    if (seconds <= 0) seconds = 1e-9;
    printf("{\"phase\":\"%s\",\"seconds\":%.4f,\"streams\":%d,\"published\":%llu,"
           "\"deliveries\":%llu,\"deliveries_s\":%.1f,\"bytes\":%llu,\"bytes_each\":%.1f,\"reads\":%llu,"
           "\"server_cpu\":%.5f,\"server_share\":%.4f,\"cpu_us_each\":%.4f,\"core_share\":%.4f,"
           "\"client_share\":%.4f,\"client_cpu_share\":%.4f,",
           kinds[phase->kind], seconds, ready, (unsigned long long)c->published,
           (unsigned long long)c->deliveries, (double)c->deliveries / seconds,
           (unsigned long long)c->bytes, (double)c->bytes * each, (unsigned long long)c->reads, cpu, cpu / seconds,
           cpu * 1e6 * each, (to->core - from->core) / seconds,
           (double)c->busy_ns / 1e9 / seconds, (to->own - from->own) / seconds);
    printf("\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
           "\"last_p50_us\":%.1f,\"last_p99_us\":%.1f,\"timed\":%llu,",
           histogram_us(&delays, .5), histogram_us(&delays, .9), histogram_us(&delays, .99),
           histogram_us(&delays, .999), (double)delays.most / 1e3, histogram_us(&last_delays, .5),
           histogram_us(&last_delays, .99), (unsigned long long)delays.count);
    printf("\"gaps\":%llu,\"doubles\":%llu,\"twins\":%llu,\"reordered\":%llu,\"malformed\":%llu,"
           "\"publish_errors\":%llu,\"undelivered\":%llu,\"dead\":%d}\n",
           (unsigned long long)counters.gaps, (unsigned long long)counters.doubles,
           (unsigned long long)counters.twins, (unsigned long long)counters.reordered,
           (unsigned long long)counters.malformed, (unsigned long long)counters.publish_errors,
           (unsigned long long)in_flight, dead);
    fflush(stdout);
}

static void run(const struct phase *phase) {
    int64_t start = now_ns(), due = start, now;
    struct reading from = {0}, to;
    in_flight = 0;
    for (size_t i = 0; i < (size_t)options.rooms * ROOM_WINDOW; i++) flying[i].left = 0;
    timed_from = start + (int64_t)(phase->warm * 1e9);
    timed_to = timed_from + (int64_t)(phase->seconds * 1e9);
    while ((now = now_ns()) < timed_to && !phase_is_over) {
        if (!from.at && now >= timed_from) {
            counters = (struct counters){0};
            delays.count = last_delays.count = 0;
            memset(&delays, 0, sizeof delays);
            memset(&last_delays, 0, sizeof last_delays);
            from = read_all();
        }
        if (phase->kind == CLOSED) keep_window(phase->window);
        for (; phase->kind == OPEN && due <= now; due += pause_ns(phase)) publish(next_room(), due);
        if (options.batch > 1) publish_waiting();
        poll_once(options.spin && phase->kind != IDLE ? 0 : 1);
    }
    phase_is_over = 0;
    if (!from.at) from = read_all();
    to = read_all();
    struct counters at_end = counters;
    int64_t end = now_ns();
    while ((in_flight || waiting_to_publish()) && now_ns() - end < (int64_t)(phase->drain * 1e9)) {
        if (options.batch > 1) publish_waiting();
        poll_once(1);
    }
    report(phase, &from, &to, &at_end);
}

static void run_line(const char *line, int kind) {
    struct phase phase = {
        .kind = kind,
        .seconds = value(line, "secs", 3),
        .warm = value(line, "warm", kind == IDLE ? 0 : 0.5),
        .rate = value(line, "rate", 50),
        .drain = value(line, "drain", kind == IDLE ? 0 : 5),
        .window = (uint64_t)value(line, "window", 8),
        .poisson = (int)value(line, "poisson", 0),
    };
    run(&phase);
}

static int trouble_line(const char *line) {
    static const char *names[] = {"heal", "stall", "trickle", "vanish"};
    for (int i = 0; i < 4; i++)
        if (!strncmp(line, names[i], strlen(names[i]))) {
            trouble_streams((int)value(line, "first", 0), (int)value(line, "n", 0), i);
            return 1;
        }
    return 0;
}

void command(char *line) {
    line[strcspn(line, "\r\n")] = 0;
    if (!strncmp(line, "closed", 6)) run_line(line, CLOSED);
    else if (!strncmp(line, "open", 4)) run_line(line, OPEN);
    else if (!strncmp(line, "idle", 4)) run_line(line, IDLE);
    else {
        if (!strncmp(line, "spin", 4)) options.spin = (int)value(line, "on", 1);
        else if (strncmp(line, "count", 5) && !trouble_line(line)) die("what is %s?", line);
        printf("{\"phase\":\"%.7s\",\"streams\":%d,\"dead\":%d}\n", line, ready, dead);
        fflush(stdout);
    }
}
