/*
 * The load client: opens many streams (server-sent events or WebSocket), publishes messages, finds
 * every delivered message by a mark in its text, and reports rates, delays, faults and the
 * server's processor time. One thread, one epoll set. How it is called: see options.c.
 *
 * The mark, 43 bytes, safe inside of any JSON string:
 *
 *     ~fan:<19 digits: CLOCK_MONOTONIC in ns>:<10 digits: number in its room>:<6 digits: room>~
 */
#ifndef LOAD_H
#define LOAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <netdb.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define MARK_LENGTH 43
#define MOST_STEPS 8
#define MOST_PIDS 16
#define MOST_PUBLISHERS 64
#define ROOM_WINDOW 4096 /* messages that may be in flight in one room */
#define SHORT_FRAME 125

enum mode { SSE, WEBSOCKET };
enum state { CONNECTING, HEADERS, STEPS, READY, DEAD };
enum trouble { HEALTHY, STALLED, TRICKLING, VANISHED };

/* What must happen on a stream after its handshake, before it counts as ready. */
struct step {
    enum { SEND, EXPECT, MESSAGES } kind;
    const char *text;
    uint32_t count;
};

struct stream {
    int fd, room, number; /* room: from 0, inside of this client */
    uint8_t state, step, trouble;
    uint8_t carried;                   /* bytes of a mark that the end of a read has cut */
    uint8_t header_length, opcode, short_length;
    uint8_t header[10];                /* of the WebSocket frame that is being read */
    uint32_t messages;                 /* that it has got */
    uint64_t payload_left;
    uint64_t last, seen;               /* newest number, and a bit for each of the 64 up to it */
    char carry[MARK_LENGTH];
    char short_frame[SHORT_FRAME + 1]; /* a control frame, or a short text */
    char *handshake;                   /* bytes of the answer's head, until it is whole */
    size_t handshake_length;
};

struct options {
    enum mode mode;
    char host[256], port[16], path[2048], headers[4096];
    int streams, rooms, first_room, first_reader, at_once, size, spin, twin, core;
    double patience;
    struct step steps[MOST_STEPS];
    int step_count;
    char reply_to[32], reply_with[32];
    char publish_kind[8], publish_host[256], publish_port[16], publish_path[2048];
    char publish_headers[2048];
    const char *publish_method, *publish_body, *sender;
    int publishers, batch;
    int pids[MOST_PIDS], pid_count;
    char **tokens;
    int token_count;
};

struct counters {
    uint64_t deliveries, bytes, frames, reads, gaps, doubles, twins, reordered, malformed;
    uint64_t published, publish_errors, busy_ns;
};

struct in_flight {
    uint64_t number;
    int left; /* streams that have not got it yet */
    int64_t due;
};

#define PER_POWER 64 /* parts of each power of two: a resolution of 1.6 % */
#define POWERS 44
struct histogram {
    uint64_t count, parts[POWERS * PER_POWER];
    int64_t most;
};

extern struct options options;
extern struct counters counters;
extern struct addrinfo *server, *publish_server;
extern int epoll, opened, ready, pending, dead;
extern struct stream *streams;
extern int *room_streams;       /* streams in each room that are waited for */
extern uint64_t *room_numbers;  /* the newest message of each room */
extern struct in_flight *flying; /* rooms x ROOM_WINDOW */
extern uint64_t in_flight;
extern int64_t timed_from, timed_to; /* only messages that were due in between are timed */
extern struct histogram delays, last_delays;

/* measure.c */
int64_t now_ns(void);
int64_t server_cpu_ns(void);
double own_cpu_seconds(void);
double core_busy_seconds(int core);
void histogram_add(struct histogram *, int64_t ns);
double histogram_us(const struct histogram *, double share);

/* options.c */
void parse_options(int argc, char **argv);
_Noreturn void die(const char *format, ...);
size_t expand(char *to, size_t most, const char *text, int room, int number, const char *message);

/* stream.c */
void open_stream(int number);
void stream_event(struct stream *, uint32_t events);
void trouble_streams(int first, int count, enum trouble);
void trickle(void);

/* websocket.c */
void websocket_send(struct stream *, int opcode, const char *text, size_t length);
void websocket_walk(struct stream *, const uint8_t *data, size_t length);
void stream_send(struct stream *, const char *data, size_t length);
void stream_lost(struct stream *, const char *why);

/* delivery.c */
size_t find_marks(struct stream *, const char *data, size_t length, int64_t now);

/* publish.c */
void start_publishers(void);
void publish(int room, int64_t due);
void publish_waiting(void);
uint64_t waiting_to_publish(void);
void publisher_event(void *publisher, uint32_t events);

/* phases.c */
extern volatile sig_atomic_t phase_is_over;
void command(char *line);
void poll_once(int milliseconds);

#endif
