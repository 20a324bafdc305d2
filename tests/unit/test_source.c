/* Sources: descriptors in the poller, waited for by fibers and threads, closed under them. */
#include "io/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/stream.h"
#include "sched/wait.h"
#include "skua/socket.h"

#include "support/with_runtime.h"

/* Real descriptors need real workers. */
static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
}

static int wait_for(struct skuai_source *source, enum skuai_direction direction)
{
    skua_op op;
    return (int)skuai_call(skuai_source_wait_prepare(&op, source, direction));
}

static void make_pair(int fds[2]) { CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0); }

static void open_pair(struct skuai_source *sources[2])
{
    int fds[2];
    make_pair(fds);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skuai_source_open(NULL, fds[i], false, &sources[i]));
}

/* As streams do it. */
static int read_byte(struct skuai_source *source, char *byte)
{
    uint32_t life;
    if (!skuai_source_begin(source, &life))
        return -EBADF;
    for (;;) {
        if (!skuai_source_enter(source, life))
            return -ECANCELED;
        uint64_t seen = skuai_source_readiness(source);
        ssize_t n = skuai_readiness_has(seen, SKUAI_READING) ? read(source->fd, byte, 1) : (errno = EAGAIN, -1);
        int error = errno;
        if (n < 0 && error == EAGAIN)
            skuai_source_drained(source, seen, SKUAI_READING);
        skuai_source_leave(source);
        if (n >= 0)
            return (int)n;
        if (error != EAGAIN)
            return -error;
        skua_op op;
        int rc = (int)skuai_call(skuai_source_wait_in_prepare(&op, source, SKUAI_READING, life));
        if (rc < 0)
            return rc;
    }
}

static void write_byte(struct skuai_source *source, char byte)
{
    uint32_t life;
    CHECK(skuai_source_begin(source, &life) && skuai_source_enter(source, life));
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

/* ---- after a hangup --------------------------------------------------------------------------------------------- */

/* Until the kernel takes no more. */
static void fill(struct skuai_source *source)
{
    static const char block[4096];
    uint64_t seen;
    do
        seen = skuai_source_readiness(source);
    while (write(source->fd, block, sizeof block) > 0);
    CHECK_EQ(errno, EAGAIN);
    skuai_source_drained(source, seen, SKUAI_WRITING);
}

static void empty(int fd)
{
    char block[4096];
    while (read(fd, block, sizeof block) > 0)
        ;
}

/* Who sends no more may still read, slowly: nobody tries again and again meanwhile. */
static int half_closed(void *arg)
{
    (void)arg;
    struct skuai_source *source;
    int fds[2];
    char byte;
    make_pair(fds);
    CHECK_OK(skuai_source_open(NULL, fds[0], false, &source));
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(read_byte(source, &byte), -ETIMEDOUT);
    }
    CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
    CHECK_EQ(read_byte(source, &byte), 0);
    fill(source);
    {
        /* What a worker fetched from the poller before, and tells only now, may be told once. */
        SKUA_DEADLINE(5 * SKUA_MS);
        int rc = wait_for(source, SKUAI_WRITING);
        if (rc == 0) {
            fill(source);
            rc = wait_for(source, SKUAI_WRITING);
        }
        CHECK_EQ(rc, -ETIMEDOUT);
    }
    empty(fds[1]);
    CHECK_OK(wait_for(source, SKUAI_WRITING));
    CHECK_EQ(read_byte(source, &byte), 0);
    skuai_source_close(source);
    close(fds[1]);
    return 0;
}
TEST(half_closed_and_full) { run_for_real(half_closed); }

/* A fifo's end is none if another writer comes. */
static int fifo(void *arg)
{
    (void)arg;
    struct skuai_source *source;
    char path[] = "/tmp/skua-fifo-XXXXXX", byte = 'x';
    CHECK(mkdtemp(path) != NULL);
    CHECK_EQ(rmdir(path), 0);
    CHECK_EQ(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK), writer = open(path, O_WRONLY | O_NONBLOCK);
    CHECK(reader >= 0 && writer >= 0);
    CHECK_OK(skuai_source_open(NULL, reader, false, &source));
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(read_byte(source, &byte), -ETIMEDOUT);
    }
    CHECK_EQ(close(writer), 0);
    CHECK_EQ(read_byte(source, &byte), 0);
    writer = open(path, O_WRONLY | O_NONBLOCK);
    CHECK(writer >= 0);
    {
        SKUA_DEADLINE(5 * SKUA_MS);
        uint64_t seen = skuai_source_readiness(source);
        CHECK(read(source->fd, &byte, 1) < 0 && errno == EAGAIN);
        skuai_source_drained(source, seen, SKUAI_READING);
        CHECK_EQ(wait_for(source, SKUAI_READING), -ETIMEDOUT);
    }
    CHECK_EQ(write(writer, "y", 1), 1);
    CHECK_EQ(read_byte(source, &byte), 1);
    CHECK_EQ(byte, 'y');
    skuai_source_close(source);
    CHECK_EQ(close(writer), 0);
    CHECK_EQ(unlink(path), 0);
    return 0;
}
TEST(the_next_writer_of_a_fifo) { run_for_real(fifo); }

/* ---- another life in the same memory ---------------------------------------------------------------------------- */

/* Who was woken, and has not run yet when its stream is closed, finds another stream in the same memory: its bytes are
 * not for him. */
static int stale_reader(void *arg)
{
    char byte;
    ssize_t n = skua_read(arg, &byte, 1);
    CHECK(n == -ECANCELED);
    return 0;
}
static int stale_writer(void *arg)
{
    static const char much[4000000];
    size_t written;
    ssize_t n = skua_write_all_counted(arg, much, sizeof much, &written);
    CHECK(n == -ECANCELED);
    CHECK(written < sizeof much);
    return 0;
}
struct stale_future {
    SKUA_FRAME;
    struct { skua_stream *stream; } in;
    skua_io io;
    char byte;
};
SKUA_ASYNC(stale_future)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_read_start(&self->io, self->in.stream, &self->byte, 1));
    CHECK(SKUA_RESULT(&self->io) == -ECANCELED);
    SKUA_END(0);
}

static void until_somebody_waits(struct skuai_source *source)
{
    for (bool waits = false; !waits; skua_yield()) {
        skuai_lock_acquire(&source->lock);
        waits = source->waiters[SKUAI_READING].first != NULL || source->waiters[SKUAI_WRITING].first != NULL;
        skuai_lock_release(&source->lock);
    }
}
/* As the driver would: whoever waits is woken, and runs when this task waits or another worker takes him. */
static void wake_all(struct skuai_source *source)
{
    skuai_source_event(source, (uint32_t)(skuai_source_readiness(source) >> 32), SKUAI_READY_READ | SKUAI_READY_WRITE);
}

static int next_life(void *arg)
{
    (void)arg;
    for (int i = 0; i < 60; i++) {
        skua_stream *old[2], *young[2];
        skua_task *task;
        char byte = 'n';
        CHECK_OK(skua_stream_pair(old, NULL));
        if (i % 3 == 0)
            CHECK_OK(skua_spawn(&task, stale_reader, old[0]));
        else if (i % 3 == 1)
            CHECK_OK(skua_spawn(&task, stale_writer, old[0]));
        else
            CHECK_OK(SKUA_SPAWN(&task, stale_future, .stream = old[0]));
        until_somebody_waits(skuai_stream_source(old[0]));
        wake_all(skuai_stream_source(old[0]));
        skua_stream_close(old[0]);
        CHECK_OK(skua_stream_pair(young, NULL));
        CHECK_EQ(write(skua_stream_fd(young[1]), &byte, 1), 1);
        CHECK_OK(skua_join(task, NULL));
        CHECK_EQ(skua_read(young[0], &byte, 1), 1);
        CHECK_EQ(byte, 'n');
        CHECK(read(skua_stream_fd(young[1]), &byte, 1) < 0 && errno == EAGAIN);
        skua_stream_close(old[1]);
        skua_stream_close(young[0]);
        skua_stream_close(young[1]);
    }
    return 0;
}
TEST(woken_by_the_life_before) { run_for_real(next_life); }

static int stale_acceptor(void *arg)
{
    skua_stream *stream;
    CHECK_EQ(skua_accept(arg, &stream, NULL), -ECANCELED);
    return 0;
}
static int next_listener(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        skua_stream *pair[2], *streams[2];
        skua_listener *old, *young;
        skua_address address;
        skua_task *task;
        CHECK_OK(skua_stream_pair(pair, NULL));
        struct skuai_source *source = skuai_stream_source(pair[0]);
        skua_stream_close(pair[1]);
        skua_stream_close(pair[0]);
        CHECK_OK(skua_listen(&old, "tcp://127.0.0.1:0", NULL)); /* in the memory of pair[0] */
        CHECK_OK(skua_spawn(&task, stale_acceptor, old));
        until_somebody_waits(source);
        wake_all(source);
        skua_listener_close(old);
        CHECK_OK(skua_listen(&young, "tcp://127.0.0.1:0", NULL));
        CHECK_OK(skua_listener_address(young, &address));
        CHECK_OK(skua_connect_to(&streams[0], &address, NULL));
        CHECK_OK(skua_join(task, NULL));
        CHECK_OK(skua_accept(young, &streams[1], NULL));
        skua_stream_close(streams[0]);
        skua_stream_close(streams[1]);
        skua_listener_close(young);
    }
    return 0;
}
TEST(an_acceptor_woken_by_the_life_before) { run_for_real(next_listener); }
