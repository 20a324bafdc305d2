/* Streams over sources: try, and wait for readiness only when the kernel has said that there is nothing.
 *
 *   V1 try    if the source may be ready (source.h, Q2): one system call. EAGAIN takes the readiness away; so does a
 *             short count, of sockets that are streams of bytes: the kernel had no more, or has no more room (Q4).
 *             Reads of unix sockets stop behind bytes that came with descriptors or credentials, too; as these are not
 *             asked for, recvmsg(2) says so by MSG_CTRUNC
 *   V2 wait   else, or after EAGAIN, for the source to become ready; then again
 * Fibers, threads and futures all go this way; the first two in a loop, the last as a frame that is polled again when
 * its wait is over.
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
#include "sched/wait.h"

enum what { READ, WRITE, WRITE_ALL };

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
        return recv(source->fd, t->vectors->iov_base, t->vectors->iov_len, 0);
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
            n = send(source->fd, t->vectors->iov_base, t->vectors->iov_len, MSG_NOSIGNAL);
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
static ssize_t try_once(struct skuai_source *source, const struct transfer *t)
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

/* ---- fibers, jobs and threads ---------------------------------------------------------------------------------- */

/* In a call that has begun. */
static ssize_t move(const char *call, struct skuai_source *source, const struct transfer *t)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, call);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    ssize_t n = try_once(source, t);
    if (n != -EAGAIN)
        return (ssize_t)skuai_call_end(worker, n);
    do {
        skua_op op;
        rc = (int)skuai_call(skuai_source_wait_in_prepare(&op, source, t->direction, t->life));
        if (rc < 0)
            return rc;
        n = try_once(source, t);
    } while (n == -EAGAIN);
    return n;
}

/* As much as one system call moves. */
static ssize_t transfer(const char *call, skua_stream *stream, struct transfer *t)
{
    if (SKUAI_UNLIKELY(t->size == 0))
        return 0;
    if (SKUAI_UNLIKELY(!skuai_source_begin(skuai_stream_source(stream), &t->life)))
        return -EBADF;
    return move(call, skuai_stream_source(stream), t);
}

/* All of it, or until there is no more; *moved: how much, whatever is returned. */
static ssize_t transfer_all(const char *call, skua_stream *stream, struct transfer *t, void *data, size_t *moved)
{
    struct iovec rest = { data, t->size };
    size_t done = 0;
    ssize_t n = 0;
    t->vectors = &rest;
    t->count = 1;
    if (t->size != 0 && !skuai_source_begin(skuai_stream_source(stream), &t->life))
        n = -EBADF;
    while (n >= 0 && t->size != 0 && (n = move(call, skuai_stream_source(stream), t)) > 0) {
        done += (size_t)n;
        rest.iov_base = (char *)rest.iov_base + n;
        rest.iov_len = t->size -= (size_t)n;
    }
    if (moved != NULL)
        *moved = done;
    return n < 0 ? n : (ssize_t)done;
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

ssize_t skua_read(skua_stream *stream, void *buffer, size_t size)
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

ssize_t skua_write_all_counted(skua_stream *stream, const void *data, size_t size, size_t *written)
{
    struct transfer t = { .direction = SKUAI_WRITING, .size = size };
    return transfer_all("skua_write", stream, &t, (void *)(uintptr_t)data, written); /* it is only read */
}

ssize_t skua_write_all(skua_stream *stream, const void *data, size_t size)
{
    return skua_write_all_counted(stream, data, size, NULL);
}

/* ---- futures --------------------------------------------------------------------------------------------------- */

enum { TRY, WAIT };

static enum skuai_direction direction_of(const skua_io *io) { return io->what == READ ? SKUAI_READING : SKUAI_WRITING; }

/* Whether the io is over, with its result. */
static bool go_on(skua_io *io, ssize_t *result)
{
    struct iovec vector = { io->data + io->done, io->size - io->done };
    struct transfer t = { direction_of(io), &vector, 1, vector.iov_len, io->life };
    ssize_t n = vector.iov_len != 0 ? try_once(skuai_stream_source(io->stream), &t) : 0;
    if (n == -EAGAIN)
        return false;
    *result = n;
    if (n < 0)
        return true;
    io->done += (size_t)n;
    if (io->what == WRITE_ALL) {
        *result = (ssize_t)io->done;
        return io->done == io->size;
    }
    return true;
}

/* As a body of SKUA_ASYNC would, without its stack of frames: it waits in an op of its own. */
static enum skua_poll poll_io(skua_frame *frame)
{
    skua_io *io = (skua_io *)(void *)frame;
    ssize_t result;
    for (;;) {
        if (frame->resume == WAIT) {
            if (skuai_await_op(frame, &io->wait) == SKUA_PENDING)
                return SKUA_PENDING;
            frame->resume = TRY;
            if (io->wait.result < 0) {
                result = (ssize_t)io->wait.result;
                break;
            }
        } else {
            int rc = skua_interrupted();
            if (rc < 0) {
                result = rc;
                break;
            }
            if (!skuai_frame_may_go_on(frame))
                return SKUA_PENDING;
        }
        if (go_on(io, &result))
            break;
        frame->resume = WAIT;
        skuai_await_set_op(frame, skuai_op_start(skuai_source_wait_in_prepare(
                                      &io->wait, skuai_stream_source(io->stream), direction_of(io), io->life)));
    }
    frame->result = result;
    frame->flags |= SKUAI_FRAME_ENDED;
    return SKUA_DONE;
}

static skua_frame *start_io(skua_io *io, skua_stream *stream, enum what what, void *data, size_t size)
{
    io->stream = stream;
    io->data = data;
    io->size = size;
    io->done = 0;
    io->what = what;
    (void)skuai_source_begin(skuai_stream_source(stream), &io->life); /* closed before: as closed meanwhile */
    return skua_frame_init(&io->frame, poll_io);
}

skua_frame *skua_read_start(skua_io *io, skua_stream *stream, void *buffer, size_t size)
{
    return start_io(io, stream, READ, buffer, size);
}
skua_frame *skua_write_start(skua_io *io, skua_stream *stream, const void *data, size_t size)
{
    return start_io(io, stream, WRITE, (void *)(uintptr_t)data, size); /* it is only read */
}
skua_frame *skua_write_all_start(skua_io *io, skua_stream *stream, const void *data, size_t size)
{
    return start_io(io, stream, WRITE_ALL, (void *)(uintptr_t)data, size);
}

skua_op *skua_stream_readable_prepare(skua_op *op, skua_stream *stream)
{
    return skuai_source_wait_prepare(op, skuai_stream_source(stream), SKUAI_READING);
}
skua_op *skua_stream_writable_prepare(skua_op *op, skua_stream *stream)
{
    return skuai_source_wait_prepare(op, skuai_stream_source(stream), SKUAI_WRITING);
}

/* ---- opening and closing --------------------------------------------------------------------------------------- */

int skuai_stream_of_fd(skua_stream **stream, skua_runtime *rt, int fd, enum skuai_stream_kind kind)
{
    struct skuai_source *source;
    int rc = skuai_source_open_as(rt, fd, false, (uint8_t)kind, &source);
    if (rc < 0)
        return rc;
    *stream = (skua_stream *)(void *)source;
    return 0;
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
    int rc = skuai_stream_of_fd(stream, rt, fd, kind_of(fd));
    if (rc < 0 && !(flags & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, flags); /* as it was */
    return rc;
}

void skua_stream_close(skua_stream *stream) { skuai_source_close(skuai_stream_source(stream)); }

int skua_stream_fd(const skua_stream *stream) { return skuai_stream_source(stream)->fd; }

int skua_stream_shutdown_write(skua_stream *stream)
{
    struct skuai_source *source = skuai_stream_source(stream);
    uint32_t life;
    if (!skuai_source_begin(source, &life) || !skuai_source_enter(source, life))
        return -EBADF;
    int rc = shutdown(source->fd, SHUT_WR) == 0 ? 0 : -skua_errno();
    skuai_source_leave(source);
    return rc;
}
