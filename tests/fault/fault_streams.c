/* Descriptors over unix sockets, and streams of one's own, with what they call failing: what the kernel asks to try
 * again is never noticed; of the descriptors that come with a message all are handed out or none; nothing is left over.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <skua/copy.h>
#include <skua/fd_passing.h>
#include <skua/socket.h>
#include <skua/stream_methods.h>

#include "support/faults.h"
#include "support/memory_pipe.h"
#include "support/test.h"

enum { SOFT_WAYS = 3, AT_LIMIT_WAY = 5, MESSAGES = 3, FDS = 3 };

static bool is_soft(void)
{
    for (int way = 0; way < SOFT_WAYS; way++)
        if (faults_is_armed(FAULT_sendmsg, way) || faults_is_armed(FAULT_recvmsg, way) ||
            faults_is_armed(FAULT_skuai_send, way))
            return true;
    return false;
}

static bool done(int64_t rc)
{
    if (rc >= 0)
        return true;
    if (is_soft() || !faults_may_refuse())
        test_fail(__FILE__, __LINE__, "%s (%lld), though nothing was refused", skua_strerror((int)rc), (long long)rc);
    CHECK(rc != -EINTR && rc != -EAGAIN && rc != -EBADF && rc != -EMSGSIZE);
    CHECK(rc != -ENOTSUP);
    CHECK(rc != -EMFILE || faults_is_armed(FAULT_recvmsg, AT_LIMIT_WAY) || faults_is_armed(FAULT_socketpair, 0));
    return false;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

static void close_received(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(close(fds[i]), 0);
        faults_count(FAULTS_DESCRIPTORS, -1);
    }
}

static int sends(void *arg)
{
    int pipes[2];
    bool goes_on = true;
    CHECK_EQ(pipe(pipes), 0);
    for (int i = 0; i < MESSAGES && goes_on; i++) {
        ssize_t n = skua_send_fds(arg, "ab", 2, (int[]){ pipes[0], pipes[1], pipes[1] }, FDS);
        goes_on = done(n) && (n == 2 || done(skua_write_all(arg, "b", 1)));
    }
    CHECK_EQ(close(pipes[0]), 0);
    CHECK_EQ(close(pipes[1]), 0);
    skua_stream_close(arg);
    return 0;
}

/* Until the end, or an error. */
static void receive(skua_stream *from)
{
    size_t bytes = 0, received = 0;
    ssize_t n;
    for (;;) {
        int fds[FDS];
        size_t count;
        char buffer[2];
        n = skua_receive_fds(from, buffer, sizeof buffer, fds, FDS, &count);
        if (n <= 0) {
            CHECK_EQ(count, 0);
            break;
        }
        CHECK(count == 0 || count == FDS);
        close_received(fds, count);
        bytes += (size_t)n;
        received += count;
    }
    if (done(n) && !faults_may_refuse())
        CHECK(bytes == 2 * MESSAGES && received == FDS * MESSAGES);
}

struct receives {
    SKUA_FRAME;
    struct { skua_stream *from; } in;
    skua_fds_io io;
    int fds[FDS];
    char buffer[2];
};
SKUA_ASYNC(receives)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_receive_fds_start(&self->io, self->in.from, self->buffer, 2, self->fds, FDS));
        if (SKUA_RESULT(&self->io) <= 0)
            break;
        CHECK(self->io.count == 0 || self->io.count == FDS);
        close_received(self->fds, self->io.count);
    }
    SKUA_END(SKUA_RESULT(&self->io));
}

static void receive_as(bool as_future, skua_stream *from)
{
    skua_task *task;
    int64_t result;
    if (!as_future) {
        receive(from);
    } else if (done(SKUA_SPAWN(&task, receives, .from = from))) {
        CHECK_OK(skua_join(task, &result));
        (void)done(result);
    }
}

static int passes(void *arg)
{
    (void)arg;
    for (int as_future = 0; as_future < 2; as_future++) {
        skua_stream *pair[2];
        skua_task *task;
        skua_peer_credentials peer;
        if (!done(skua_stream_pair(pair, NULL)))
            return 0;
        if (done(skua_stream_peer_credentials(pair[0], &peer)))
            CHECK_EQ(peer.pid, getpid());
        if (done(skua_spawn(&task, sends, pair[1]))) {
            receive_as(as_future, pair[0]);
            skua_stream_close(pair[0]); /* whoever still sends learns of it */
            CHECK_OK(skua_join(task, NULL));
        } else {
            skua_stream_close(pair[0]);
            skua_stream_close(pair[1]);
        }
    }
    return 0;
}

/* ---- streams of one's own --------------------------------------------------------------------------------------- */

static int sends_text(void *arg)
{
    ssize_t n = skua_write_all(arg, "0123456789", 10);
    CHECK(n == 10 || n == -EPIPE);
    return skua_stream_shutdown_write(arg);
}

static void copy_to(skua_stream *to[2], skua_stream *from[2])
{
    skua_task *task;
    char got[10];
    uint64_t copied;
    if (!done(skua_spawn(&task, sends_text, from[1])))
        return;
    if (done(skua_copy(to[1], from[0], UINT64_MAX, &copied))) {
        CHECK_EQ(copied, 10);
        CHECK_EQ(skua_read_exactly(to[0], got, 10, NULL), 10);
        CHECK(memcmp(got, "0123456789", 10) == 0);
    } else {
        CHECK_EQ(copied, 0);
        CHECK(skua_read_exactly(from[0], got, 10, NULL) == 10); /* nothing was taken */
    }
    CHECK_OK(skua_join(task, NULL));
}

static int own_streams(void *arg)
{
    (void)arg;
    skua_stream *from[2], *to[2];
    if (!done(memory_pipe_make(from, 4)))
        return 0;
    if (done(memory_pipe_make(to, 64))) {
        copy_to(to, from);
        skua_stream_close(to[0]);
        skua_stream_close(to[1]);
    }
    skua_stream_close(from[0]);
    skua_stream_close(from[1]);
    return 0;
}

/* ---- lives ------------------------------------------------------------------------------------------------------ */

static void live(void *arg)
{
    skua_runtime *rt;
    skua_fiber_fn *const *body = arg;
    skua_config config = faults_config(2, true);
    if (!faults_done(skua_runtime_create(&rt, &config)))
        return;
    (void)done(skua_block_on(rt, *body, NULL));
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

#define LIVE(body_, ...)                                \
    do {                                                \
        skua_fiber_fn *run_ = (body_);                  \
        FAULTS_EACH(live, &run_, __VA_ARGS__);          \
    } while (0)

TEST(descriptors_come_all_or_none)
{
    LIVE(passes, FAULT_recvmsg, FAULT_sendmsg, FAULT_skuai_send, FAULT_getsockname, FAULT_getsockopt, FAULT_socketpair,
         FAULT_close, FAULT_epoll_ctl, FAULT_application_alloc);
}
TEST(streams_of_ones_own) { LIVE(own_streams, FAULT_aligned_alloc, FAULT_malloc, FAULT_application_alloc); }
