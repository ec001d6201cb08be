/* A stream from its connection to its end, and the ways in which it may give trouble. */
#include "load.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BUFFER (256 * 1024)

static char space[MARK_LENGTH + BUFFER]; /* before what is read there is room for a carry */

void open_stream(int number) {
    struct stream *s = &streams[number];
    int one = 1;
    s->number = number;
    s->room = number % options.rooms;
    s->state = CONNECTING;
    s->seen = ~0ULL;
    s->fd = socket(server->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s->fd, server->ai_addr, server->ai_addrlen) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &e);
    opened++;
    pending++;
}

static void send_request(struct stream *s) {
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    static char path[4096], headers[8192], request[16384];
    expand(path, sizeof path, options.path, s->room, s->number, NULL);
    expand(headers, sizeof headers, options.headers, s->room, s->number, NULL);
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%s\r\n%s%s\r\n", path,
                     options.host, options.port,
                     options.mode == SSE ? "Accept: text/event-stream\r\n" : upgrade, headers);
    s->state = HEADERS;
    stream_send(s, request, (size_t)n);
}

static void connected(struct stream *s) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        stream_lost(s, strerror(error));
        return;
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &e);
    send_request(s);
}

/* Do what can be done now of what must happen before the stream is ready. */
static void take_steps(struct stream *s) {
    while (s->state == STEPS && s->step < options.step_count) {
        const struct step *step = &options.steps[s->step];
        if (step->kind == EXPECT || (step->kind == MESSAGES && s->messages < step->count)) return;
        s->step++;
        if (step->kind == MESSAGES) continue;
        char text[1024];
        size_t length = expand(text, sizeof text, step->text, s->room, s->number, NULL);
        websocket_send(s, 1, text, length);
    }
    if (s->state != STEPS) return;
    s->state = READY;
    ready++;
    pending--;
    room_streams[s->room]++;
}

/* The data has room for a carry before it. */
static void take_data(struct stream *s, char *data, size_t length, int64_t now) {
    if (options.mode == WEBSOCKET) websocket_walk(s, (uint8_t *)data, length);
    if (s->state == STEPS && s->step < options.step_count) {
        const struct step *step = &options.steps[s->step];
        if (step->kind == EXPECT && memmem(data, length, step->text, strlen(step->text))) s->step++;
    }
    if (s->state == DEAD) return;
    data -= s->carried;
    length += s->carried;
    memcpy(data, s->carry, s->carried);
    size_t rest = find_marks(s, data, length, now);
    memcpy(s->carry, data + length - rest, rest);
    s->carried = (uint8_t)rest;
    take_steps(s);
}

static void take_headers(struct stream *s, const char *data, size_t length, int64_t now) {
    s->handshake = realloc(s->handshake, s->handshake_length + length + 1);
    memcpy(s->handshake + s->handshake_length, data, length);
    s->handshake_length += length;
    s->handshake[s->handshake_length] = 0;
    char *end = strstr(s->handshake, "\r\n\r\n");
    if (!end) return;
    if (atoi(s->handshake + 9) != (options.mode == SSE ? 200 : 101)) {
        stream_lost(s, s->handshake);
        return;
    }
    size_t used = (size_t)(end + 4 - s->handshake), rest = s->handshake_length - used;
    char *copy = malloc(MARK_LENGTH + rest + 1);
    memcpy(copy + MARK_LENGTH, s->handshake + used, rest);
    free(s->handshake);
    s->handshake = NULL;
    s->handshake_length = 0;
    s->state = STEPS;
    take_steps(s);
    if (rest) take_data(s, copy + MARK_LENGTH, rest, now);
    free(copy);
}

static void take(struct stream *s, size_t length) {
    counters.bytes += length;
    counters.reads++;
    if (s->state == HEADERS) take_headers(s, space + MARK_LENGTH, length, now_ns());
    else take_data(s, space + MARK_LENGTH, length, now_ns());
}

/* A short read means an empty socket, unless the server has hung up: then read to the end. */
static void read_stream(struct stream *s, int hung_up) {
    if (s->trouble != HEALTHY) return;
    for (;;) {
        ssize_t n = recv(s->fd, space + MARK_LENGTH, BUFFER, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            stream_lost(s, n ? strerror(errno) : "the server has closed it");
            return;
        }
        take(s, (size_t)n);
        if (s->state == DEAD || (n < BUFFER && !hung_up)) return;
    }
}

void stream_event(struct stream *s, uint32_t events) {
    int hung_up = !!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    if (s->state == CONNECTING && (hung_up || events & EPOLLOUT)) connected(s);
    else if (s->state != DEAD && s->state != CONNECTING) read_stream(s, hung_up);
}

/* From now on nothing that comes is taken in, nor acknowledged: as if the reader had vanished. */
static void vanish(struct stream *s) {
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    if (setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program))
        die("SO_ATTACH_FILTER: %s", strerror(errno));
}

/* Streams in trouble are not waited for. Who vanished stays away. */
void trouble_streams(int first, int count, enum trouble trouble) {
    for (int i = first; i < first + count && i < options.streams; i++) {
        struct stream *s = &streams[i];
        if (s->state != READY || s->trouble == trouble || s->trouble == VANISHED) continue;
        if (s->trouble == HEALTHY) room_streams[s->room]--;
        s->trouble = (uint8_t)trouble;
        if (trouble == VANISHED) vanish(s);
        if (trouble != HEALTHY) continue;
        room_streams[s->room]++;
        read_stream(s, 1);
    }
}

/* Once a second: one byte for each of those who read no more than that. */
void trickle(void) {
    static int64_t last;
    int64_t now = now_ns();
    if (now - last < 1000000000LL) return;
    last = now;
    for (int i = 0; i < options.streams; i++) {
        struct stream *s = &streams[i];
        if (s->state != READY || s->trouble != TRICKLING) continue;
        ssize_t n = recv(s->fd, space + MARK_LENGTH, 1, 0);
        if (n == 0) stream_lost(s, "the server has closed it");
    }
}
