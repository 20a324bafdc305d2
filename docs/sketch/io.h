/* A sketch, not an interface: how io/ will look on the core as it is. It compiles (tests/house/check-docs), to show
 * that all fits. Nothing here is implemented.
 */
#ifndef SKUA_SKETCH_IO_H
#define SKUA_SKETCH_IO_H

#include <skua.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct skua_stream skua_stream;
typedef struct skua_listener skua_listener;

int skua_listen(skua_listener **listener, const char *address, const void *options); /* "tcp://127.0.0.1:7000" */
int skua_accept(skua_listener *listener, skua_stream **peer);
int skua_connect(skua_stream **stream, const char *address);
/* 0 at the end; -ECANCELED: nothing was read */
ssize_t skua_read(skua_stream *stream, void *buffer, size_t size);
ssize_t skua_write_all(skua_stream *stream, const void *data, size_t size);
void skua_stream_close(skua_stream *stream);                              /* ends others' waits with -ECANCELED */

/* A read waits in the readiness word of its source; the driver completes it from its own thread. */
typedef struct skua_read_op {
    SKUA_OP_HEADER;
    skua_stream *stream;
    struct iovec vector;
} skua_read_op;
skua_op *skua_read_start(skua_read_op *op, skua_stream *stream, void *buffer, size_t size);

typedef struct skua_write_op {
    SKUA_OP_HEADER;
    skua_stream *stream;
    struct iovec vector;
    size_t written; /* also after -ECANCELED: how much went out */
} skua_write_op;
skua_op *skua_write_all_start(skua_write_op *op, skua_stream *stream, const void *data, size_t size);

/* ---- DESIGN's echo, both ways, to see that they read well ---- */
static inline int sketch_echo(void *arg)
{
    skua_stream *peer = arg;
    char buffer[4096];
    ssize_t n;
    while ((n = skua_read(peer, buffer, sizeof buffer)) > 0)
        if ((n = skua_write_all(peer, buffer, (size_t)n)) < 0)
            break;
    skua_stream_close(peer);
    return (int)n;
}

struct sketch_echo2 {
    SKUA_FRAME;
    struct {
        skua_stream *peer;
    } in;
    char buffer[512];
    union {
        skua_read_op read;
        skua_write_op write;
    };
};
SKUA_ASYNC_BODY(sketch_echo2, static inline)
{
    SKUA_BEGIN(self);
    do {
        SKUA_AWAIT(skua_read_start(&self->read, self->in.peer, self->buffer, sizeof self->buffer));
        if (self->read.result <= 0)
            break;
        SKUA_AWAIT(skua_write_all_start(&self->write, self->in.peer, self->buffer, (size_t)self->read.result));
    } while (self->write.result >= 0);
    skua_stream_close(self->in.peer);
    SKUA_END(0);
}

#endif
