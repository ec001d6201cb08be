/* Clocks, processor times and histograms. */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Processor time of the server's processes, all of their threads together. */
int64_t server_cpu_ns(void) {
    int64_t sum = 0;
    for (int i = 0; i < options.pid_count; i++) {
        clockid_t clock;
        struct timespec t;
        if (!clock_getcpuclockid(options.pids[i], &clock) && !clock_gettime(clock, &t))
            sum += t.tv_sec * 1000000000LL + t.tv_nsec;
    }
    return sum;
}

double own_cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How long a core was busy, with interrupts: sees the work that no process is charged for. */
double core_busy_seconds(int core) {
    char wanted[16], line[512];
    double busy = 0;
    snprintf(wanted, sizeof wanted, "cpu%d ", core);
    FILE *file = fopen("/proc/stat", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, wanted, strlen(wanted))) {
            unsigned long long v[7] = {0}; /* user nice system idle iowait irq softirq */
            sscanf(line, "%*s %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4,
                   v + 5, v + 6);
            busy = (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / 100.0;
        }
    if (file) fclose(file);
    return busy;
}

void histogram_add(struct histogram *h, int64_t ns) {
    if (ns < 1) ns = 1;
    int power = 63 - __builtin_clzll((uint64_t)ns);
    int i = power < 6 ? (int)ns
                      : (power - 5) * PER_POWER + (int)((ns >> (power - 6)) & (PER_POWER - 1));
    if (i >= POWERS * PER_POWER) i = POWERS * PER_POWER - 1;
    h->parts[i]++;
    h->count++;
    if (ns > h->most) h->most = ns;
}

/* Return what a share of the values does not exceed, in microseconds. */
double histogram_us(const struct histogram *h, double share) {
    uint64_t wanted = (uint64_t)(share * (double)h->count), sum = 0;
    for (int i = 0; h->count && i < POWERS * PER_POWER; i++) {
        sum += h->parts[i];
        if (sum <= wanted) continue;
        if (i < PER_POWER) return i / 1e3;
        int power = i / PER_POWER + 5;
        uint64_t ns = (1ULL << power) + ((uint64_t)(i % PER_POWER) << (power - 6));
        return (double)ns / 1e3;
    }
    return (double)h->most / 1e3;
}
