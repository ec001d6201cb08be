/*
 * The floor: what one core needs to hand the same bytes to many sockets, with nothing else done.
 *
 *   fanout-floor PORT each      one send() for each message and reader, at once
 *   fanout-floor PORT batch     all waiting input first, then one send() for each reader
 *
 * Readers ask for /?room=NNNNNN on PORT and get server-sent events; messages come as lines
 * "NNNNNN json" on PORT+1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOMS 4096
#define NOWHERE (-1)

enum kind { READERS_COME, INPUT_COMES, READER, INPUT };

struct bytes {
    char *data;
    size_t length, space;
};
struct peer {
    int fd, kind, room, place;
    struct bytes kept; /* of a reader: its request, then what could not be sent; else lines */
};
struct room {
    struct peer **readers;
    int count, space, dirty;
    struct bytes waiting;
};

static struct room rooms[ROOMS];
static int dirty[ROOMS], dirty_count, epoll, batching;

static void put(struct bytes *b, const char *data, size_t length) {
    if (b->length + length > b->space)
        b->data = realloc(b->data, b->space = (b->length + length) * 2);
    memcpy(b->data + b->length, data, length);
    b->length += length;
}

static void take_off(struct bytes *b, size_t length) {
    memmove(b->data, b->data + length, b->length - length);
    b->length -= length;
}

static void let_go(struct bytes *b) {
    free(b->data);
    *b = (struct bytes){0};
}

static void watch(struct peer *p, uint32_t events, int how) {
    struct epoll_event e = {.events = events, .data.ptr = p};
    epoll_ctl(epoll, how, p->fd, &e);
}

static void drop(struct peer *p) {
    if (p->kind == READER && p->room != NOWHERE) {
        struct room *room = &rooms[p->room];
        room->readers[p->place] = room->readers[--room->count];
        room->readers[p->place]->place = p->place;
    }
    close(p->fd);
    let_go(&p->kept);
    free(p);
}

static void deliver(struct peer *p, const char *data, size_t length) {
    if (p->kept.length) {
        put(&p->kept, data, length);
        return;
    }
    ssize_t n = send(p->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n == (ssize_t)length) return;
    if (n < 0 && errno != EAGAIN) return;
    if (n < 0) n = 0;
    put(&p->kept, data + n, length - (size_t)n);
    watch(p, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
}

static void flush(struct room *room) {
    for (int i = 0; i < room->count; i++)
        deliver(room->readers[i], room->waiting.data, room->waiting.length);
    room->waiting.length = 0;
    room->dirty = 0;
}

static void on_line(const char *line, size_t length) {
    int number = atoi(line);
    if (length < 8 || number < 0 || number >= ROOMS) return;
    struct room *room = &rooms[number];
    put(&room->waiting, "data: ", 6);
    put(&room->waiting, line + 7, length - 7);
    put(&room->waiting, "\n\n", 2);
    if (!batching) flush(room);
    else if (!room->dirty) {
        room->dirty = 1;
        dirty[dirty_count++] = number;
    }
}

static void on_input(struct peer *p) {
    static char space[1 << 20];
    ssize_t n;
    while ((n = read(p->fd, space, sizeof space)) > 0) {
        put(&p->kept, space, (size_t)n);
        size_t at = 0;
        for (char *end; (end = memchr(p->kept.data + at, '\n', p->kept.length - at));) {
            *end = 0;
            on_line(p->kept.data + at, (size_t)(end - p->kept.data) - at);
            at = (size_t)(end - p->kept.data) + 1;
        }
        take_off(&p->kept, at);
        if (n < (ssize_t)sizeof space) return;
    }
    if (n == 0) drop(p);
}

/* Let a reader in whose request is whole. Return 0 where it is gone. */
static int enter(struct peer *p) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-cache\r\n\r\n";
    char *room_text = memmem(p->kept.data, p->kept.length, "room=", 5);
    p->room = room_text ? atoi(room_text + 5) % ROOMS : 0;
    let_go(&p->kept);
    struct room *room = &rooms[p->room];
    if (room->count == room->space) {
        room->space = room->space * 2 + 16;
        room->readers = realloc(room->readers, sizeof *room->readers * (size_t)room->space);
    }
    p->place = room->count;
    room->readers[room->count++] = p;
    return send(p->fd, head, sizeof head - 1, MSG_NOSIGNAL) > 0;
}

static void on_reader(struct peer *p, uint32_t events) {
    char space[4096];
    if (events & EPOLLIN) {
        ssize_t n = read(p->fd, space, sizeof space);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            drop(p);
            return;
        }
        if (n > 0 && p->room == NOWHERE) {
            put(&p->kept, space, (size_t)n);
            if (!memmem(p->kept.data, p->kept.length, "\r\n\r\n", 4)) return;
            if (!enter(p)) {
                drop(p);
                return;
            }
        }
    }
    if (events & EPOLLOUT && p->room != NOWHERE && p->kept.length) {
        ssize_t n = send(p->fd, p->kept.data, p->kept.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) take_off(&p->kept, (size_t)n);
        if (p->kept.length) return;
        let_go(&p->kept);
        watch(p, EPOLLIN, EPOLL_CTL_MOD);
    }
}

static void listen_on(int port, int kind) {
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct peer *p = calloc(1, sizeof *p);
    p->kind = kind;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(p->fd, (void *)&address, sizeof address) || listen(p->fd, 4096)) {
        perror("listen");
        exit(1);
    }
    watch(p, EPOLLIN, EPOLL_CTL_ADD);
}

static void accept_all(const struct peer *listener) {
    int one = 1;
    for (int fd; (fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct peer *p = calloc(1, sizeof *p);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        p->fd = fd;
        p->kind = listener->kind == READERS_COME ? READER : INPUT;
        p->room = NOWHERE;
        watch(p, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv) {
    struct rlimit files;
    if (argc != 3) {
        fprintf(stderr, "usage: fanout-floor PORT each|batch\n");
        return 2;
    }
    batching = !strcmp(argv[2], "batch");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(0);
    listen_on(atoi(argv[1]), READERS_COME);
    listen_on(atoi(argv[1]) + 1, INPUT_COMES);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct peer *p = events[i].data.ptr;
            if (p->kind == INPUT) on_input(p);
            else if (p->kind == READER) on_reader(p, events[i].events);
            else accept_all(p);
        }
        for (int i = 0; i < dirty_count; i++) flush(&rooms[dirty[i]]);
        dirty_count = 0;
    }
}
