/* A stream is a source whose descriptor is read and written (stream.c), or a made one: an object with functions
 * (stream_methods.c). A made stream begins with a source that is closed for ever (source.h, Q6). So what knows of
 * descriptors only refuses it, and who has a descriptor never asks: the question is put to those that are closed.
 */
#ifndef SKUAI_STREAM_H
#define SKUAI_STREAM_H

#include "io/source.h"
#include "skua/stream.h"

SKUAI_INLINE struct skuai_source *skuai_stream_source(const skua_stream *stream)
{
    return (struct skuai_source *)(uintptr_t)stream;
}

/* What a short count of a descriptor says (stream.c, V1). */
enum skuai_stream_kind {
    SKUAI_STREAM_OTHER,  /* a pipe, a terminal, a socket of messages: nothing */
    SKUAI_STREAM_SOCKET, /* a socket of bytes: no more room; no more bytes only if the kernel has kept nothing back */
    SKUAI_STREAM_TCP     /* no more room, no more bytes */
};

/* Makes a stream of a descriptor that the kernel has just given, and that does not block. */
int skuai_stream_of_fd(skua_stream **stream, skua_runtime *rt, int fd, enum skuai_stream_kind kind);

/* ---- made streams ----------------------------------------------------------------------------------------------- */

/* In a source's `users`, beside CLOSED. */
#define SKUAI_STREAM_MADE UINT32_C(0x40000000)

/* Relaxed: it never changes. */
SKUAI_INLINE bool skuai_stream_is_made(const skua_stream *stream)
{
    return skuai_load_32(&skuai_stream_source(stream)->users, SKUAI_RELAXED) ==
           (SKUAI_SOURCE_CLOSED | SKUAI_STREAM_MADE);
}

/* A call begins, and ends: the object stays meanwhile. False: the stream is closed. */
bool skuai_made_hold(skua_stream *stream);
void skuai_made_unhold(skua_stream *stream);

/* Those below by who holds it. Moves some of `size` bytes, of which there are some. -EAGAIN: to be waited for by the
 * op. `may_wait`: the stream's own function may. */
ssize_t skuai_made_try(skua_stream *stream, enum skuai_direction direction, const struct iovec *vectors, int count,
                       size_t size, bool may_wait);
skua_op *skuai_made_wait_prepare(skua_op *op, skua_stream *stream, enum skuai_direction direction);
int skuai_made_shutdown_write(skua_stream *stream);

void skuai_made_close(skua_stream *stream);

#endif
