/* Publishing: one message or a batch in each request, or lines on one connection. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_WAITING 65536
#define IN 8192
#define CHUNKED (-2)
#define NO_HEAD (-1)

struct publisher {
    int fd, busy;
    char *out;
    size_t out_length, out_sent, out_space;
    char in[IN];
    size_t in_length;
    int64_t body_left; /* or NO_HEAD, or CHUNKED */
};
struct wish {
    int room;
    int64_t due;
};

static struct publisher publishers[MOST_PUBLISHERS];
static int publisher_count;
static struct wish waiting[MOST_WAITING];
static size_t waiting_from, waiting_to;
static uint64_t requests;

static const char words[] =
    "so the meetup moves to the back room of the library at half past seven because the projector "
    "there works and we can keep the door open for people who come late; bring the printed map, "
    "the name tags and a cable for the speaker, and tell Priya that the venue asked for a head "
    "count before Thursday noon, thanks to all who offered rides home after the talk, reply here "
    "if you still need one or can take two more with bikes ";

static uint64_t scatter(uint64_t x) { return x ^= x << 13, x ^= x >> 7, x ^ x << 17; }

/* Write a message as a homeserver pushes it; return its length. */
static size_t write_message(char *to, size_t most, int room, uint64_t number, int64_t due) {
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char id[44], head[1024];
    uint64_t x = number * 0x9E3779B97F4A7C15ULL + (uint64_t)room + 1;
    for (int i = 0; i < 43; i++) id[i] = base64[(x = scatter(x)) & 63];
    id[43] = 0;
    /* Another process has other ids: a bridge keeps each event once. */
    int n = snprintf(head, sizeof head,
                     "{\"type\":\"m.room.message\",\"room_id\":\"!%06d:localhost\","
                     "\"sender\":\"%s\",\"event_id\":\"$%08x%s\",\"origin_server_ts\":%lld,"
                     "\"unsigned\":{\"age\":%d},\"content\":{\"msgtype\":\"m.text\",\"body\":"
                     "\"~fan:%019lld:%010llu:%06d~ ",
                     options.first_room + room, options.sender, (unsigned)getpid(), id + 8,
                     1760000000000LL + (long long)number * 977, (int)(x % 90), (long long)due,
                     (unsigned long long)number, room);
    int body = options.size - n - 3;
    if (body < 0) body = 0;
    if ((size_t)(n + body + 4) > most) die("messages of %d bytes are too large", options.size);
    memcpy(to, head, (size_t)n);
    for (int i = 0; i < body; i++)
        to[n + i] = words[((x >> 20) % 97 + (unsigned)i) % (sizeof words - 1)];
    memcpy(to + n + body, "\"}}", 4);
    return (size_t)(n + body + 3);
}

static int connected_socket(void) {
    int one = 1;
    int fd = socket(publish_server->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, publish_server->ai_addr, publish_server->ai_addrlen))
        die("cannot publish: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void watch(struct publisher *p, int writing) {
    /* The lowest bit tells publishers from streams. */
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0),
                            .data.ptr = (void *)((uintptr_t)p | 1)};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, p->fd, &e)) epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &e);
}

/* The server has closed a connection: a request that it has not answered is sent again. */
static void reopen(struct publisher *p) {
    static int times;
    if (++times > 1000 || strcmp(options.publish_kind, "http")) die("cannot publish any more");
    close(p->fd);
    p->fd = connected_socket();
    p->in_length = 0;
    p->body_left = NO_HEAD;
    p->out_sent = 0;
}

static void flush(struct publisher *p) {
    while (p->out_sent < p->out_length) {
        ssize_t n = write(p->fd, p->out + p->out_sent, p->out_length - p->out_sent);
        if (n < 0 && errno == EAGAIN) {
            watch(p, 1);
            return;
        }
        if (n < 0) reopen(p);
        else p->out_sent += (size_t)n;
    }
    watch(p, 0);
}

static void put(struct publisher *p, const char *data, size_t length) {
    if (p->out_length + length > p->out_space)
        p->out = realloc(p->out, p->out_space = (p->out_length + length) * 2);
    memcpy(p->out + p->out_length, data, length);
    p->out_length += length;
}

void start_publishers(void) {
    if (!*options.publish_kind) return;
    publisher_count = strcmp(options.publish_kind, "http") ? 1 : options.publishers;
    for (int i = 0; i < publisher_count; i++) {
        publishers[i].body_left = NO_HEAD;
        publishers[i].fd = connected_socket();
        watch(&publishers[i], 0);
    }
}

/* Take wishes for one request; write their messages, joined by commas. Return the length. */
static size_t take_wishes(char *messages, size_t most) {
    size_t length = 0;
    for (int i = 0; i < options.batch && waiting_from != waiting_to; i++) {
        struct wish wish = waiting[waiting_from++ % MOST_WAITING];
        uint64_t number = ++room_numbers[wish.room];
        struct in_flight *one = &flying[(size_t)wish.room * ROOM_WINDOW + number % ROOM_WINDOW];
        if (one->left > 0) in_flight--; /* overwritten before all had it */
        *one = (struct in_flight){number, room_streams[wish.room], wish.due};
        if (one->left > 0) in_flight++;
        if (i) messages[length++] = ',';
        length += write_message(messages + length, most - length, wish.room, number, wish.due);
        counters.published++;
    }
    return length;
}

static void send_request(struct publisher *p) {
    static char messages[1 << 20], body[2 << 20], path[4096], headers[4096], head[12288];
    int room = waiting[waiting_from % MOST_WAITING].room, number = (int)++requests;
    take_wishes(messages, sizeof messages);
    size_t length = expand(body, sizeof body, options.publish_body, room, number, messages);
    if (p->out_sent == p->out_length) p->out_sent = p->out_length = 0;
    if (strcmp(options.publish_kind, "http")) {
        put(p, body, length);
        put(p, "\n", 1);
    } else {
        expand(path, sizeof path, options.publish_path, room, number, NULL);
        expand(headers, sizeof headers, options.publish_headers, room, number, NULL);
        int n = snprintf(head, sizeof head,
                         "%s %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
                         "%sContent-Length: %zu\r\n\r\n",
                         options.publish_method, path, options.publish_host, options.publish_port,
                         headers, length);
        put(p, head, (size_t)n);
        put(p, body, length);
        p->busy = 1;
        p->body_left = NO_HEAD;
        p->in_length = 0;
    }
    flush(p);
}

void publish_waiting(void) {
    for (int i = 0; i < publisher_count && waiting_from != waiting_to; i++)
        while (!publishers[i].busy && waiting_from != waiting_to) send_request(&publishers[i]);
}

uint64_t waiting_to_publish(void) { return waiting_to - waiting_from; }

void publish(int room, int64_t due) {
    if (waiting_to - waiting_from >= MOST_WAITING) return;
    waiting[waiting_to++ % MOST_WAITING] = (struct wish){room, due};
    if (options.batch == 1) publish_waiting();
}

/* Read the head of an answer; leave what follows it. */
static void take_head(struct publisher *p, char *end) {
    int status = atoi(p->in + 9);
    if ((status < 200 || status > 299) && counters.publish_errors++ < 3)
        fprintf(stderr, "publishing: %.300s\n", p->in);
    char *length = strcasestr(p->in, "\r\ncontent-length:");
    char *coding = strcasestr(p->in, "\r\ntransfer-encoding:");
    int64_t body = length && length < end ? atoll(length + 17) : coding && coding < end ? CHUNKED : 0;
    size_t used = (size_t)(end + 4 - p->in);
    memmove(p->in, p->in + used, p->in_length - used + 1);
    p->in_length -= used;
    p->body_left = body == CHUNKED ? CHUNKED : body - (int64_t)p->in_length;
}

/* Take what has come of an answer; return whether it is whole. */
static int take_answer(struct publisher *p, size_t more) {
    if (p->body_left == NO_HEAD) {
        char *end = strstr(p->in, "\r\n\r\n");
        if (!end) return 0;
        take_head(p, end);
    } else if (p->body_left > 0) p->body_left -= (int64_t)more;
    if (p->body_left == CHUNKED) {
        const char *last = p->in + p->in_length - 5;
        return p->in_length >= 5 && !memcmp(last, "0\r\n\r\n", 5);
    }
    p->in_length = 0;
    return p->body_left <= 0;
}

static void read_answers(struct publisher *p) {
    for (;;) {
        ssize_t n = read(p->fd, p->in + p->in_length, IN - 1 - p->in_length);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            reopen(p);
            if (!p->busy) p->out_length = 0;
            flush(p);
            return;
        }
        p->in_length += (size_t)n;
        p->in[p->in_length] = 0;
        if (!p->busy) p->in_length = 0;
        else if (take_answer(p, (size_t)n)) {
            p->busy = 0;
            p->in_length = 0;
            p->body_left = NO_HEAD;
            publish_waiting();
        }
    }
}

void publisher_event(void *publisher, uint32_t events) {
    struct publisher *p = publisher;
    if (events & EPOLLOUT) flush(p);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_answers(p);
}
