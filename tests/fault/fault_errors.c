/* Which error is which: a call, one thing that is refused to it, and what it must return for that. All else that a
 * refusal must not lead to is tested by the others here, of which one knows how a call ends, none what it says.
 * Embedded runtimes have no threads, so that a fault can be armed around a single call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/faults.h"
#include "support/test.h"

#define REFUSED(call, refused, way, error)            \
    do {                                              \
        faults_arm(FAULT_##refused, (way), 1, 1);     \
        CHECK_EQ((call), (error));                    \
        faults_disarm();                              \
    } while (0)

static skua_runtime *begin(void)
{
    skua_config config = faults_config(1, true);
    skua_runtime *rt;
    config.embed = true;
    CHECK_OK(skua_runtime_create(&rt, &config));
    return rt;
}

static void end(skua_runtime *rt)
{
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- runtimes and tasks ------------------------------------------------------------------------------------------ */

static int returns_0(void *arg)
{
    (void)arg;
    return 0;
}

TEST(runtimes)
{
    skua_config config = faults_config(1, true);
    skua_runtime *rt;
    REFUSED(skua_runtime_create(&rt, &config), application_alloc, 0, -ENOMEM);
    REFUSED(skua_runtime_create(&rt, &config), pthread_create, 0, -EAGAIN);
    config.embed = true;
    REFUSED(skua_runtime_create(&rt, &config), epoll_create1, 0, -EMFILE);
    REFUSED(skua_runtime_create(&rt, &config), epoll_create1, 1, -ENFILE);
}

static void tell(void *context, int64_t result)
{
    (void)context;
    (void)result;
}

/* A task keeps for the next one what it has taken, so nothing has been spawned before. */
TEST(the_first_task)
{
    skua_runtime *rt = begin();
    REFUSED(skua_block_on(rt, returns_0, NULL), mmap, 0, -ENOMEM);
    end(rt);
}

static int spawns(void *arg)
{
    enum { ENOUGH = 100000 };
    skua_task *task = NULL, *last = NULL;
    int rc = 0;
    (void)arg;
    faults_arm(FAULT_mmap, 0, 1, UINT64_MAX);
    for (int i = 0; i < ENOUGH && rc == 0; i++) {
        rc = skua_spawn(&task, returns_0, NULL);
        if (rc == 0 && last == NULL)
            last = task;
        else if (rc == 0)
            skua_detach(task);
    }
    CHECK_EQ(rc, -ENOMEM);
    CHECK_EQ(skua_on_done(last, NULL, tell, NULL), -ENOMEM);
    faults_disarm();
    return skua_join(last, NULL);
}

static int uses_its_own_memory(void *arg)
{
    static skua_local local = SKUA_LOCAL_INIT(NULL);
    (void)arg;
    REFUSED(skua_self_set_name("somebody"), application_alloc, 0, -ENOMEM);
    REFUSED(skua_local_set(&local, &local), application_alloc, 0, -ENOMEM);
    REFUSED(skua_dump(NULL, STDERR_FILENO), application_alloc, 0, -ENOMEM);
    return 0;
}

TEST(tasks)
{
    skua_runtime *rt = begin();
    CHECK_EQ(skua_block_on(rt, uses_its_own_memory, NULL), 0);
    CHECK_EQ(skua_block_on(rt, spawns, NULL), 0);
    end(rt);
}

enum { ACC_BYTES = 400 };
static void zero(void *context, void *acc)
{
    (void)context;
    memset(acc, 0, ACC_BYTES);
}
static void sum(void *context, void *acc, size_t begins, size_t ends)
{
    (void)context;
    *(uint64_t *)acc += ends - begins;
}
static void add(void *context, void *acc, const void *right)
{
    (void)context;
    *(uint64_t *)acc += *(const uint64_t *)right;
}
static void apply(void *context, const void *prefix, size_t begins, size_t ends)
{
    (void)context;
    (void)prefix;
    (void)begins;
    (void)ends;
}

static int loops(void *arg)
{
    static const skua_reduce reduce = { ACC_BYTES, zero, sum, add };
    static const skua_scan scan = {
        .size = ACC_BYTES, .init = zero, .sum = sum, .combine = add, .apply = apply
    };
    skua_parallel_attr attr = { .deterministic = true, .min_chunk = 1 };
    uint64_t total[ACC_BYTES / sizeof(uint64_t)];
    (void)arg;
    REFUSED(skua_parallel_reduce_with(&attr, 0, 1000, &reduce, NULL, total), application_alloc, 0, -ENOMEM);
    REFUSED(skua_parallel_scan(0, 1000, &scan, NULL, total), application_alloc, 0, -ENOMEM);
    return 0;
}

TEST(loops_with_large_accumulators)
{
    skua_runtime *rt = begin();
    CHECK_EQ(skua_block_on(rt, loops, NULL), 0);
    end(rt);
}

static int64_t returns_1(void *arg)
{
    (void)arg;
    return 1;
}

static int blocks(void *arg)
{
    const char *argv[] = { "true", NULL };
    const skua_process_attr attr = { .argv = argv, .in = SKUA_PIPE };
    skua_process *process;
    (void)arg;
    REFUSED(skua_blocking(returns_1, NULL), application_alloc, 0, -ENOMEM);
    REFUSED(skua_blocking(returns_1, NULL), pthread_create, 0, -EAGAIN);
    REFUSED(skua_process_spawn(&process, &attr), pthread_create, 0, -EAGAIN);
    REFUSED(skua_process_spawn(&process, &attr), calloc, 0, -ENOMEM);
    REFUSED(skua_process_spawn(&process, &attr), pipe2, 0, -EMFILE);
    REFUSED(skua_process_spawn(&process, &attr), pipe2, 1, -ENFILE);
    return 0;
}

TEST(threads_that_may_block)
{
    skua_runtime *rt = begin();
    CHECK_EQ(skua_block_on(rt, blocks, NULL), 0);
    end(rt);
}

/* ---- channels ---------------------------------------------------------------------------------------------------- */

static int sends(void *arg)
{
    skua_channel *channel;
    int rc = 0;
    (void)arg;
    CHECK_OK(skua_channel_create(&channel, sizeof rc, SKUA_UNBOUNDED));
    faults_arm(FAULT_malloc, 0, 1, UINT64_MAX);
    for (int i = 0; i < 100000 && rc == 0; i++)
        rc = skua_send_until(channel, &i, SKUA_NEVER);
    faults_disarm();
    CHECK_EQ(rc, -ENOMEM);
    CHECK_OK(skua_channel_destroy(channel));
    return 0;
}

TEST(a_channel_that_cannot_grow)
{
    skua_runtime *rt = begin();
    CHECK_EQ(skua_block_on(rt, sends, NULL), 0);
    end(rt);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

/* The poller is made for the first of them, where the runtime is not embedded. */
static void check_first(int (*opens)(skua_runtime *rt), enum fault call, int way, int error)
{
    skua_config config = faults_config(1, true);
    skua_runtime *rt;
    faults_arm(call, way, 1, 1); /* making the runtime makes none */
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(opens(rt), error);
    end(rt);
    faults_disarm();
}

static int opens_a_watch(skua_runtime *rt)
{
    skua_fd *watch;
    return skua_fd_open(&watch, rt, STDIN_FILENO);
}

static int opens_a_stream(skua_runtime *rt)
{
    skua_stream *stream;
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    int rc = skua_stream_open(&stream, rt, fds[0]);
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    return rc;
}

static int connects(skua_runtime *rt)
{
    skua_stream *stream;
    return skua_connect(&stream, "tcp://127.0.0.1:1", &(skua_socket_options){ .runtime = rt });
}

static int connects_to(skua_runtime *rt)
{
    skua_address address;
    skua_stream *stream;
    CHECK_OK(skua_address_parse(&address, "tcp://127.0.0.1:1"));
    return skua_connect_to(&stream, &address, &(skua_socket_options){ .runtime = rt });
}

TEST(the_first_descriptor)
{
    check_first(opens_a_watch, FAULT_epoll_create1, 0, -EMFILE);
    check_first(opens_a_watch, FAULT_epoll_create1, 1, -ENFILE);
    check_first(opens_a_watch, FAULT_epoll_create1, 2, -ENOMEM);
    check_first(opens_a_stream, FAULT_epoll_create1, 0, -EMFILE);
    check_first(opens_a_stream, FAULT_epoll_create1, 1, -ENFILE);
    check_first(opens_a_stream, FAULT_epoll_create1, 2, -ENOMEM);
    check_first(connects, FAULT_socket, 0, -EMFILE);
    check_first(connects, FAULT_socket, 1, -ENFILE);
    check_first(connects, FAULT_socket, 3, -ENOMEM);
    check_first(connects, FAULT_connect, 2, -ENETUNREACH);
    check_first(connects_to, FAULT_socket, 0, -EMFILE);
    check_first(connects_to, FAULT_socket, 1, -ENFILE);
    check_first(connects_to, FAULT_socket, 3, -ENOMEM);
    check_first(connects_to, FAULT_connect, 2, -ENETUNREACH);
}

TEST(sockets_and_streams)
{
    skua_runtime *rt = begin();
    const skua_socket_options options = { .runtime = rt };
    skua_listener *listener;
    skua_stream *pair[2];
    skua_address address;
    char byte = 'x';
    CHECK_OK(skua_address_parse(&address, "tcp://127.0.0.1:0"));
    REFUSED(skua_listen(&listener, "tcp://127.0.0.1:0", &options), malloc, 0, -ENOMEM);
    REFUSED(skua_listen_at(&listener, &address, &options), malloc, 0, -ENOMEM);
    REFUSED(skua_listen(&listener, "tcp://127.0.0.1:1", &options), bind, 1, -EACCES);
    REFUSED(skua_listen_at(&listener, &address, &options), bind, 1, -EACCES);
    REFUSED(skua_stream_pair(pair, &options), socketpair, 0, -EMFILE);
    REFUSED(skua_stream_pair(pair, &options), socketpair, 1, -ENFILE);
    REFUSED(skua_stream_pair(pair, &options), socketpair, 2, -ENOMEM);
    CHECK_EQ(skua_stream_pair(pair, NULL), -EINVAL); /* on a plain thread */
    CHECK_OK(skua_stream_pair(pair, &options));
    CHECK_EQ(skua_write(pair[0], &byte, 1), 1);
    REFUSED(skua_copy(pair[0], pair[1], 1, NULL), malloc, 0, -ENOMEM); /* a plain thread copies through memory */
    REFUSED(skua_send_fds(pair[0], &byte, 1, (int[]){ STDIN_FILENO }, 1), sendmsg, 5, -ETOOMANYREFS);
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    end(rt);
}

TEST(signals)
{
    skua_runtime *rt = begin();
    const int number[] = { SIGUSR2 };
    skua_signals *signals;
    REFUSED(skua_signals_open(&signals, rt, number, 1), malloc, 0, -ENOMEM);
    REFUSED(skua_signals_open(&signals, rt, number, 1), eventfd, 0, -EMFILE);
    REFUSED(skua_signals_open(&signals, rt, number, 1), eventfd, 3, -ENFILE);
    end(rt);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int open_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

TEST(files) /* on a plain thread, which calls the system itself */
{
    skua_directory *directory;
    void *data;
    REFUSED(skua_file_close(open_null()), close, 1, -EIO);
    REFUSED(skua_file_close(open_null()), close, 2, -ENOSPC);
    REFUSED(skua_file_close(open_null()), close, 3, -EDQUOT);
    REFUSED(skua_file_read_whole("/proc/self/stat", &data), malloc, 0, -ENOMEM);
    REFUSED(skua_directory_open(&directory, "/"), malloc, 0, -ENOMEM);
    faults_count(FAULTS_DESCRIPTORS, 3); /* those of the test's own */
}

/* ---- looking in -------------------------------------------------------------------------------------------------- */

TEST(monitors)
{
    char folder[] = "/tmp/skua-test-XXXXXX", path[64];
    skua_runtime *rt = begin();
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/here.sock", folder);
    REFUSED(skua_monitor_start(rt, path), application_alloc, 0, -ENOMEM);
    REFUSED(skua_monitor_start(rt, path), pthread_create, 0, -EAGAIN);
    REFUSED(skua_monitor_start(rt, path), socket, 0, -EMFILE);
    REFUSED(skua_monitor_start(rt, path), socket, 1, -ENFILE);
    REFUSED(skua_monitor_start(rt, path), stat, 1, -EACCES);
    end(rt);
    CHECK_EQ(rmdir(folder), 0);
}

TEST(traces)
{
    skua_runtime *rt = begin();
    REFUSED(skua_trace_start(rt, 0), application_alloc, 0, -ENOMEM);
    REFUSED(skua_runtime_prometheus(rt, NULL, NULL, 0), application_alloc, 0, -ENOMEM);
    REFUSED(skua_trace_write(rt, "/dev/null"), calloc, 0, -ENOMEM);
    end(rt);
}
