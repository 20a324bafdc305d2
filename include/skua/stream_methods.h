/* Streams of one's own: an object with functions that read, write and close it, used by all that takes a skua_stream.
 *
 *     static ssize_t read_upper(void *object, const struct iovec *vectors, int count)
 *     {
 *         struct upper *upper = object;
 *         SKUA_CANCEL_SCOPE(&upper->closed);                    // a token, cancelled by `close` below
 *         ssize_t n = skua_readv(upper->inner, vectors, count);
 *         make_upper(vectors, n);
 *         return n;
 *     }
 *     static const skua_stream_methods upper_methods = { .read = read_upper, .write = …, .close = …, .release = … };
 *     …
 *     rc = skua_stream_make(&stream, &upper_methods, upper);
 *     while ((n = skua_read(stream, buffer, sizeof buffer)) > 0)
 *         …
 *     skua_stream_close(stream);
 *
 * There are two ways to wait, for reading and for writing each:
 *   - the function waits itself, by any call of Skua's, and returns when it has moved something. Futures cannot read or
 *     write such a stream (-ENOTSUP), nor can selects wait for it
 *   - the function never waits and returns -EAGAIN when it would have to, and a second one prepares an op that is over
 *     when it is worth trying again (event.h and the like; another stream's skua_stream_readable_prepare()). Such a
 *     stream can be used everywhere, as those that the kernel has
 * Real examples of both are in tests/unit/test_stream_methods.c and tests/support/memory_pipe.h.
 *
 * Such streams need no descriptor and no runtime, so they work in simulations, too.
 */
#ifndef SKUA_STREAM_METHODS_H
#define SKUA_STREAM_METHODS_H

#include "skua/base.h"
#include "skua/op.h"
#include "skua/stream.h"

SKUA_BEGIN_DECLS

/* What a stream's object can do. Called as skua_read() and so on are: by several tasks and threads at once, if those
 * do so. Zero for what is not there. */
typedef struct skua_stream_methods {
    /* Moves some bytes, at least one; `count` vectors with room for one or more bytes in all, of which some may be
     * empty. NULL: -EBADF, as of a descriptor that is not open for it.
     * Returns: how many; 0 (read only): the end; -EAGAIN, if there is a function to prepare the wait; else an error,
     *   and nothing was moved. More than there was room for, or 0 written, is reported to the caller as -EIO. */
    ssize_t (*read)(void *object, const struct iovec *vectors, int count);
    ssize_t (*write)(void *object, const struct iovec *vectors, int count);

    /* Prepares, without starting it, an op that is over when the function above is worth trying again: at once if it
     * is already, so that nothing is missed between a try and its wait. Spurious ends are harmless; a negative result
     * is what the caller gets. Must not wait. NULL: read or write waits itself. */
    skua_op *(*readable_prepare)(skua_op *op, void *object);
    skua_op *(*writable_prepare)(skua_op *op, void *object);

    /* No more will be written. Returns 0 or an error. NULL: -ENOTSUP. */
    int (*shutdown_write)(void *object);

    /* Once, by skua_stream_close(): ends the waits of calls that are under way, and has read and write return
     * -ECANCELED from now on, for a call may be just about to come. So what they use stays until `release`; one that
     * waits itself does so in the scope of a token that is cancelled here (cancel_token.h). Must not wait. May be NULL
     * if no call is ever under way then. */
    void (*close)(void *object);

    /* Once, after that, when the last call has returned: nobody will call for this object any more, and it may be
     * freed. Must not wait. May be NULL. */
    void (*release)(void *object);

    void *reserved[4];
} skua_stream_methods;

/* Makes a stream of an object. Both must live until `release` is called.
 * Threads: any. Blocks: never. Returns: 0; -ENOMEM, and the object is the caller's still. */
SKUA_API SKUA_NODISCARD int skua_stream_make(skua_stream **stream, const skua_stream_methods *methods, void *object);

/* The object, if the stream was made with these methods; else NULL. Threads: as the calls of a stream. */
SKUA_API void *skua_stream_object(const skua_stream *stream, const skua_stream_methods *methods);

SKUA_END_DECLS

#endif
