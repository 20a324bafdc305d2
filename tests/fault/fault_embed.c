/* An embedded runtime, made, turned by a loop, and ended, with each call that this makes failing. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>

#include <skua/stream.h>

#include "support/faults.h"
#include "support/test.h"

enum { LONG_MS = 20000 };

/* Whatever the kernel refused comes through. */
static bool done(int64_t rc)
{
    CHECK(rc >= 0 || faults_may_refuse());
    return rc >= 0;
}

static int64_t blocks(void *arg)
{
    (void)arg;
    return 1;
}

/* A bit of everything that makes the descriptor readable. Returns 0, or what was refused. */
static int body(void *ended)
{
    skua_stream *pair[2];
    char byte = 'x';
    int rc = skua_sleep(SKUA_MS);
    if (rc == 0)
        rc = skua_stream_pair(pair, NULL);
    if (rc == 0) {
        ssize_t n = skua_write_all(pair[0], &byte, 1);
        n = n == 1 ? skua_read(pair[1], &byte, 1) : n;
        rc = n == 1 ? 0 : n < 0 ? (int)n : -EIO;
        for (int i = 0; i < 2; i++)
            skua_stream_close(pair[i]);
    }
    int64_t blocked = skua_blocking(blocks, NULL);
    *(int *)ended = 1;
    return rc < 0 ? rc : blocked < 0 ? (int)blocked : 0;
}

static void live(void *arg)
{
    skua_config config = faults_config(0, arg != NULL);
    skua_runtime *rt;
    skua_task *task;
    int64_t result;
    int ended = 0, rc;
    config.embed = true;
    if (!done(skua_runtime_create(&rt, &config))) {
        CHECK(rt == NULL);
        return;
    }
    struct pollfd watched = { .fd = skua_embed_fd(rt), .events = POLLIN };
    CHECK(watched.fd >= 0);
    rc = skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, body, &ended);
    if (done(rc)) {
        while (skua_try_join(task, &result) == -EAGAIN) {
            CHECK_EQ(poll(&watched, 1, LONG_MS), 1);
            CHECK(skua_turn(rt, 0) >= 0);
        }
        CHECK(ended);
        (void)done(result);
    }
    (void)done(skua_block_on(rt, body, &ended));
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

TEST(memory) { FAULTS_EACH(live, "own", FAULT_application_alloc, FAULT_malloc, FAULT_calloc, FAULT_aligned_alloc); }
TEST(the_systems_memory) { FAULTS_EACH(live, NULL, FAULT_malloc, FAULT_calloc, FAULT_aligned_alloc, FAULT_realloc); }
TEST(the_poller)
{
    FAULTS_EACH(live, NULL, FAULT_epoll_create1, FAULT_eventfd, FAULT_timerfd_create, FAULT_epoll_ctl, FAULT_epoll_wait,
                FAULT_epoll_pwait2, FAULT_read, FAULT_write);
}
TEST(mappings) { FAULTS_EACH(live, NULL, FAULT_mmap, FAULT_munmap, FAULT_madvise, FAULT_mprotect); }
TEST(signals_and_threads)
{
    FAULTS_EACH(live, NULL, FAULT_sigaction, FAULT_sigaltstack, FAULT_pthread_atfork, FAULT_pthread_create);
}
