/* Errors that need nothing to fail but the call itself: arguments that cannot be, handles that are closed, things that
 * somebody else uses, a simulation where something real is wanted. One line or few for each code that a docstring names
 * and that no test of the thing itself has to do with (tests/house/check-errors-tested).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/with_runtime.h"

static void count_misuse(void *context, const char *text)
{
    (void)text;
    ++*(int *)context;
}

/* The body is given where misuse is counted. */
static void run_counting(skua_fiber_fn *body, int misuses)
{
    int count = 0;
    CHECK_EQ(run_in((skua_config){ .workers = 1, .ignore_environment = true, .on_misuse = count_misuse,
                                   .misuse_context = &count }, body, NULL), 0);
    CHECK_EQ(count, misuses);
}

static int returns_0(void *arg)
{
    (void)arg;
    return 0;
}

static int sleeps(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_NEVER);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static int spawns_wrongly(void *arg)
{
    skua_task *task;
    skua_child child;
    (void)arg;
    CHECK_EQ(skua_spawn(&task, NULL, NULL), -EINVAL);
    CHECK_EQ(skua_block_on(skua_runtime_self(), NULL, NULL), -EINVAL);
    CHECK_EQ(skua_join_all(&child, (size_t)1 << 32), -EINVAL);
    return 0;
}
TEST(tasks_of_nothing) { CHECK_EQ(run_on(1, spawns_wrongly, NULL), 0); }

static int spawns_when_canceled(void *arg)
{
    skua_task *task;
    CHECK_EQ(skua_sleep(SKUA_NEVER), -ECANCELED);
    CHECK_EQ(skua_spawn(&task, returns_0, NULL), -ESHUTDOWN);
    *(int *)arg = 1;
    return 0;
}

TEST(a_task_that_is_too_late)
{
    skua_runtime *rt;
    int ended = 0;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, spawns_when_canceled, &ended));
    CHECK_OK(skua_runtime_shutdown(rt, 0, SKUA_NEVER));
    CHECK_EQ(ended, 1);
    CHECK_OK(skua_runtime_destroy(rt));
}

static int sleeps_shielded(void *arg)
{
    (void)arg;
    SKUA_SHIELD();
    return skua_sleep(SKUA_NEVER);
}

TEST(a_task_that_is_left_over)
{
    skua_runtime *rt;
    skua_task *task;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, sleeps_shielded, NULL));
    CHECK_EQ(skua_runtime_shutdown(rt, 0, 0), -ETIMEDOUT);
    CHECK_EQ(skua_join(task, NULL), -ESHUTDOWN);
    CHECK_OK(skua_runtime_destroy(rt));
}

static void tell(void *context, int64_t result)
{
    (void)context;
    (void)result;
}

TEST(told_across_the_border_of_a_simulation)
{
    skua_runtime *rt, *sim;
    skua_task *task;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_OK(skua_runtime_create(&sim, &(skua_config){ .workers = 1, .ignore_environment = true, .simulate = true }));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, returns_0, NULL));
    CHECK_EQ(skua_on_done(task, sim, tell, NULL), -EPERM);
    CHECK_OK(skua_join(task, NULL)); /* it was kept */
    CHECK_OK(skua_runtime_destroy(sim));
    CHECK_OK(skua_runtime_destroy(rt));
}

static void *dumps(void *rt)
{
    CHECK_EQ(skua_dump(rt, STDERR_FILENO), -EPERM);
    return NULL;
}

TEST(a_dump_of_another_threads_simulation)
{
    skua_runtime *sim;
    pthread_t thread;
    CHECK_OK(skua_runtime_create(&sim, &(skua_config){ .workers = 1, .ignore_environment = true, .simulate = true }));
    CHECK_EQ(pthread_create(&thread, NULL, dumps, sim), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(skua_runtime_destroy(sim));
}

static int64_t returns_1(void *arg)
{
    (void)arg;
    return 1;
}

static int blocks_too_late(void *arg)
{
    (void)arg;
    SKUA_DEADLINE(0);
    CHECK_EQ(skua_blocking(returns_1, NULL), -ETIMEDOUT);
    return 0;
}
TEST(a_blocking_call_that_is_too_late) { run_everywhere(blocks_too_late, NULL); }

/* A join and an on-done of a task whose runtime is the parent's. */
TEST(in_a_forks_child)
{
    if (test_under_tsan())
        TEST_SKIP("ThreadSanitizer does not follow a fork of a process with threads");
    if (test_under_emulator())
        TEST_SKIP("the emulator does not wipe pages at fork");
    skua_runtime *rt;
    skua_task *task;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, sleeps, NULL));
    pid_t child = fork();
    if (child == 0)
        _exit(skua_on_done(task, rt, tell, NULL) == -ENOTSUP && skua_try_join(task, NULL) < 0 ? 0 : 1);
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    skua_cancel(task);
    CHECK_OK(skua_join(task, NULL));
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

static void zero(void *context, void *acc)
{
    (void)context;
    *(uint64_t *)acc = 0;
}
static void sum(void *context, void *acc, size_t begin, size_t end)
{
    (void)context;
    *(uint64_t *)acc += end - begin;
}
static void add(void *context, void *acc, const void *right)
{
    (void)context;
    *(uint64_t *)acc += *(const uint64_t *)right;
}
static void apply(void *context, const void *prefix, size_t begin, size_t end)
{
    (void)context;
    (void)prefix;
    (void)begin;
    (void)end;
}

static int reduces(void *arg)
{
    static const skua_reduce how = { sizeof(uint64_t), zero, sum, add };
    uint64_t total = 0;
    (void)arg;
    skua_cancel(skua_self());
    return skua_parallel_reduce(0, 1000, &how, NULL, &total);
}

static int scans(void *arg)
{
    static const skua_scan how = {
        .size = sizeof(uint64_t), .init = zero, .sum = sum, .combine = add, .apply = apply
    };
    uint64_t total = 0;
    (void)arg;
    skua_cancel(skua_self());
    return skua_parallel_scan(0, 1000, &how, NULL, &total);
}

TEST(loops_of_a_task_that_is_canceled)
{
    CHECK_EQ(run_on(2, reduces, NULL), -ECANCELED);
    CHECK_EQ(run_on(2, scans, NULL), -ECANCELED);
}

/* ---- what tasks share -------------------------------------------------------------------------------------------- */

static int takes_too_much(void *arg)
{
    skua_broadcast *broadcast;
    skua_broadcast_receiver receiver;
    skua_rate_limiter limiter;
    skua_semaphore semaphore;
    skua_group group;
    skua_group_op op;
    skua_group_result result;
    int values[4];
    (void)arg;
    CHECK_OK(skua_rate_limiter_init(&limiter, 1, SKUA_MS, 1));
    CHECK_EQ(skua_rate_limiter_acquire_until(&limiter, 2, SKUA_NEVER), -EINVAL);
    skua_semaphore_init(&semaphore, 1);
    CHECK_EQ(skua_semaphore_acquire_until(&semaphore, UINT64_MAX, SKUA_NEVER), -EINVAL);
    skua_semaphore_close(&semaphore);
    CHECK_EQ(skua_semaphore_acquire_until(&semaphore, 1, SKUA_NEVER), -EPIPE);
    skua_group_init(&group);
    CHECK_EQ(skua_group_next_until(&group, &result, SKUA_NEVER), -EINVAL);
    CHECK_EQ(SKUA_SELECT(skua_group_reserve_prepare(&op, &group)), 0);
    CHECK_EQ(op.result, -EINVAL);
    skua_group_fini(&group);
    CHECK_OK(skua_broadcast_create(&broadcast, sizeof(int), 2));
    skua_broadcast_subscribe(broadcast, &receiver);
    CHECK_EQ(skua_broadcast_try_receive_many(&receiver, values, 0), -EINVAL);
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_broadcast_send(broadcast, &i));
    CHECK_EQ(skua_broadcast_try_receive_many(&receiver, values, 4), -EOVERFLOW);
    skua_broadcast_unsubscribe(&receiver);
    CHECK_OK(skua_broadcast_destroy(broadcast));
    return 0;
}
TEST(more_than_there_can_be) { run_everywhere(takes_too_much, NULL); }

static int destroys_what_is_used(void *arg)
{
    skua_channel *channel;
    skua_broadcast *broadcast;
    skua_broadcast_receiver receiver;
    skua_watch *watch;
    skua_channel_op receive;
    skua_watch_op change;
    uint64_t seen;
    int value;
    (void)arg;
    CHECK_OK(skua_channel_create(&channel, sizeof value, 1));
    skua_op *op = skua_receive_start(&receive, channel, &value);
    CHECK_EQ(skua_channel_destroy(channel), -EBUSY);
    CHECK_EQ(skua_await(skua_op_cancel(op)), -ECANCELED);
    CHECK_OK(skua_channel_destroy(channel));
    CHECK_OK(skua_broadcast_create(&broadcast, sizeof value, 1));
    skua_broadcast_subscribe(broadcast, &receiver);
    CHECK_EQ(skua_broadcast_destroy(broadcast), -EBUSY);
    skua_broadcast_unsubscribe(&receiver);
    CHECK_OK(skua_broadcast_destroy(broadcast));
    CHECK_OK(skua_watch_create(&watch, sizeof value, NULL));
    seen = skua_watch_version(watch);
    op = skua_watch_changed_start(&change, watch, &seen, &value);
    CHECK_EQ(skua_watch_destroy(watch), -EBUSY);
    CHECK_EQ(skua_await(skua_op_cancel(op)), -ECANCELED);
    CHECK_OK(skua_watch_destroy(watch));
    return 0;
}
TEST(destroying_what_is_used) { run_counting(destroys_what_is_used, 3); }

static int runs_inside(void *once) { return skua_once_run(once, returns_0, NULL); }

static int uses_ends_twice(void *arg)
{
    static skua_once once = SKUA_ONCE_INIT;
    skua_oneshot oneshot;
    skua_oneshot_op receive;
    skua_op unwanted;
    int place, value = 1;
    (void)arg;
    CHECK_EQ(skua_once_run(&once, runs_inside, &once), -EDEADLK);
    skua_oneshot_init(&oneshot, &place, sizeof place);
    skua_op *op = skua_oneshot_receive_start(&receive, &oneshot, &value);
    CHECK_EQ(skua_oneshot_receive(&oneshot, &value), -EBUSY);
    CHECK_EQ(skua_oneshot_receive_until(&oneshot, &value, SKUA_NEVER), -EBUSY);
    skua_op *other = skua_oneshot_unwanted_start(&unwanted, &oneshot);
    CHECK_EQ(skua_oneshot_unwanted(&oneshot), -EBUSY);
    CHECK_EQ(skua_oneshot_unwanted_until(&oneshot, SKUA_NEVER), -EBUSY);
    CHECK_EQ(skua_await(skua_op_cancel(other)), -ECANCELED);
    CHECK_EQ(skua_oneshot_send(&oneshot, &value), 0);
    CHECK_EQ(skua_oneshot_send(&oneshot, &value), -EPERM);
    CHECK_EQ(skua_await(op), 1);
    return 0;
}
TEST(an_end_is_used_once) { run_counting(uses_ends_twice, 2); }

#if defined(SKUAI_DEBUG)
static int locks_again(void *arg) SKUA_NO_THREAD_SAFETY;
static int locks_again(void *arg)
{
    skua_mutex mutex;
    skua_rwlock rwlock;
    (void)arg;
    skua_mutex_init(&mutex);
    skua_mutex_lock_shielded(&mutex);
    CHECK_EQ(skua_mutex_lock_until(&mutex, SKUA_NEVER), -EDEADLK);
    skua_mutex_unlock(&mutex);
    skua_mutex_fini(&mutex);
    skua_rwlock_init(&rwlock);
    skua_rwlock_write_lock_shielded(&rwlock);
    CHECK_EQ(skua_rwlock_read_lock_until(&rwlock, SKUA_NEVER), -EDEADLK);
    CHECK_EQ(skua_rwlock_write_lock_until(&rwlock, SKUA_NEVER), -EDEADLK);
    skua_rwlock_write_unlock(&rwlock);
    skua_rwlock_fini(&rwlock);
    return 0;
}
TEST(locking_again_until_an_instant) { run_counting(locks_again, 3); }
#endif

/* ---- addresses and sockets --------------------------------------------------------------------------------------- */

static void parse(skua_address *address, const char *text) { CHECK_OK(skua_address_parse(address, text)); }

TEST(addresses_that_cannot_be)
{
    skua_address address;
    char text[SKUA_ADDRESS_TEXT_MAX], longest[300] = "unix:/";
    CHECK_EQ(skua_address_parse(&address, "tcp:localhost"), -EINVAL);
    memset(longest + 6, 'x', sizeof longest - 7);
    CHECK_EQ(skua_address_parse(&address, longest), -ENAMETOOLONG);
    parse(&address, "tcp://127.0.0.1:1");
    address.storage.ss_family = 250;
    CHECK_EQ(skua_address_format(&address, text, sizeof text), -EAFNOSUPPORT);
}

static int uses_addresses(void *arg)
{
    const char *folder = arg;
    skua_listener *listener, *second;
    skua_stream *stream;
    skua_address address, taken;
    char text[200];
    CHECK_EQ(skua_listen(&listener, "tcp:", NULL), -EINVAL);
    parse(&address, "tcp://127.0.0.1:0");
    CHECK_OK(skua_listen_at(&listener, &address, NULL));
    CHECK_OK(skua_listener_address(listener, &taken));
    CHECK_EQ(skua_listen_at(&second, &taken, NULL), -EADDRINUSE);
    skua_listener_close(listener);
    CHECK_EQ(skua_connect_to(&stream, &taken, NULL), -ECONNREFUSED);
    snprintf(text, sizeof text, "unix:%s/nobody", folder);
    parse(&address, text);
    CHECK_EQ(skua_connect_to(&stream, &address, NULL), -ENOENT);
    if (geteuid() != 0) {
        snprintf(text, sizeof text, "unix:/nobody-may");
        parse(&address, text);
        CHECK_EQ(skua_listen_at(&listener, &address, NULL), -EACCES);
        CHECK_EQ(skua_listen(&listener, text, NULL), -EACCES);
    }
    return 0;
}

TEST(addresses_that_do_not_do)
{
    skua_listener *listener;
    skua_stream *stream;
    skua_address address;
    parse(&address, "tcp://127.0.0.1:0");
    CHECK_EQ(skua_listen_at(&listener, &address, NULL), -EINVAL); /* outside of any runtime */
    CHECK_EQ(skua_connect_to(&stream, &address, NULL), -EINVAL);
    char folder[] = "/tmp/skua-test-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    CHECK_EQ(run_on(1, uses_addresses, folder), 0);
    CHECK_EQ(rmdir(folder), 0);
}

static int connects(void *address)
{
    skua_stream *stream;
    return skua_connect(&stream, address, NULL);
}

static int connects_to(void *address)
{
    skua_address parsed;
    skua_stream *stream;
    parse(&parsed, address);
    return skua_connect_to(&stream, &parsed, NULL);
}

static int connects_too_late(void *address)
{
    SKUA_DEADLINE(0);
    return connects(address);
}

static int connects_to_too_late(void *address)
{
    SKUA_DEADLINE(0);
    return connects_to(address);
}

static int connects_in_vain(void *arg)
{
    char address[] = "tcp://127.0.0.1:1";
    skua_task *task;
    int64_t result;
    (void)arg;
    CHECK_EQ(connects_too_late(address), -ETIMEDOUT);
    CHECK_EQ(connects_to_too_late(address), -ETIMEDOUT);
    CHECK_OK(skua_spawn(&task, connects, address));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(skua_spawn(&task, connects_to, address));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}
TEST(connecting_is_given_up) { CHECK_EQ(run_on(1, connects_in_vain, NULL), 0); }

static int accepts(void *listener)
{
    skua_stream *stream;
    return skua_accept(listener, &stream, NULL);
}

/* Who waits keeps the listener's memory, until it runs. */
static int accepts_of_a_closed_one(void *arg)
{
    skua_listener *listener;
    skua_task *task;
    int64_t result;
    (void)arg;
    CHECK_OK(skua_listen(&listener, "tcp://127.0.0.1:0", NULL));
    CHECK_OK(skua_spawn(&task, accepts, listener));
    skua_yield();
    skua_listener_close(listener);
    CHECK_EQ(accepts(listener), -EBADF);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}
TEST(accepting_of_a_closed_listener) { CHECK_EQ(run_on(1, accepts_of_a_closed_one, NULL), 0); }

static int uses_closed_streams(void *arg)
{
    skua_stream *pair[2], *stream;
    skua_peer_credentials peer;
    struct iovec part = { (char[]){ 0 }, 1 };
    int fds[2];
    (void)arg;
    CHECK_OK(skua_stream_pair(pair, NULL));
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    CHECK_EQ(skua_readv(pair[0], &part, 1), -EBADF);
    CHECK_EQ(skua_stream_shutdown_write(pair[0]), -EBADF);
    CHECK_EQ(skua_stream_peer_credentials(pair[0], &peer), -EBADF);

    CHECK_OK(skua_stream_open(&stream, NULL, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    CHECK_EQ(skua_stream_shutdown_write(stream), -ENOTCONN);
    skua_stream_close(stream);
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    CHECK_OK(skua_stream_open(&stream, NULL, fds[1]));
    CHECK_EQ(skua_stream_shutdown_write(stream), -ENOTSOCK);
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(skua_writev(stream, &part, 1), -EPIPE);
    skua_stream_close(stream);
    return 0;
}
TEST(streams_that_are_closed_or_of_something_else) { CHECK_EQ(run_on(1, uses_closed_streams, NULL), 0); }

static int reads_a_long_line(void *arg)
{
    skua_stream *pair[2];
    skua_reader reader;
    char buffer[8];
    char *line;
    (void)arg;
    CHECK_OK(skua_stream_pair(pair, NULL));
    skua_reader_init(&reader, pair[1], buffer, sizeof buffer);
    CHECK_EQ(skua_write_all(pair[0], "0123456789\n", 11), 11);
    CHECK_EQ(skua_read_until(&reader, '\n', &line), -EMSGSIZE);
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    return 0;
}
TEST(a_line_without_room) { CHECK_EQ(run_on(1, reads_a_long_line, NULL), 0); }

static int uses_datagrams(void *arg)
{
    skua_udp *udp;
    skua_address group, address;
    skua_datagram one = { .data = (char[]){ 0 }, .size = 1 };
    char *large = calloc(1, 70000);
    char byte;
    (void)arg;
    CHECK(large != NULL);
    parse(&group, "udp://239.255.0.1:0");
    CHECK_OK(skua_udp_open(&udp, "udp://127.0.0.1:0", NULL));
    CHECK_OK(skua_udp_address(udp, &address));
    CHECK_EQ(skua_udp_send(udp, large, 70000, &address), -EMSGSIZE);
    CHECK_EQ(skua_udp_join(udp, &address, 0), -EINVAL);
    CHECK_EQ(skua_udp_leave(udp, &group, 0), -EADDRNOTAVAIL);
    {
        SKUA_DEADLINE(0);
        one.address = address;
        CHECK_EQ(skua_udp_send_many(udp, &one, 1), -ETIMEDOUT);
    }
    skua_udp_close(udp);
    CHECK_EQ(skua_udp_address(udp, &address), -EBADF);
    CHECK_EQ(skua_udp_connect(udp, &address), -EBADF);
    CHECK_EQ(skua_udp_receive(udp, &byte, 1, NULL), -EBADF);
    CHECK_EQ(skua_udp_join(udp, &group, 0), -EBADF);
    CHECK_EQ(skua_udp_leave(udp, &group, 0), -EBADF);
    free(large);
    return 0;
}
TEST(datagrams) { CHECK_EQ(run_on(1, uses_datagrams, NULL), 0); }

static int sends_datagrams_canceled(void *arg)
{
    skua_udp *udp;
    skua_datagram one = { .data = (char[]){ 0 }, .size = 1 };
    (void)arg;
    CHECK_OK(skua_udp_open(&udp, "udp://127.0.0.1:0", NULL));
    CHECK_OK(skua_udp_address(udp, &one.address));
    skua_cancel(skua_self());
    int rc = skua_udp_send_many(udp, &one, 1);
    skua_udp_close(udp);
    return rc;
}
TEST(datagrams_of_a_task_that_is_canceled) { CHECK_EQ(run_on(1, sends_datagrams_canceled, NULL), -ECANCELED); }

/* ---- descriptors, files, signals, processes ---------------------------------------------------------------------- */

static int watches_descriptors(void *arg)
{
    skua_fd *watch;
    int fds[2];
    (void)arg;
    CHECK_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    CHECK_OK(skua_fd_open(&watch, NULL, fds[0]));
    CHECK_EQ(skua_fd_wait_until(watch, 0, SKUA_NEVER), -EINVAL);
    skua_fd_close(watch);
    CHECK_EQ(skua_fd_wait_until(watch, SKUA_READABLE, SKUA_NEVER), -EBADF);
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    return 0;
}

TEST(descriptors)
{
    skua_fd *watch;
    skua_stream *stream;
    CHECK_EQ(run_on(1, watches_descriptors, NULL), 0);
    CHECK_EQ(skua_fd_open(&watch, NULL, 0), -EINVAL); /* outside of any runtime */
    CHECK_EQ(skua_stream_open(&stream, NULL, 0), -EINVAL);
}

static int uses_files(void *arg)
{
    const char *path = arg;
    skua_directory *directory;
    skua_directory_entry entry;
    struct rlimit before, none;
    char byte = 0;
    int fds[2];
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    CHECK_EQ(skua_file_read_at(fds[0], &byte, 1, 0), -ESPIPE);
    CHECK_OK(skua_file_close(fds[0]));
    CHECK_OK(skua_file_close(fds[1]));

    int fd = skua_file_open(path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
    ssize_t n = skua_file_write(fd, &byte, 1);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_EQ(n, -EFBIG);
    CHECK_OK(skua_file_close(fd));
    CHECK_OK(skua_path_unlink(path));

    fd = skua_file_open("/dev/full", O_WRONLY, 0);
    CHECK(fd >= 0);
    CHECK_EQ(skua_file_write(fd, &byte, 1), -ENOSPC);
    CHECK_OK(skua_file_close(fd));

    CHECK_OK(skua_directory_open(&directory, "/"));
    {
        SKUA_DEADLINE(0);
        CHECK_EQ(skua_directory_next(directory, &entry), -ETIMEDOUT);
    }
    skua_directory_close(directory);
    return 0;
}

TEST(files)
{
    char path[] = "/tmp/skua-test-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ(close(fd), 0);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(run_on(1, uses_files, path), 0);
    CHECK(signal(SIGXFSZ, before) == SIG_IGN);
}

TEST(a_stream_that_cannot_be_printed_to)
{
    FILE *full = fopen("/dev/full", "w");
    CHECK(full != NULL);
    setvbuf(full, NULL, _IONBF, 0);
    CHECK_EQ(skua_config_print(NULL, full), -EIO);
    CHECK_EQ(fclose(full), 0);
}

static int watches_signals(void *arg)
{
    enum { WATCHES = 64 };
    const int number[] = { SIGUSR2 };
    skua_signals *signals[WATCHES], *more;
    skua_runtime *rt;
    (void)arg;
    for (int i = 0; i < WATCHES; i++)
        CHECK_OK(skua_signals_open(&signals[i], NULL, number, 1));
    CHECK_EQ(skua_signals_open(&more, NULL, number, 1), -ENOSPC);
    CHECK_EQ(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .dump_on_sigquit = true }), -ENOSPC);
    for (int i = 0; i < WATCHES; i++)
        skua_signals_close(signals[i]);
    return 0;
}
TEST(more_watches_of_signals_than_there_are) { CHECK_EQ(run_on(1, watches_signals, NULL), 0); }

static int spawns_too_late(void *arg)
{
    const char *argv[] = { "true", NULL };
    skua_process *process;
    (void)arg;
    SKUA_DEADLINE(0);
    return skua_process_spawn(&process, &(skua_process_attr){ .argv = argv });
}

static int spawns_canceled(void *arg)
{
    const char *argv[] = { "true", NULL };
    skua_process *process;
    (void)arg;
    skua_cancel(skua_self());
    return skua_process_spawn(&process, &(skua_process_attr){ .argv = argv });
}

static int waits_for(void *process) { return skua_process_wait(process, NULL); }

static int uses_processes(void *arg)
{
    const char *argv[] = { "sleep", "1000", NULL }, *folder[] = { "/", NULL };
    skua_process *process;
    skua_task *task;
    int64_t result;
    int status;
    (void)arg;
    if (!test_under_emulator()) /* whose children do not share memory until they run: nobody is told */
        CHECK_EQ(skua_process_spawn(&process, &(skua_process_attr){ .argv = folder }), -EACCES);
    CHECK_OK(skua_process_spawn(&process, &(skua_process_attr){ .argv = argv }));
    CHECK_EQ(skua_process_kill(process, 1000), -EINVAL);
    CHECK_OK(skua_spawn(&task, waits_for, process));
    skua_yield();
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(skua_process_kill(process, SIGKILL));
    CHECK_EQ(waitpid((pid_t)skua_process_id(process), &status, 0), (pid_t)skua_process_id(process));
    CHECK_EQ(skua_process_wait(process, NULL), -ECHILD);
    skua_process_destroy(process);
    return 0;
}

TEST(processes)
{
    CHECK_EQ(run_on(1, spawns_too_late, NULL), -ETIMEDOUT);
    CHECK_EQ(run_on(1, spawns_canceled, NULL), -ECANCELED);
    CHECK_EQ(run_on(1, uses_processes, NULL), 0);
}

/* ---- nothing real in a simulation -------------------------------------------------------------------------------- */

static int wants_the_outside(void *arg)
{
    const char *argv[] = { "true", NULL };
    skua_address address;
    skua_listener *listener;
    skua_fd *watch;
    skua_signals *signals;
    skua_process *process;
    skua_stream *pair[2];
    (void)arg;
    parse(&address, "tcp://127.0.0.1:0");
    CHECK_EQ(skua_listen(&listener, "tcp://127.0.0.1:0", NULL), -ENOTSUP);
    CHECK_EQ(skua_listen_at(&listener, &address, NULL), -ENOTSUP);
    CHECK_EQ(skua_stream_pair(pair, NULL), -ENOTSUP);
    CHECK_EQ(skua_fd_open(&watch, NULL, 0), -ENOTSUP);
    CHECK_EQ(skua_signals_open(&signals, NULL, (const int[]){ SIGUSR2 }, 1), -ENOTSUP);
    CHECK_EQ(skua_process_spawn(&process, &(skua_process_attr){ .argv = argv }), -ENOTSUP);
    return 0;
}
TEST(the_outside_of_a_simulation) { CHECK_EQ(run_seeded(test_seed(), 1, wants_the_outside, NULL), 0); }
