/* Opens all streams, says how that went, and then does what is read from standard input. */
#include "load.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

struct options options = {
    .streams = 100, .rooms = 1, .at_once = 128, .size = 600, .spin = 1, .publishers = 8, .batch = 1,
    .publish_method = "POST", .publish_body = "{message}", .patience = 120, .sender = "@u1:localhost",
};
struct counters counters;
struct addrinfo *server, *publish_server;
int epoll, opened, ready, pending, dead;
struct stream *streams;
int *room_streams;
uint64_t *room_numbers;
struct in_flight *flying;
uint64_t in_flight;
int64_t timed_from, timed_to;
struct histogram delays, last_delays;

static void open_all(void) {
    int64_t began = now_ns(), cpu = server_cpu_ns();
    while (ready + dead < options.streams) {
        while (opened < options.streams && pending < options.at_once) open_stream(opened);
        poll_once(10);
        if (now_ns() - began > (int64_t)(options.patience * 1e9)) break;
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    printf("{\"phase\":\"connect\",\"streams\":%d,\"dead\":%d,\"seconds\":%.4f,\"streams_s\":%.1f,"
           "\"server_cpu\":%.4f,\"messages\":%llu,\"gaps\":%llu,\"doubles\":%llu}\n",
           ready, dead, seconds, ready / seconds, (double)(server_cpu_ns() - cpu) / 1e9,
           (unsigned long long)counters.deliveries, (unsigned long long)counters.gaps,
           (unsigned long long)counters.doubles);
    fflush(stdout);
}

/* Between the commands the streams are served on. */
static void obey(void) {
    char text[4096];
    size_t length = 0;
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    for (;;) {
        poll_once(5);
        ssize_t n = read(0, text + length, sizeof text - 1 - length);
        if (n == 0) return;
        if (n < 0) continue;
        length += (size_t)n;
        text[length] = 0;
        for (char *end; (end = strchr(text, '\n'));) {
            char line[512];
            snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
            size_t used = (size_t)(end - text) + 1;
            memmove(text, end + 1, length - used + 1);
            length -= used;
            command(line);
        }
    }
}

static void end_phase(int number) {
    (void)number;
    phase_is_over = 1;
}

int main(int argc, char **argv) {
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, end_phase);
    parse_options(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    streams = calloc((size_t)options.streams, sizeof *streams);
    room_streams = calloc((size_t)options.rooms, sizeof *room_streams);
    room_numbers = calloc((size_t)options.rooms, sizeof *room_numbers);
    flying = calloc((size_t)options.rooms * ROOM_WINDOW, sizeof *flying);
    open_all();
    if (!ready) return 1;
    start_publishers();
    obey();
    return 0;
}
