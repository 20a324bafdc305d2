/* A stream is a source whose descriptor is read and written. See stream.c. */
#ifndef SKUAI_STREAM_H
#define SKUAI_STREAM_H

#include "io/source.h"
#include "skua/stream.h"

SKUAI_INLINE struct skuai_source *skuai_stream_source(const skua_stream *stream)
{
    return (struct skuai_source *)(uintptr_t)stream;
}

/* Makes a stream of a descriptor that does not block already. `is_socket`: of a socket that is a stream of bytes, so
 * that a short count means that there is no more. */
int skuai_stream_of_fd(skua_stream **stream, skua_runtime *rt, int fd, bool is_socket);

#endif
