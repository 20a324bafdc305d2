/* Sources: descriptors in the poller, waited for by fibers and threads, closed under them. */
#include "io/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/driver.h"
#include "sched/wait.h"

#include "support/with_runtime.h"

/* Real descriptors need real workers. */
static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
}

static void make_pair(int fds[2]) { CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0); }

static void open_pair(struct skuai_source *sources[2])
{
    int fds[2];
    make_pair(fds);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skuai_source_open(NULL, fds[i], false, &sources[i]));
}

static int wait_for(struct skuai_source *source, enum skuai_direction direction)
{
    skua_op op;
    return (int)skuai_call(skuai_source_wait_prepare(&op, source, direction));
}

/* As streams do it. */
static int read_byte(struct skuai_source *source, char *byte)
{
    for (;;) {
        uint64_t seen = skuai_source_readiness(source);
        if (!skuai_source_enter(source))
            return -EBADF;
        ssize_t n = skuai_readiness_has(seen, SKUAI_READING) ? read(source->fd, byte, 1) : (errno = EAGAIN, -1);
        int error = errno;
        if (n < 0 && error == EAGAIN)
            skuai_source_drained(source, seen, SKUAI_READING);
        skuai_source_leave(source);
        if (n >= 0)
            return (int)n;
        if (error != EAGAIN)
            return -error;
        int rc = wait_for(source, SKUAI_READING);
        if (rc < 0)
            return rc;
    }
}

static void write_byte(struct skuai_source *source, char byte)
{
    CHECK(skuai_source_enter(source));
    CHECK_EQ(write(source->fd, &byte, 1), 1);
    skuai_source_leave(source);
}

static int echoes(void *arg)
{
    struct skuai_source *source = arg;
    char byte;
    int rc;
    while ((rc = read_byte(source, &byte)) > 0)
        write_byte(source, byte);
    CHECK_EQ(rc, 0);
    skuai_source_close(source);
    return 0;
}

static int one_echo(void *arg)
{
    struct skuai_source *sources[2];
    skua_task *task;
    char byte = 0;
    (void)arg;
    open_pair(sources);
    CHECK_OK(skua_spawn(&task, echoes, sources[1]));
    for (int i = 0; i < 200; i++) {
        write_byte(sources[0], (char)i);
        CHECK_EQ(read_byte(sources[0], &byte), 1);
        CHECK_EQ(byte, (char)i);
    }
    skuai_source_close(sources[0]);
    CHECK_OK(skua_join(task, NULL));
    return 0;
}
TEST(a_byte_comes_back) { run_for_real(one_echo); }

enum { PAIRS = 50 };
static int pings(void *arg)
{
    struct skuai_source *source = arg;
    char byte = 0;
    for (int i = 0; i < 100; i++) {
        write_byte(source, (char)i);
        CHECK_EQ(read_byte(source, &byte), 1);
        CHECK_EQ(byte, (char)i);
    }
    skuai_source_close(source);
    return 0;
}
static int many_echoes(void *arg)
{
    (void)arg;
    skua_task *tasks[2 * PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        struct skuai_source *sources[2];
        open_pair(sources);
        CHECK_OK(skua_spawn(&tasks[2 * i], echoes, sources[1]));
        CHECK_OK(skua_spawn(&tasks[2 * i + 1], pings, sources[0]));
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}
TEST(many_at_once) { run_for_real(many_echoes); }

static int waits(void *arg)
{
    char byte;
    return read_byte(arg, &byte);
}
static int close_under_waiters(void *arg)
{
    (void)arg;
    struct skuai_source *sources[2];
    skua_task *tasks[3];
    int64_t result;
    open_pair(sources);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn(&tasks[i], waits, sources[0]));
    skua_sleep(SKUA_MS);
    skuai_source_close(sources[0]);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK(result == -ECANCELED || result == -EBADF);
    }
    skuai_source_close(sources[1]);
    return 0;
}
TEST(closing_ends_waits) { run_for_real(close_under_waiters); }

static int cancelled_and_timed(void *arg)
{
    (void)arg;
    struct skuai_source *sources[2];
    skua_task *task;
    int64_t result;
    char byte;
    open_pair(sources);
    CHECK_OK(skua_spawn(&task, waits, sources[0]));
    skua_yield();
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(read_byte(sources[0], &byte), -ETIMEDOUT);
    }
    write_byte(sources[1], 'x');
    CHECK_EQ(read_byte(sources[0], &byte), 1);
    skuai_source_close(sources[0]);
    skuai_source_close(sources[1]);
    return 0;
}
TEST(cancelled_waits_and_deadlines) { run_for_real(cancelled_and_timed); }

/* Every worker computes: the guard sees to descriptors. */
static int hogs(void *arg)
{
    bool *stop = arg;
    while (!__atomic_load_n(stop, __ATOMIC_RELAXED))
        ;
    return 0;
}
struct outside {
    struct skuai_source *source;
    bool stop;
};
static int reads_then_stops(void *arg)
{
    struct outside *o = arg;
    char byte;
    CHECK_EQ(read_byte(o->source, &byte), 1);
    __atomic_store_n(&o->stop, true, __ATOMIC_RELAXED);
    return 0;
}
static void *echoes_outside(void *arg)
{
    struct skuai_source *source = arg;
    char byte;
    CHECK_EQ(read_byte(source, &byte), 1);
    write_byte(source, byte);
    return NULL;
}
static int with_hogs(void *arg)
{
    (void)arg;
    struct skuai_source *sources[2];
    struct outside o = { .stop = false };
    skua_task *hog, *reader;
    open_pair(sources);
    o.source = sources[0];
    CHECK_OK(skua_spawn(&reader, reads_then_stops, &o));
    skua_yield();
    skua_yield();
    CHECK_OK(skua_spawn(&hog, hogs, &o.stop));
    write_byte(sources[1], 'x');
    hogs(&o.stop); /* the third worker sleeps in the poller */
    CHECK_OK(skua_join(hog, NULL));
    CHECK_OK(skua_join(reader, NULL));
    skuai_source_close(sources[0]);
    skuai_source_close(sources[1]);
    return 0;
}
TEST(three_workers_two_hogs) { CHECK_EQ(run_on(3, with_hogs, NULL), 0); }

static int with_a_thread(void *arg)
{
    (void)arg;
    struct skuai_source *sources[2];
    pthread_t thread;
    char byte;
    open_pair(sources);
    CHECK_EQ(pthread_create(&thread, NULL, echoes_outside, sources[1]), 0);
    write_byte(sources[0], 'y');
    CHECK_EQ(read_byte(sources[0], &byte), 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    skuai_source_close(sources[0]);
    skuai_source_close(sources[1]);
    return 0;
}
TEST(a_plain_thread_waits_for_a_descriptor) { run_for_real(with_a_thread); }
