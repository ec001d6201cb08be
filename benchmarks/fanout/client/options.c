/* What the client is called with. */
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
    "usage: fanout-client --url http://HOST:PORT/PATH [options] [commands on standard input]\n"
    "  --mode sse|ws          kind of stream (sse)\n"
    "  --streams N            how many (100)\n"
    "  --header 'K: V'        with each; may be repeated\n"
    "  --tokens FILE          one line for each reader; {token} stands for it\n"
    "  --first-reader N       the first of them, from 0\n"
    "  --rooms R              stream i belongs to room i mod R (1)\n"
    "  --first-room N         number of the first room\n"
    "  --step send:TEXT       in this order after the handshake, until a stream is ready\n"
    "  --step expect:TEXT\n"
    "  --step messages:N\n"
    "  --reply TEXT=ANSWER    for each short text frame\n"
    "  --at-once N            handshakes in flight (128)\n"
    "  --patience SECONDS     for all handshakes together (120)\n"
    "  --publish URL          http://H:P/PATH: a request for each message or batch;\n"
    "                         tcp://H:P: a line\n"
    "  --publish-method M  --publish-header 'K: V'  --publish-body TEMPLATE\n"
    "  --batch N              most messages in one request (1)\n"
    "  --publishers N         connections that publish (8)\n"
    "  --size BYTES           of a message's JSON (600)\n"
    "  --sender MXID          of each message\n"
    "  --twin                 every message comes twice on a stream: count it once\n"
    "  --pid P[,P..]          whose processor time is the server's\n"
    "  --core N               the server's (0)\n"
    "  --no-spin              sleep while nothing comes; else wake-ups are in the server's bill\n"
    "In URLs, headers and texts {room} is six digits, {i} a running number, {p} the client's process,\n"
    "{token} a line of the file; in the body {message} is the event's JSON.\n";

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

/* Write a template with its names replaced; return its length. */
size_t expand(char *to, size_t most, const char *text, int room, int number, const char *message) {
    size_t length = 0;
    for (; *text; text++) {
        char digits[32];
        const char *value = NULL;
        if (!strncmp(text, "{room}", 6)) {
            snprintf(digits, sizeof digits, "%06d", options.first_room + room);
            value = digits, text += 5;
        } else if (!strncmp(text, "{i}", 3)) {
            snprintf(digits, sizeof digits, "%d", number);
            value = digits, text += 2;
        } else if (!strncmp(text, "{p}", 3)) {
            snprintf(digits, sizeof digits, "%d", (int)getpid());
            value = digits, text += 2;
        } else if (!strncmp(text, "{token}", 7) && options.token_count) {
            value = options.tokens[(options.first_reader + number) % options.token_count];
            text += 6;
        } else if (message && !strncmp(text, "{message}", 9)) {
            value = message, text += 8;
        }
        size_t more = value ? strlen(value) : 1;
        if (length + more + 1 > most) die("too long: %.80s", value ? value : text);
        memcpy(to + length, value ? value : text, more);
        length += more;
    }
    to[length] = 0;
    return length;
}

static void parse_url(const char *url, char *host, char *port, char *path) {
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    size_t length = strcspn(p, ":/");
    if (length > 255) die("a host that long: %s", url);
    memcpy(host, p, length);
    host[length] = 0;
    p += length;
    strcpy(port, "80");
    if (*p == ':') {
        length = strspn(++p, "0123456789");
        if (length > 15) die("a port that long: %s", url);
        memcpy(port, p, length);
        port[length] = 0;
        p += length;
    }
    snprintf(path, 2048, "%s", *p ? p : "/");
}

static struct addrinfo *resolve(const char *host, const char *port) {
    struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hint, &found)) die("cannot resolve %s", host);
    return found;
}

static void add_header(char *headers, size_t most, const char *header) {
    size_t length = strlen(headers);
    if (length + strlen(header) + 3 > most) die("too many headers");
    sprintf(headers + length, "%s\r\n", header);
}

static void add_step(char *text) {
    if (options.step_count == MOST_STEPS) die("too many steps");
    struct step *step = &options.steps[options.step_count++];
    char *value = strchr(text, ':');
    if (!value) die("%s", usage);
    step->text = value + 1;
    step->kind = *text == 's' ? SEND : *text == 'e' ? EXPECT : MESSAGES;
    step->count = (uint32_t)atoi(value + 1);
}

static void add_reply(const char *text) {
    const char *equals = strchr(text, '=');
    if (!equals) die("%s", usage);
    snprintf(options.reply_to, sizeof options.reply_to, "%.*s", (int)(equals - text), text);
    snprintf(options.reply_with, sizeof options.reply_with, "%s", equals + 1);
}

static void read_tokens(const char *name) {
    FILE *file = fopen(name, "r");
    if (!file) die("cannot read %s", name);
    char *line = NULL;
    size_t most = 0;
    ssize_t length;
    while ((length = getline(&line, &most, file)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        size_t bytes = sizeof *options.tokens * (size_t)(options.token_count + 1);
        options.tokens = realloc(options.tokens, bytes);
        options.tokens[options.token_count++] = strdup(line);
    }
    free(line);
    fclose(file);
}

static void add_pids(char *text) {
    for (char *one = strtok(text, ","); one && options.pid_count < MOST_PIDS;
         one = strtok(NULL, ","))
        options.pids[options.pid_count++] = atoi(one);
}

static void set_publish(const char *url) {
    strcpy(options.publish_kind, strncmp(url, "tcp:", 4) ? "http" : "tcp");
    parse_url(url, options.publish_host, options.publish_port, options.publish_path);
    publish_server = resolve(options.publish_host, options.publish_port);
}

static int set_number(const char *name, const char *value) {
    struct { const char *name; int *place; } numbers[] = {
        {"--streams", &options.streams},       {"--rooms", &options.rooms},
        {"--first-room", &options.first_room}, {"--first-reader", &options.first_reader},
        {"--at-once", &options.at_once},       {"--size", &options.size},
        {"--batch", &options.batch},           {"--publishers", &options.publishers},
        {"--core", &options.core},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(name, numbers[i].name)) return *numbers[i].place = atoi(value), 1;
    return 0;
}

static void set_text(const char *name, char *value) {
    if (!strcmp(name, "--url")) {
        parse_url(value, options.host, options.port, options.path);
        server = resolve(options.host, options.port);
    } else if (!strcmp(name, "--mode")) options.mode = strcmp(value, "ws") ? SSE : WEBSOCKET;
    else if (!strcmp(name, "--header")) add_header(options.headers, sizeof options.headers, value);
    else if (!strcmp(name, "--tokens")) read_tokens(value);
    else if (!strcmp(name, "--step")) add_step(value);
    else if (!strcmp(name, "--reply")) add_reply(value);
    else if (!strcmp(name, "--patience")) options.patience = atof(value);
    else if (!strcmp(name, "--publish")) set_publish(value);
    else if (!strcmp(name, "--publish-method")) options.publish_method = value;
    else if (!strcmp(name, "--sender")) options.sender = value;
    else if (!strcmp(name, "--publish-body")) options.publish_body = value;
    else if (!strcmp(name, "--publish-header"))
        add_header(options.publish_headers, sizeof options.publish_headers, value);
    else if (!strcmp(name, "--pid")) add_pids(value);
    else die("%s", usage);
}

void parse_options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--no-spin")) options.spin = 0;
        else if (!strcmp(argv[i], "--twin")) options.twin = 1;
        else if (i + 1 >= argc) die("%s", usage);
        else if (set_number(argv[i], argv[i + 1])) i++;
        else set_text(argv[i], argv[i + 1]), i++;
    }
    if (options.publishers > MOST_PUBLISHERS) options.publishers = MOST_PUBLISHERS;
    if (!server || options.streams < 1 || options.rooms < 1) die("%s", usage);
}
