/* A stream is a source whose descriptor is read and written. See stream.c. */
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

/* Makes a stream of a descriptor that does not block already. */
int skuai_stream_of_fd(skua_stream **stream, skua_runtime *rt, int fd, enum skuai_stream_kind kind);

#endif
