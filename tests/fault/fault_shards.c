/* A runtime with several pollers, of which one cannot be had: then there is none, nothing of the others is left, and
 * the next who asks gets all. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>

#include <skua/stream.h>

#include "support/faults.h"
#include "support/test.h"

enum { WORKERS = 4 };

static int open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    CHECK_EQ(closedir(directory), 0);
    return count;
}

static skua_config sharded(void)
{
    skua_config config = faults_config(WORKERS, true);
    config.workers_per_poller = 1;
    return config;
}

static int echoes_one(void *arg)
{
    skua_stream *stream = arg;
    char byte;
    ssize_t n = skua_read(stream, &byte, 1);
    if (n == 1)
        (void)skua_write_all(stream, &byte, 1);
    skua_stream_close(stream);
    return 0;
}

/* A byte there and back, if nothing is refused. When it ends, both streams are closed. */
static int converses(void *arg)
{
    skua_stream *pair[2];
    skua_task *echo = NULL;
    char byte = 'x';
    (void)arg;
    int rc = skua_stream_pair(pair, NULL);
    if (rc < 0)
        return rc;
    rc = skua_spawn(&echo, echoes_one, pair[1]);
    if (rc < 0)
        skua_stream_close(pair[1]);
    else if ((rc = (int)skua_write_all(pair[0], &byte, 1)) == 1)
        rc = (int)skua_read(pair[0], &byte, 1);
    skua_stream_close(pair[0]);
    if (echo != NULL)
        CHECK_OK(skua_join(echo, NULL));
    return rc < 0 ? rc : 0;
}

/* The poller that fails is the first, the second, …: of its two descriptors one or the other. */
static void refuse(enum fault call, int way, int error)
{
    for (uint64_t which = 1; which <= WORKERS; which++) {
        skua_config config = sharded();
        skua_runtime *rt;
        faults_arm(call, way, which, 1); /* making the runtime makes none */
        CHECK_OK(skua_runtime_create(&rt, &config));
        int before = open_descriptors();
        CHECK_EQ(skua_block_on(rt, converses, NULL), error);
        CHECK_EQ(open_descriptors(), before);
        CHECK_EQ(skua_block_on(rt, converses, NULL), 0);
        CHECK(open_descriptors() == before + 2 * WORKERS);
        CHECK_EQ(skua_runtime_destroy(rt), 0);
        faults_disarm();
    }
}
TEST(a_poller_that_cannot_be_made)
{
    refuse(FAULT_epoll_create1, 0, -EMFILE);
    refuse(FAULT_eventfd, 0, -EMFILE);
}

static void live(void *arg)
{
    skua_config config = sharded();
    skua_runtime *rt;
    (void)arg;
    if (!faults_done(skua_runtime_create(&rt, &config)))
        return;
    for (int i = 0; i < 2; i++) {
        int64_t rc = skua_block_on(rt, converses, NULL);
        CHECK(rc == 0 || (rc < 0 && faults_may_refuse()));
        CHECK(rc != -EINTR && rc != -EAGAIN && rc != -EBADF && rc != -ENOTSUP);
    }
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}
TEST(the_pollers)
{
    FAULTS_EACH(live, NULL, FAULT_epoll_create1, FAULT_eventfd, FAULT_epoll_ctl, FAULT_epoll_wait, FAULT_epoll_pwait2,
                FAULT_read, FAULT_write);
}
TEST(memory) { FAULTS_EACH(live, NULL, FAULT_application_alloc, FAULT_malloc); }
