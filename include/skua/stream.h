/* Streams: bytes in order, from and to sockets, pipes, terminals, or anything that behaves like them: an object with
 * functions of one's own is made a stream by stream_methods.h.
 *
 *     char buffer[4096];
 *     ssize_t n;
 *     while ((n = skua_read(peer, buffer, sizeof buffer)) > 0)
 *         if ((n = skua_write_all(peer, buffer, (size_t)n)) < 0)
 *             break;
 *     skua_stream_close(peer);
 *
 * A call that cannot go on suspends its task and no thread; the descriptors behind are never blocking ones. One task
 * may read and another write at the same time; more of either queue up in no particular order, and what they move is
 * not mixed within one system call, no more than that. Deadlines: scope.h.
 *
 * SIGPIPE is never delivered: writing to who is gone returns -EPIPE.
 */
#ifndef SKUA_STREAM_H
#define SKUA_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>

#include "skua/base.h"
#include "skua/future.h"

SKUA_BEGIN_DECLS

/* Made by skua_stream_open(), skua_accept(), skua_connect() and others; ended by skua_stream_close(). */
typedef struct skua_stream skua_stream;

/* Makes a stream of a descriptor that is a socket, pipe, terminal or the like, and makes it non-blocking; closing the
 * stream closes it. A regular file is taken too, but its reads and writes block their worker.
 * `rt`: the runtime whose workers watch it; NULL: the calling task's.
 * Threads: any. Blocks: never. Returns: 0; -EBADF; -EINVAL (no runtime); -EBUSY (the runtime has a stream or a watch of
 * it); -ENOTSUP (in a simulation, which has no real descriptors); -ENOMEM, -EMFILE, -ENFILE. On an error the descriptor
 * is the caller's still. */
SKUA_API SKUA_NODISCARD int skua_stream_open(skua_stream **stream, skua_runtime *rt, int fd);

/* Closes it, whoever else uses it: their waits end with -ECANCELED. The handle is gone with the call.
 * Threads: any, once. Blocks: never (a socket's linger aside). Never fails. */
SKUA_API void skua_stream_close(skua_stream *stream);

/* Reads what there is, up to `size` bytes, and waits only if there is nothing.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); futures: skua_read_start().
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing was read.
 * Returns: how many; 0 at the end (or if size is 0); -ECANCELED (also: closed meanwhile); -ETIMEDOUT; -EBADF (closed
 *   before); what read(2) or recv(2) fail with, as -ECONNRESET. */
SKUA_API ssize_t skua_read(skua_stream *stream, void *buffer, size_t size);
SKUA_API ssize_t skua_readv(skua_stream *stream, const struct iovec *vectors, int count);

/* Reads exactly so many bytes. Cancel: what was read so far is in the buffer, and its length in *got (may be NULL), as
 * after every error. Returns: size; less at the end of the stream; errors as skua_read(). */
SKUA_API ssize_t skua_read_exactly(skua_stream *stream, void *buffer, size_t size, size_t *got);

/* Writes what there is room for, at least a byte, and waits only if there is none.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing was written.
 * Returns: how many; -EPIPE (nobody will read it); else as skua_read(). */
SKUA_API ssize_t skua_write(skua_stream *stream, const void *data, size_t size);
SKUA_API ssize_t skua_writev(skua_stream *stream, const struct iovec *vectors, int count);

/* Writes all, waiting as often as there is no room. Cancel: some of it may have gone out, as after every error;
 * skua_write_all_counted() says how much in *written (may be NULL). Returns: size, or an error as skua_write(). */
SKUA_API ssize_t skua_write_all(skua_stream *stream, const void *data, size_t size);
SKUA_API ssize_t skua_write_all_counted(skua_stream *stream, const void *data, size_t size, size_t *written);

/* Says that no more will be written: the other side reads what is under way, then the end. Blocks: never, but as the
 * function of a stream of one's own does. Returns: 0; -ENOTCONN, -ENOTSOCK, -EBADF; -ENOTSUP (a stream of one's own
 * without it). */
SKUA_API int skua_stream_shutdown_write(skua_stream *stream);

/* The descriptor, for socket options and the like. It stays the stream's; not to be closed, nor to be used when the
 * stream may be closed meanwhile. -EBADF of one that has none. */
SKUA_API int skua_stream_fd(const skua_stream *stream);

/* ---- in futures ---- */

/* A read or write as a future, as a member of the frame that awaits it; buffers and vectors must live as long:
 *     SKUA_AWAIT(skua_read_start(&self->io, peer, self->buffer, sizeof self->buffer));
 *     n = SKUA_RESULT(&self->io);
 * Results and cancellation as of the calls of these names; `done` says how much was moved, also after an error of those
 * that move all; other fields belong to the runtime. A select waits with skua_stream_readable_prepare(). */
typedef struct skua_io {
    SKUA_FRAME;
    skua_stream *stream;
    char *data;
    size_t size;
    size_t done; /* how many bytes were moved */
    uint32_t what;
    uint32_t life;
    skua_op wait;
    void *reserved[2];
} skua_io;

SKUA_API skua_frame *skua_read_start(skua_io *io, skua_stream *stream, void *buffer, size_t size);
SKUA_API skua_frame *skua_readv_start(skua_io *io, skua_stream *stream, const struct iovec *vectors, int count);
SKUA_API skua_frame *skua_read_exactly_start(skua_io *io, skua_stream *stream, void *buffer, size_t size);
SKUA_API skua_frame *skua_write_start(skua_io *io, skua_stream *stream, const void *data, size_t size);
SKUA_API skua_frame *skua_writev_start(skua_io *io, skua_stream *stream, const struct iovec *vectors, int count);
SKUA_API skua_frame *skua_write_all_start(skua_io *io, skua_stream *stream, const void *data, size_t size);

/* As arms of a select: that the next read or write will not wait, as far as is known. Result: 0, or an error; -ENOTSUP
 * of a stream of one's own that cannot tell. One that can must stay open until the select is over. */
SKUA_API skua_op *skua_stream_readable_prepare(skua_op *op, skua_stream *stream);
SKUA_API skua_op *skua_stream_writable_prepare(skua_op *op, skua_stream *stream);

SKUA_END_DECLS

#endif
