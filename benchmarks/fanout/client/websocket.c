/* WebSocket frames (RFC 6455), as far as a reader needs them. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_WHOLE 255
#define TOO_LONG (SHORT_FRAME + 1)

void stream_lost(struct stream *s, const char *why) {
    if (s->state == DEAD) return;
    if (dead < 3) fprintf(stderr, "stream %d is lost: %.200s\n", s->number, why);
    if (s->state == READY) {
        ready--;
        if (s->trouble == HEALTHY) room_streams[s->room]--;
    } else pending--;
    s->state = DEAD;
    dead++;
    close(s->fd);
    free(s->handshake);
    s->handshake = NULL;
}

void stream_send(struct stream *s, const char *data, size_t length) {
    if (send(s->fd, data, length, MSG_NOSIGNAL) != (ssize_t)length) stream_lost(s, "a short send");
}

void websocket_send(struct stream *s, int opcode, const char *text, size_t length) {
    char frame[1200];
    size_t n = 0;
    if (length > sizeof frame - 8) die("a text that is too long to be sent");
    frame[n++] = (char)(0x80 | opcode);
    if (length < 126) frame[n++] = (char)(0x80 | length);
    else {
        frame[n++] = (char)(0x80 | 126);
        frame[n++] = (char)(length >> 8);
        frame[n++] = (char)length;
    }
    memset(frame + n, 0, 4); /* a mask of zeros: the text as it is */
    n += 4;
    memcpy(frame + n, text, length);
    stream_send(s, frame, n + length);
}

static void short_frame(struct stream *s) {
    size_t length = s->short_length;
    if (s->opcode == 9) websocket_send(s, 10, s->short_frame, length);
    else if (s->opcode == 8) stream_lost(s, "a close frame");
    else if (*options.reply_to && length == strlen(options.reply_to) &&
             !memcmp(s->short_frame, options.reply_to, length))
        websocket_send(s, 1, options.reply_with, strlen(options.reply_with));
}

/* Take one byte of a frame's header; return whether that is whole. */
static int header_byte(struct stream *s, uint8_t byte) {
    s->header[s->header_length++] = byte;
    if (s->header_length < 2) return 0;
    unsigned length = s->header[1] & 127;
    if (s->header_length < (length == 127 ? 10 : length == 126 ? 4 : 2)) return 0;
    s->opcode = s->header[0] & 15;
    s->payload_left = length;
    if (length >= 126) {
        s->payload_left = 0;
        for (int i = 2; i < (length == 127 ? 10 : 4); i++)
            s->payload_left = s->payload_left << 8 | s->header[i];
    }
    s->short_length = 0;
    s->header_length = HEADER_WHOLE;
    return 1;
}

/* Follow the frames in some bytes; the marks in them are found elsewhere. */
void websocket_walk(struct stream *s, const uint8_t *data, size_t length) {
    const uint8_t *end = data + length;
    while (data < end && s->state != DEAD) {
        if (s->header_length != HEADER_WHOLE && !header_byte(s, *data++)) continue;
        if (s->header[1] & 128) {
            counters.malformed++;
            stream_lost(s, "a frame of the server is masked");
            return;
        }
        size_t rest = (size_t)(end - data);
        size_t n = rest < s->payload_left ? rest : (size_t)s->payload_left;
        if (s->short_length + n <= SHORT_FRAME) {
            memcpy(s->short_frame + s->short_length, data, n);
            s->short_length = (uint8_t)(s->short_length + n);
        } else s->short_length = TOO_LONG;
        data += n;
        s->payload_left -= n;
        if (s->payload_left) continue;
        s->header_length = 0;
        counters.frames++;
        if (s->short_length != TOO_LONG) short_frame(s);
    }
}
