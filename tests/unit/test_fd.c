/* Readiness of descriptors that others read and write. */
#define _GNU_SOURCE
#include "skua/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/with_runtime.h"

static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
}

static int writes_one(void *arg)
{
    CHECK_EQ(write(*(int *)arg, "x", 1), 1);
    return 0;
}

static int waiting(void *arg)
{
    (void)arg;
    int fds[2];
    skua_fd *ends[2];
    char bytes[8];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_fd_open(&ends[i], NULL, fds[i]));
    CHECK_EQ(skua_fd_poll(ends[0], SKUA_READABLE), 0);
    CHECK_EQ(skua_fd_wait(ends[0], SKUA_WRITABLE), SKUA_WRITABLE);
    CHECK_EQ(skua_fd_wait(ends[0], SKUA_READABLE | SKUA_WRITABLE), SKUA_WRITABLE);
    CHECK_EQ(skua_fd_wait(ends[0], 0), -EINVAL);
    CHECK_EQ(skua_fd_wait_until(ends[0], SKUA_READABLE, skua_after(SKUA_MS)), -ETIMEDOUT);
    for (int i = 0; i < 50; i++) {
        skua_task *task;
        CHECK_OK(skua_spawn(&task, writes_one, &fds[1]));
        CHECK_EQ(skua_fd_wait(ends[0], SKUA_READABLE), SKUA_READABLE);
        CHECK_EQ(skua_fd_wait(ends[0], SKUA_READABLE), SKUA_READABLE); /* nothing was read: it still is */
        CHECK_EQ(read(fds[0], bytes, i % 2 ? 1 : sizeof bytes), 1);
        CHECK_EQ(skua_fd_poll(ends[0], SKUA_READABLE), 0);
        CHECK_OK(skua_join(task, NULL));
    }
    CHECK_EQ(send(fds[1], "y", 1, 0), 1);
    skua_fd_close(ends[1]);
    close(fds[1]);
    CHECK_EQ(skua_fd_wait(ends[0], SKUA_READABLE) & (SKUA_READABLE | SKUA_HANGUP), SKUA_READABLE | SKUA_HANGUP);
    skua_fd_close(ends[0]);
    CHECK_EQ(read(fds[0], bytes, 1), 1); /* it was not closed */
    close(fds[0]);
    return 0;
}
TEST(waits_for_either_direction) { run_for_real(waiting); }

struct waits {
    SKUA_FRAME;
    struct { skua_fd *watch; } in;
    skua_fd_waiting waiting;
};
SKUA_ASYNC(waits)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_fd_wait_start(&self->waiting, self->in.watch, SKUA_READABLE));
    SKUA_END(SKUA_RESULT(&self->waiting));
}
static int in_futures(void *arg)
{
    (void)arg;
    int fds[2];
    skua_fd *watch;
    skua_task *tasks[3];
    int64_t result;
    char byte;
    CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
    CHECK_OK(skua_fd_open(&watch, NULL, fds[0]));
    for (int i = 0; i < 3; i++)
        CHECK_OK(SKUA_SPAWN(&tasks[i], waits, .watch = watch));
    skua_yield();
    skua_cancel(tasks[0]);
    CHECK_EQ(write(fds[1], "z", 1), 1);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK(result == SKUA_READABLE || (i == 0 && result == -ECANCELED));
    }
    CHECK_EQ(read(fds[0], &byte, 1), 1);
    CHECK_OK(SKUA_SPAWN(&tasks[0], waits, .watch = watch));
    skua_sleep(SKUA_MS);
    skua_fd_close(watch);
    CHECK_OK(skua_join(tasks[0], &result));
    CHECK(result == -ECANCELED || result == -EBADF);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
TEST(waits_in_futures) { run_for_real(in_futures); }

static int others(void *arg)
{
    (void)arg;
    skua_fd *watch;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fds[2];
    CHECK_OK(skua_fd_open(&watch, NULL, file));
    CHECK_EQ(skua_fd_wait(watch, SKUA_READABLE), SKUA_READABLE);
    skua_fd_close(watch);
    close(file);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_OK(skua_fd_open(&watch, NULL, fds[0]));
    close(fds[0]); /* behind its back */
    CHECK_EQ(skua_fd_wait(watch, SKUA_READABLE), -EBADF);
    skua_fd_close(watch);
    close(fds[1]);
    return 0;
}
TEST(files_and_closed_ones) { run_for_real(others); }
