/* Copying between streams: by the kernel where it can (splice, sendfile), else through memory. */
#ifndef SKUA_COPY_H
#define SKUA_COPY_H

#include "skua/base.h"
#include "skua/stream.h"

SKUA_BEGIN_DECLS

/* Copies from one stream to another until the end of the first, or `limit` bytes (UINT64_MAX: all). Neither is closed
 * or shut down.
 * Threads: as skua_read(). Cancel: *copied (may be NULL) says how much was written at -ECANCELED or -ETIMEDOUT, as
 *   after every error. Up to 64 KiB more may have been read that the other side had no room for: they are lost.
 * Returns: how many bytes; errors as skua_read() and skua_write(); -ENOMEM. */
SKUA_API int64_t skua_copy(skua_stream *to, skua_stream *from, uint64_t limit, uint64_t *copied);

/* Copies both ways until both have ended: what ends on one side is shut down on the other. For proxies. If one
 * direction fails the other is given up. A side that was reset has not ended: that is an error, and the other side is
 * not shut down; to pass a reset on close it with SO_LINGER set to 0 seconds.
 * Threads: fibers and jobs. Cancel: as skua_copy().
 * Returns: 0, or the first error; *there and *back (may be NULL) say how much was copied from a to b and from b to a.
 */
SKUA_API int64_t skua_copy_both(skua_stream *a, skua_stream *b, uint64_t *there, uint64_t *back);

SKUA_END_DECLS

#endif
