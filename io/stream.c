/* Streams over sources: try, and wait for readiness only when the kernel has said that there is nothing.
 *
 *   V1 try    if the source may be ready (source.h, Q2): one system call. EAGAIN takes the readiness away; so does a
 *             short count, of sockets that are streams of bytes: the kernel had no more, or has no more room (Q4).
 *             Reads of unix sockets stop behind bytes that came with descriptors or credentials, too; as these are not
 *             asked for, recvmsg(2) says so by MSG_CTRUNC
 *   V2 wait   else, or after EAGAIN, for the source to become ready; then again
 * Fibers, threads and futures all go this way; the first two in a loop, the last as a frame that is polled again when
 * its wait is over. Made streams (stream.h) go it, too, with their object's functions for V1 and its op for V2. What
 * they share with sources is called …_by here and compiled twice, so that sources pay nothing for it.
 */
#define _GNU_SOURCE
#include "io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/socket_calls.h"
#include "sched/wait.h"

/* A future's. Bit 0 is the direction, bit 1: not before all is done. */
enum what { READ = 0, WRITE = 1, READ_EXACTLY = 2, WRITE_ALL = 3, READ_VECTORS = 4, WRITE_VECTORS = 5 };
enum { TO_THE_END = 2 };

/* What is moved: one stretch of memory, or many. */
struct transfer {
    enum skuai_direction direction;
    const struct iovec *vectors;
    int count;
    size_t size;
    uint32_t life; /* of the source (source.h, Q8) */
};

/* ---- one system call ------------------------------------------------------------------------------------------- */

/* A thread that is not Skua's may have SIGPIPE open, and a pipe has no flag against it: the signal is blocked
 * meanwhile, and one that this write has caused is taken away. */
static ssize_t write_without_signal(int fd, const struct iovec *vectors, int count)
{
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t n = writev(fd, vectors, count);
    int error = n < 0 ? skua_errno() : 0;
    if (error == EPIPE && !sigismember(&pending, SIGPIPE)) {
        const struct timespec now = { .tv_sec = 0 };
        while (sigtimedwait(&pipe_only, NULL, &now) < 0 && skua_errno() == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n < 0 ? -error : n;
}

/* *kept_back: a short count does not say that there are no more bytes. */
static ssize_t receive(const struct skuai_source *source, const struct transfer *t, bool *kept_back)
{
    if (SKUAI_LIKELY(source->stream == SKUAI_STREAM_TCP && t->count == 1))
        return skuai_recv(source->fd, t->vectors->iov_base, t->vectors->iov_len, 0);
    if (source->stream == SKUAI_STREAM_OTHER)
        return readv(source->fd, t->vectors, t->count);
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)t->vectors, .msg_iovlen = (size_t)t->count };
    ssize_t n = recvmsg(source->fd, &message, 0);
    *kept_back = (message.msg_flags & MSG_CTRUNC) != 0;
    return n;
}

static ssize_t move_once(const struct skuai_source *source, const struct transfer *t, bool *kept_back)
{
    ssize_t n;
    if (t->direction == SKUAI_READING) {
        n = receive(source, t, kept_back);
    } else if (source->stream != SKUAI_STREAM_OTHER) {
        if (SKUAI_LIKELY(t->count == 1)) {
            n = skuai_send(source->fd, t->vectors->iov_base, t->vectors->iov_len, MSG_NOSIGNAL);
        } else {
            struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)t->vectors,
                                      .msg_iovlen = (size_t)t->count };
            n = sendmsg(source->fd, &message, MSG_NOSIGNAL);
        }
    } else {
        if (skuai_worker_self() == NULL) /* workers have it blocked (env.c) */
            return write_without_signal(source->fd, t->vectors, t->count);
        n = writev(source->fd, t->vectors, t->count);
    }
    return n < 0 ? -(ssize_t)skua_errno() : n;
}

/* V1. -EAGAIN: V2. -ECANCELED: it is closed. */
SKUAI_INLINE ssize_t try_once(struct skuai_source *source, const struct transfer *t)
{
    if (!skuai_readiness_has(skuai_source_readiness(source), t->direction)) /* a look that spares the entering */
        return -EAGAIN;
    if (!skuai_source_enter(source, t->life))
        return -ECANCELED;
    uint64_t seen = skuai_source_readiness(source);
    bool kept_back = false;
    ssize_t n;
    do
        n = move_once(source, t, &kept_back);
    while (n == -EINTR);
    if (n == -EWOULDBLOCK)
        n = -EAGAIN;
    bool is_short = n > 0 && (size_t)n < t->size && source->stream != SKUAI_STREAM_OTHER && !kept_back;
    if (n == -EAGAIN || (is_short && skuai_readiness_ends_short(seen)))
        skuai_source_drained(source, seen, t->direction);
    skuai_source_leave(source);
    return n;
}

/* ---- sources and made streams ---------------------------------------------------------------------------------- */

SKUAI_INLINE ssize_t try_by(bool made, skua_stream *stream, const struct transfer *t, bool may_wait)
{
    return made ? skuai_made_try(stream, t->direction, t->vectors, t->count, t->size, may_wait)
                : try_once(skuai_stream_source(stream), t);
}

SKUAI_INLINE skua_op *wait_prepare_by(bool made, skua_op *op, skua_stream *stream, enum skuai_direction direction,
                                      uint32_t life)
{
    return made ? skuai_made_wait_prepare(op, stream, direction)
                : skuai_source_wait_in_prepare(op, skuai_stream_source(stream), direction, life);
}

/* Of what is no open source: whether it is a made stream, and open. It is held then. */
static bool hold_made(skua_stream *stream) { return skuai_stream_is_made(stream) && skuai_made_hold(stream); }

/* ---- fibers, jobs and threads ---------------------------------------------------------------------------------- */

SKUAI_INLINE ssize_t move_by(bool made, const char *call, skua_stream *stream, const struct transfer *t)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, call);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    ssize_t n = try_by(made, stream, t, true);
    if (n != -EAGAIN)
        return (ssize_t)skuai_call_end(made ? skuai_worker_self() : worker, n); /* its function may have waited */
    do {
        skua_op op;
        rc = (int)skuai_call(wait_prepare_by(made, &op, stream, t->direction, t->life));
        if (rc < 0)
            return rc;
        n = try_by(made, stream, t, true);
    } while (n == -EAGAIN);
    return n;
}

/* In a call that has begun. */
SKUAI_HOT static ssize_t move(const char *call, skua_stream *stream, const struct transfer *t)
{
    return move_by(false, call, stream, t);
}
static ssize_t move_made(const char *call, skua_stream *stream, const struct transfer *t)
{
    return move_by(true, call, stream, t);
}

static __attribute__((noinline)) ssize_t transfer_made(const char *call, skua_stream *stream, const struct transfer *t)
{
    if (!hold_made(stream))
        return -EBADF;
    ssize_t n = move_made(call, stream, t);
    skuai_made_unhold(stream);
    return n;
}

/* As much as one system call moves. */
static ssize_t transfer(const char *call, skua_stream *stream, struct transfer *t)
{
    if (SKUAI_UNLIKELY(t->size == 0))
        return 0;
    if (SKUAI_UNLIKELY(!skuai_source_begin(skuai_stream_source(stream), &t->life)))
        return transfer_made(call, stream, t);
    return move(call, stream, t);
}

SKUAI_INLINE ssize_t move_all_by(bool made, const char *call, skua_stream *stream, struct transfer *t, void *data,
                                 size_t *moved)
{
    struct iovec rest = { data, t->size };
    size_t done = 0;
    ssize_t n = 0;
    t->vectors = &rest;
    t->count = 1;
    while (t->size != 0 && (n = made ? move_made(call, stream, t) : move(call, stream, t)) > 0) {
        done += (size_t)n;
        rest.iov_base = (char *)rest.iov_base + n;
        rest.iov_len = t->size -= (size_t)n;
    }
    if (moved != NULL)
        *moved = done;
    return n < 0 ? n : (ssize_t)done;
}

static __attribute__((noinline)) ssize_t transfer_all_made(const char *call, skua_stream *stream, struct transfer *t,
                                                           void *data, size_t *moved)
{
    if (moved != NULL)
        *moved = 0;
    if (!hold_made(stream))
        return -EBADF;
    ssize_t n = move_all_by(true, call, stream, t, data, moved);
    skuai_made_unhold(stream);
    return n;
}

/* All of it, or until there is no more; *moved: how much, whatever is returned. */
static ssize_t transfer_all(const char *call, skua_stream *stream, struct transfer *t, void *data, size_t *moved)
{
    if (SKUAI_UNLIKELY(!skuai_source_begin(skuai_stream_source(stream), &t->life)) && t->size != 0)
        return transfer_all_made(call, stream, t, data, moved);
    return move_all_by(false, call, stream, t, data, moved);
}

static size_t total(const struct iovec *vectors, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += vectors[i].iov_len;
    return size;
}

ssize_t skua_readv(skua_stream *stream, const struct iovec *vectors, int count)
{
    struct transfer t = { SKUAI_READING, vectors, count, total(vectors, count), 0 };
    return transfer("skua_read", stream, &t);
}

ssize_t skua_writev(skua_stream *stream, const struct iovec *vectors, int count)
{
    struct transfer t = { SKUAI_WRITING, vectors, count, total(vectors, count), 0 };
    return transfer("skua_write", stream, &t);
}

SKUAI_HOT ssize_t skua_read(skua_stream *stream, void *buffer, size_t size)
{
    struct iovec vector = { buffer, size };
    struct transfer t = { SKUAI_READING, &vector, 1, size, 0 };
    return transfer("skua_read", stream, &t);
}

ssize_t skua_write(skua_stream *stream, const void *data, size_t size)
{
    struct iovec vector = { (void *)(uintptr_t)data, size };
    struct transfer t = { SKUAI_WRITING, &vector, 1, size, 0 };
    return transfer("skua_write", stream, &t);
}

ssize_t skua_read_exactly(skua_stream *stream, void *buffer, size_t size, size_t *got)
{
    struct transfer t = { .direction = SKUAI_READING, .size = size };
    return transfer_all("skua_read", stream, &t, buffer, got);
}

SKUAI_HOT ssize_t skua_write_all_counted(skua_stream *stream, const void *data, size_t size, size_t *written)
{
    struct transfer t = { .direction = SKUAI_WRITING, .size = size };
    return transfer_all("skua_write", stream, &t, (void *)(uintptr_t)data, written); /* it is only read */
}

SKUAI_HOT ssize_t skua_write_all(skua_stream *stream, const void *data, size_t size)
{
    return skua_write_all_counted(stream, data, size, NULL);
}

/* ---- futures --------------------------------------------------------------------------------------------------- */

enum { TO_TRY, TO_WAIT };

_Static_assert((int)SKUAI_READING == 0 && (int)SKUAI_WRITING == 1, "bit 0 of `what`");
static enum skuai_direction direction_of_io(const skua_io *io) { return (enum skuai_direction)(io->what & 1u); }

static __attribute__((noinline)) void use_vectors(const skua_io *io, struct transfer *t)
{
    t->vectors = (const struct iovec *)(const void *)io->data;
    t->count = (int)io->size;
    t->size = total(t->vectors, t->count);
}

/* Whether the io is over, with its result. */
SKUAI_INLINE bool go_on_by(bool made, skua_io *io, ssize_t *result)
{
    struct iovec vector = { io->data + io->done, io->size - io->done };
    struct transfer t = { direction_of_io(io), &vector, 1, vector.iov_len, io->life };
    if (SKUAI_UNLIKELY(io->what >= READ_VECTORS))
        use_vectors(io, &t);
    ssize_t n = t.size != 0 ? try_by(made, io->stream, &t, false) : 0;
    if (n == -EAGAIN)
        return false;
    *result = n;
    if (n < 0)
        return true;
    io->done += (size_t)n;
    if (io->what & TO_THE_END) {
        *result = (ssize_t)io->done;
        return n == 0 || io->done == io->size;
    }
    return true;
}

/* As a body of SKUA_ASYNC would, without its stack of frames: it waits in an op of its own. */
SKUAI_INLINE enum skua_poll poll_by(bool made, skua_frame *frame)
{
    struct skuai_worker *worker = skuai_worker_self();
    skua_io *io = (skua_io *)(void *)frame;
    ssize_t result;
    for (;;) {
        if (frame->resume == TO_WAIT) {
            if (skuai_await_op(frame, &io->wait) == SKUA_PENDING)
                return SKUA_PENDING;
            frame->resume = TO_TRY;
            if (io->wait.result < 0) {
                result = (ssize_t)io->wait.result;
                break;
            }
        } else if (SKUAI_LIKELY(skuai_start_may_be_done(worker))) {
            worker->budget--;
        } else {
            int rc = skua_interrupted();
            if (rc < 0) {
                result = rc;
                break;
            }
            if (!skuai_frame_may_go_on(frame))
                return SKUA_PENDING;
        }
        if (go_on_by(made, io, &result))
            break;
        frame->resume = TO_WAIT;
        skuai_await_set_op(frame, skuai_op_start(wait_prepare_by(made, &io->wait, io->stream, direction_of_io(io),
                                                                 io->life)));
    }
    frame->result = result;
    frame->flags |= SKUAI_FRAME_ENDED;
    return SKUA_DONE;
}
SKUAI_HOT static enum skua_poll poll_io(skua_frame *frame) { return poll_by(false, frame); }

static enum skua_poll poll_made_io(skua_frame *frame)
{
    enum skua_poll poll = poll_by(true, frame);
    if (poll == SKUA_DONE)
        skuai_made_unhold(((skua_io *)(void *)frame)->stream);
    return poll;
}

/* What is not an open source is a made stream, or was closed before: as closed meanwhile. */
static __attribute__((noinline)) skua_frame *start_made(skua_io *io)
{
    return skua_frame_init(&io->frame, hold_made(io->stream) ? poll_made_io : poll_io);
}

static skua_frame *start_io(skua_io *io, skua_stream *stream, enum what what, void *data, size_t size)
{
    io->stream = stream;
    io->data = data;
    io->size = size;
    io->done = 0;
    io->what = what;
    if (SKUAI_UNLIKELY(!skuai_source_begin(skuai_stream_source(stream), &io->life)))
        return start_made(io);
    return skua_frame_init(&io->frame, poll_io);
}

SKUAI_HOT skua_frame *skua_read_start(skua_io *io, skua_stream *stream, void *buffer, size_t size)
{
    return start_io(io, stream, READ, buffer, size);
}
skua_frame *skua_write_start(skua_io *io, skua_stream *stream, const void *data, size_t size)
{
    return start_io(io, stream, WRITE, (void *)(uintptr_t)data, size); /* it is only read */
}
skua_frame *skua_read_exactly_start(skua_io *io, skua_stream *stream, void *buffer, size_t size)
{
    return start_io(io, stream, READ_EXACTLY, buffer, size);
}
skua_frame *skua_readv_start(skua_io *io, skua_stream *stream, const struct iovec *vectors, int count)
{
    return start_io(io, stream, READ_VECTORS, (void *)(uintptr_t)vectors, (size_t)count);
}
skua_frame *skua_writev_start(skua_io *io, skua_stream *stream, const struct iovec *vectors, int count)
{
    return start_io(io, stream, WRITE_VECTORS, (void *)(uintptr_t)vectors, (size_t)count);
}
SKUAI_HOT skua_frame *skua_write_all_start(skua_io *io, skua_stream *stream, const void *data, size_t size)
{
    return start_io(io, stream, WRITE_ALL, (void *)(uintptr_t)data, size);
}

static skua_op *ready_prepare(skua_op *op, skua_stream *stream, enum skuai_direction direction)
{
    return SKUAI_UNLIKELY(skuai_stream_is_made(stream))
               ? skuai_made_wait_prepare(op, stream, direction)
               : skuai_source_wait_prepare(op, skuai_stream_source(stream), direction);
}
skua_op *skua_stream_readable_prepare(skua_op *op, skua_stream *stream)
{
    return ready_prepare(op, stream, SKUAI_READING);
}
skua_op *skua_stream_writable_prepare(skua_op *op, skua_stream *stream)
{
    return ready_prepare(op, stream, SKUAI_WRITING);
}

/* ---- opening and closing --------------------------------------------------------------------------------------- */

int skuai_stream_of_fd(skua_stream **stream, skua_runtime *rt, int fd, enum skuai_stream_kind kind)
{
    struct skuai_source *source;
    int rc = skuai_source_open_as(rt, fd, false, (uint8_t)kind, &source);
    if (rc == 0)
        *stream = (skua_stream *)(void *)source;
    return rc;
}

static enum skuai_stream_kind kind_of(int fd)
{
    int value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) != 0 || value != SOCK_STREAM)
        return SKUAI_STREAM_OTHER;
    size = sizeof value;
    /* Only TCP knows this; streams of other kinds (SCTP) may end reads where a message does. */
    return getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size) == 0 ? SKUAI_STREAM_TCP : SKUAI_STREAM_SOCKET;
}

int skua_stream_open(skua_stream **stream, skua_runtime *rt, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return -skua_errno();
    struct skuai_source *source;
    int rc = skuai_source_open_given(rt, fd, false, (uint8_t)kind_of(fd), &source);
    if (rc == 0)
        *stream = (skua_stream *)(void *)source;
    else if (!(flags & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, flags); /* as it was */
    return rc;
}

void skua_stream_close(skua_stream *stream)
{
    if (SKUAI_UNLIKELY(skuai_stream_is_made(stream)))
        skuai_made_close(stream);
    else
        (void)skuai_source_close_once(skuai_stream_source(stream), "skua_stream_close");
}

int skua_stream_fd(const skua_stream *stream) { return skuai_stream_source(stream)->fd; }

static int shutdown_made(skua_stream *stream)
{
    if (!skuai_made_hold(stream))
        return -EBADF;
    int rc = skuai_made_shutdown_write(stream);
    skuai_made_unhold(stream);
    return rc;
}

int skua_stream_shutdown_write(skua_stream *stream)
{
    struct skuai_source *source = skuai_stream_source(stream);
    uint32_t life;
    if (skuai_stream_is_made(stream))
        return shutdown_made(stream);
    if (!skuai_source_begin(source, &life) || !skuai_source_enter(source, life))
        return -EBADF;
    int rc = shutdown(source->fd, SHUT_WR) == 0 ? 0 : -skua_errno();
    skuai_source_leave(source);
    return rc;
}
