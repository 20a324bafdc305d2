/* Copying by splice(2), through a pipe that the bytes do not leave: what has been read from one descriptor lies in the
 * pipe until the other one has room. Where splice does not do (a terminal, a descriptor in append mode): through
 * memory.
 */
#define _GNU_SOURCE
#include "skua/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/stream.h"
#include "sched/wait.h"
#include "skua/combine.h"

enum { PIECE = 1 << 16, MEMORY = 1 << 14 }; /* a pipe's usual size; untuned */

struct copying {
    skua_stream *to, *from;
    uint64_t limit, copied;
    struct copying *back; /* the other way, of two */
    skua_word32 has_ended; /* of two: all that came is written, and the end is passed on; read by the other way */
};

static int wait_for(skua_stream *stream, enum skuai_direction direction, uint32_t life)
{
    skua_op op;
    return (int)skuai_call(skuai_source_wait_in_prepare(&op, skuai_stream_source(stream), direction, life));
}

/* One splice between a stream and the pipe, once it does not have to wait. 0: the end, of reading. */
static ssize_t splice_when_ready(skua_stream *stream, enum skuai_direction direction, int pipe_fd, size_t size)
{
    struct skuai_source *source = skuai_stream_source(stream);
    uint32_t life;
    if (!skuai_source_begin(source, &life))
        return -EBADF;
    for (;;) {
        int rc = skuai_call_begin(skuai_worker_self(), "skua_copy");
        if (rc < 0)
            return rc;
        uint64_t seen = skuai_source_readiness(source);
        ssize_t n = -EAGAIN;
        if (skuai_readiness_has(seen, direction)) {
            if (!skuai_source_enter(source, life))
                return -ECANCELED;
            do
                n = direction == SKUAI_READING
                        ? splice(source->fd, NULL, pipe_fd, NULL, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE)
                        : splice(pipe_fd, NULL, source->fd, NULL, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
            while (n < 0 && (n = -(ssize_t)skua_errno()) == -EINTR);
            if (n == -EAGAIN)
                skuai_source_drained(source, seen, direction);
            skuai_source_leave(source);
        }
        if (n != -EAGAIN)
            return (ssize_t)skuai_call_end(skuai_worker_self(), n);
        rc = wait_for(stream, direction, life);
        if (rc < 0)
            return rc;
    }
}

/* What lies in the pipe goes out. */
static int drain_pipe(struct copying *c, int pipe_fd, size_t size)
{
    while (size > 0) {
        ssize_t n = splice_when_ready(c->to, SKUAI_WRITING, pipe_fd, size);
        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
        size -= (size_t)n;
        c->copied += (uint64_t)n;
    }
    return 0;
}

static size_t next_piece(const struct copying *c, size_t most)
{
    uint64_t left = c->limit - c->copied;
    return left < most ? (size_t)left : most;
}

/* The other side takes no splice: what lies in the pipe already goes through memory. -EINVAL: the rest is to, too. */
static int rescue(struct copying *c, int pipe_fd, size_t size)
{
    char *memory = malloc(size);
    ssize_t n = memory != NULL ? 0 : -ENOMEM;
    while (n >= 0 && size > 0) {
        n = read(pipe_fd, memory, size);
        n = n < 0 ? -(ssize_t)skua_errno() : n;
        if (n == -EINTR) {
            n = 0;
            continue;
        }
        size_t written = 0;
        ssize_t rc = n > 0 ? skua_write_all_counted(c->to, memory, (size_t)n, &written) : -EPIPE;
        c->copied += written;
        size -= n > 0 ? (size_t)n : 0;
        n = n >= 0 && rc < 0 ? rc : n;
    }
    free(memory);
    return n < 0 ? (int)n : -EINVAL;
}

/* -EINVAL if a splice was refused for what its descriptors are; nothing is lost then. */
static int by_splice(struct copying *c, const int fds[2])
{
    while (c->copied < c->limit) {
        uint64_t before = c->copied;
        ssize_t n = splice_when_ready(c->from, SKUAI_READING, fds[1], next_piece(c, PIECE));
        if (n <= 0)
            return (int)n;
        int rc = drain_pipe(c, fds[0], (size_t)n);
        if (rc == -EINVAL)
            rc = rescue(c, fds[0], (size_t)n - (size_t)(c->copied - before));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int by_memory(struct copying *c)
{
    char *memory = malloc(MEMORY);
    ssize_t n = memory != NULL ? 1 : -ENOMEM;
    while (n > 0 && c->copied < c->limit && (n = skua_read(c->from, memory, next_piece(c, MEMORY))) > 0) {
        size_t written;
        ssize_t rc = skua_write_all_counted(c->to, memory, (size_t)n, &written);
        c->copied += written;
        n = rc < 0 ? rc : n;
    }
    free(memory);
    return n < 0 ? (int)n : 0;
}

static int copy(struct copying *c)
{
    int fds[2];
    if (skuai_stream_is_made(c->to) || skuai_stream_is_made(c->from))
        return by_memory(c);
    /* A plain thread may have SIGPIPE open, and splice has no flag against it. Without descriptors it goes, too. */
    if (skuai_worker_self() == NULL || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
        return by_memory(c);
    int rc = by_splice(c, fds);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return rc == -EINVAL ? by_memory(c) : rc;
}

int64_t skua_copy(skua_stream *to, skua_stream *from, uint64_t limit, uint64_t *copied)
{
    struct copying c = { .to = to, .from = from, .limit = limit };
    int rc = copy(&c);
    if (copied != NULL)
        *copied = c.copied;
    return rc < 0 ? rc : (int64_t)c.copied;
}

/* ---- both ways --------------------------------------------------------------------------------------------------- */

/* Whether the end that was read is none. The kernel tells of a reset once. If it has told the other way, which writes
 * to this stream, there is an end to be read after it; but the state is CLOSED then, which after an end it can only be
 * if this side has ended, too. The other way's word is read after the state, and written before it ends this side. So
 * if it is 0 the state is not of its making; and if it is 1 it has written without an error, and was not told. */
static bool was_reset(struct copying *c)
{
    struct skuai_source *source = skuai_stream_source(c->from);
    struct tcp_info info = { .tcpi_state = TCP_ESTABLISHED };
    socklen_t size = sizeof info;
    uint32_t life;
    if (!skuai_source_begin(source, &life) || !skuai_source_enter(source, life))
        return false;
    bool is_closed = getsockopt(source->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_CLOSE;
    skuai_source_leave(source);
    /* SEQ_CST: message passing, { has_ended; shutdown } against { state; has_ended }, through the kernel. */
    return is_closed && skuai_load_32(&c->back->has_ended, SKUAI_SEQ_CST) == 0;
}

static int copy_one_way(void *arg)
{
    struct copying *c = arg;
    int rc = copy(c);
    if (rc == 0 && was_reset(c))
        rc = -ECONNRESET;
    if (rc < 0)
        return rc;
    skuai_store_32(&c->has_ended, 1, SKUAI_SEQ_CST); /* pairs with was_reset() */
    (void)skua_stream_shutdown_write(c->to);         /* one that cannot be (a pipe) ends when it is closed */
    return 0;
}

int64_t skua_copy_both(skua_stream *a, skua_stream *b, uint64_t *there, uint64_t *back)
{
    struct copying ways[2] = { { .to = b, .from = a, .limit = UINT64_MAX, .back = &ways[1] },
                               { .to = a, .from = b, .limit = UINT64_MAX, .back = &ways[0] } };
    skua_child children[2];
    skua_task *task;
    int64_t rc = skua_spawn(&task, copy_one_way, &ways[0]);
    if (rc == 0) {
        skua_task *other;
        skua_child_task(&children[0], task);
        rc = skua_spawn(&other, copy_one_way, &ways[1]);
        if (rc < 0)
            skua_cancel(task); /* which is not joined yet */
        else
            skua_child_task(&children[1], other);
        int64_t joined = skua_join_all(children, rc < 0 ? 1 : 2);
        rc = rc < 0 ? rc : joined;
    }
    if (there != NULL)
        *there = ways[0].copied;
    if (back != NULL)
        *back = ways[1].copied;
    return rc;
}
