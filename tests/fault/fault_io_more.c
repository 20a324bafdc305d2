/* Datagrams, copies, watched descriptors, blocking calls and child processes with their system calls failing. What the
 * kernel asks to try again is never noticed; an error is told to who called, and what was being made is unmade. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skua/blocking.h>
#include <skua/copy.h>
#include <skua/fd.h>
#include <skua/process.h>
#include <skua/socket.h>
#include <skua/udp.h>

#include "support/faults.h"
#include "support/test.h"

/* What goes on elsewhere without these does not here: /dev/null, and a descriptor for a process. */
static bool is_needed_here(void)
{
    for (int way = 0; way < 3; way++)
        if (faults_is_armed(FAULT_open, way) || faults_is_armed(FAULT_syscall, way))
            return true;
    return false;
}

static bool done(int64_t rc)
{
    if (rc >= 0)
        return true;
    if (!faults_may_refuse() && !is_needed_here())
        test_fail(__FILE__, __LINE__, "%s (%lld), though nothing was refused", skua_strerror((int)rc), (long long)rc);
    CHECK(rc != -EINTR && rc != -EBADF);
    return false;
}

static int datagrams(void *arg)
{
    (void)arg;
    skua_udp *sockets[2];
    skua_address address;
    char buffers[6][8];
    skua_datagram batch[6];
    if (!done(skua_udp_open(&sockets[0], "udp://127.0.0.1:0", NULL)))
        return 0;
    if (done(skua_udp_open(&sockets[1], "udp://127.0.0.1:0", NULL))) {
        if (done(skua_udp_address(sockets[1], &address))) {
            for (int i = 0; i < 6; i++)
                batch[i] = (skua_datagram){ .data = buffers[i], .size = sizeof buffers[i], .address = address };
            int sent = skua_udp_send_many(sockets[0], batch, 6), got = 0, n = 1;
            SKUA_DEADLINE(SKUA_S);
            while (done(sent) && got < sent && n > 0 && done(n = skua_udp_receive_many(sockets[1], batch, 6)))
                got += n;
            skua_udp_io io;
            char byte = 'x';
            if (done(skua_await_frame(skua_udp_send_start(&io, sockets[0], &byte, 1, &address))) &&
                done(skua_await_frame(skua_udp_receive_start(&io, sockets[1], buffers[0], 8, NULL))))
                CHECK(got < sent || buffers[0][0] == 'x');
        }
        skua_udp_close(sockets[1]);
    }
    skua_udp_close(sockets[0]);
    return 0;
}

static int copies(void *arg)
{
    (void)arg;
    skua_stream *from[2], *to[2];
    uint64_t copied;
    char buffer[64];
    if (!done(skua_stream_pair(from, NULL)))
        return 0;
    if (done(skua_stream_pair(to, NULL))) {
        if (done(skua_write_all(from[1], "0123456789", 10)) && done(skua_copy(to[1], from[0], 10, &copied)))
            CHECK(copied == 10 && skua_read_exactly(to[0], buffer, 10, NULL) == 10);
        skua_stream_close(to[0]);
        skua_stream_close(to[1]);
    }
    skua_stream_close(from[0]);
    skua_stream_close(from[1]);
    return 0;
}

static int watches(void *arg)
{
    (void)arg;
    int fds[2];
    skua_fd *watch;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    if (done(skua_fd_open(&watch, NULL, fds[0]))) {
        int ready = skua_fd_wait_until(watch, SKUA_READABLE, skua_after(1000));
        CHECK(ready == -ETIMEDOUT || !done(ready));
        CHECK_EQ(write(fds[1], "x", 1), 1);
        ready = skua_fd_wait(watch, SKUA_READABLE | SKUA_WRITABLE);
        CHECK(!done(ready) || (ready & SKUA_READABLE));
        skua_fd_close(watch);
    }
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static int64_t is_called(void *arg) { return ++*(int *)arg; }
static int calls(void *arg)
{
    (void)arg;
    int called = 0;
    for (int i = 0; i < 3; i++) {
        int before = called;
        int64_t rc = skua_blocking(is_called, &called);
        CHECK_EQ(called, done(rc) ? before + 1 : before);
    }
    return 0;
}

/* ---- calls that wait, as no thread can be started for them ------------------------------------------------------- */

enum { QUEUED = 5 };

static int64_t holds(void *arg)
{
    int *held = arg; /* 1: its thread has begun; 2: it may end */
    __atomic_store_n(held, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(held, __ATOMIC_ACQUIRE) == 1)
        sched_yield();
    return 0;
}

static int is_held(void *arg) { return (int)skua_blocking(holds, arg); }
static int is_queued(void *arg) { return (int)skua_blocking(is_called, arg); }

static skua_stats stats_now(void)
{
    skua_stats stats;
    skua_runtime_stats(skua_runtime_self(), &stats);
    return stats;
}

static int queues(void *arg)
{
    skua_task *holder, *tasks[QUEUED];
    skua_stats stats;
    int held = 0, called = 0;
    int64_t result;
    (void)arg;
    CHECK_OK(skua_spawn(&holder, is_held, &held));
    while (__atomic_load_n(&held, __ATOMIC_ACQUIRE) == 0)
        CHECK_OK(skua_yield());
    for (int i = 0; i < QUEUED; i++)
        CHECK_OK(skua_spawn(&tasks[i], is_queued, &called));
    while ((stats = stats_now()).blocking_queued < QUEUED)
        CHECK_OK(skua_yield());
    CHECK_EQ(stats.blocking_queued_max, QUEUED);
    CHECK_EQ(stats.blocking_calls, 1);
    CHECK_EQ(stats.blocking_idle, 0);
    skua_cancel(tasks[2]);
    CHECK_OK(skua_join(tasks[2], &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(stats_now().blocking_queued, QUEUED - 1);
    __atomic_store_n(&held, 2, __ATOMIC_RELEASE);
    for (int i = 0; i < QUEUED; i++)
        if (i != 2)
            CHECK_OK(skua_join(tasks[i], NULL));
    CHECK_OK(skua_join(holder, NULL));
    CHECK_EQ(called, QUEUED - 1);
    while ((stats = stats_now()).blocking_idle == 0) /* it is on its way there */
        CHECK_OK(skua_yield());
    CHECK_EQ(stats.blocking_threads, 1);
    CHECK_EQ(stats.blocking_queued, 0);
    CHECK_EQ(stats.blocking_queued_max, QUEUED);
    CHECK_EQ(stats.blocking_calls, QUEUED);
    return 0;
}

static int processes(void *arg)
{
    (void)arg;
    const char *argv[] = { "cat", NULL };
    skua_process_attr attr = { .argv = argv, .directory = "/", .in = SKUA_PIPE, .out = SKUA_PIPE, .err = SKUA_NULL };
    skua_process *child;
    skua_process_status status;
    char byte = 'x';
    if (!done(skua_process_spawn(&child, &attr)))
        return 0;
    if (done(skua_write_all(skua_process_in(child), &byte, 1)) && done(skua_read(skua_process_out(child), &byte, 1)))
        CHECK_EQ(byte, 'x');
    skua_process_close_in(child);
    if (done(skua_process_wait(child, &status)))
        CHECK_EQ(status.code, 0);
    skua_process_destroy(child);
    return 0;
}

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

TEST(datagrams_come_or_are_refused) { LIVE(datagrams, FAULT_recvmmsg, FAULT_sendmmsg, FAULT_socket, FAULT_bind); }
TEST(copies_go_by_memory_if_need_be) { LIVE(copies, FAULT_splice, FAULT_pipe2, FAULT_malloc); }
TEST(watched_descriptors) { LIVE(watches, FAULT_poll, FAULT_epoll_ctl); }
TEST(threads_for_calls) { LIVE(calls, FAULT_pthread_create, FAULT_application_alloc); }
TEST(calls_that_wait_for_a_thread)
{
    skua_runtime *rt;
    skua_config config = faults_config(2, true);
    config.stuck_ns = SKUA_NEVER; /* no more threads than two workers, the guard, and one for calls */
    faults_arm(FAULT_pthread_create, 0, 5, FAULTS_BURST);
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, queues, NULL), 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
    faults_disarm();
}
TEST(child_processes)
{
    LIVE(processes, FAULT_posix_spawnp, FAULT_posix_spawn_file_actions_init, FAULT_posix_spawnattr_init,
         FAULT_posix_spawn_file_actions_addchdir_np, FAULT_posix_spawn_file_actions_adddup2, FAULT_pipe2, FAULT_open,
         FAULT_waitid, FAULT_syscall, FAULT_calloc);
}
