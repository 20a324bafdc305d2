/* What goes back to a client: collected in a buffer of fixed size, so that the answers to all commands of one read go
 * out by one write. When it is full it is written first, which may wait for the client; large values are written from
 * where they lie. So a client that does not read takes no more memory than this.
 */
#ifndef KV_REPLY_H
#define KV_REPLY_H

#include "store.h"

enum {
    REPLY_SIZE = 16 << 10,
    SMALL_MAX = 1 << 10,        /* values up to this are copied into the buffer, in the part's lock */
    SMALL_ROOM = SMALL_MAX + 64 /* what one takes there, with its length */
};

struct reply {
    skua_stream *stream;
    size_t length;
    ssize_t error; /* the client is gone: what follows is dropped */
    char buffer[REPLY_SIZE];
};

void reply_init(struct reply *reply, skua_stream *stream);

/* Writes what was collected. Cancelled, it still does so, for a second at most. */
void reply_flush(struct reply *reply);

/* Makes room for one of all but the last two, which do not wait then. */
void reply_make_room(struct reply *reply);
void reply_text(struct reply *reply, const char *text); /* a line that has all that belongs to it but its end */
void reply_error(struct reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_number(struct reply *reply, char type, int64_t number); /* ':', or the count of an array, '*' */
void reply_small(struct reply *reply, const char *data, size_t length);
void reply_null(struct reply *reply);

/* Any length; waits as they like. */
void reply_raw(struct reply *reply, const char *data, size_t length);
void reply_large(struct reply *reply, const char *data, size_t length);

#endif
