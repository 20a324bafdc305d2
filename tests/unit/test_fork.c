/* fork() in a process with runtimes: what the child may do, and that it never goes on as a worker. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skua/stream.h>

#include "support/with_runtime.h"

static bool is_possible(void)
{
    if (test_under_tsan())
        test_skipped("ThreadSanitizer does not follow a fork of a process with threads");
    else if (test_under_emulator())
        test_skipped("the emulator does not wipe pages at fork");
    else
        return true;
    return false;
}

static void check_child(pid_t child)
{
    int status = -1;
    CHECK(child > 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

static int returns(void *arg) { return (int)(intptr_t)arg; }

static bool all_calls_refuse(skua_runtime *rt)
{
    skua_spawn_attr attr = { .runtime = rt };
    return skua_spawn_with(NULL, &attr, returns, NULL) == -ENOTSUP && skua_block_on(rt, returns, NULL) == -ENOTSUP &&
           skua_runtime_prometheus(rt, NULL, NULL, 0) == -ENOTSUP && skua_runtime_shutdown(rt, 0, 0) == -ENOTSUP;
}

/* ---- of a plain thread --------------------------------------------------------------------------------------- */

static int waits(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_NEVER);
}

TEST(the_child_of_a_thread)
{
    if (!is_possible())
        return;
    skua_runtime *rt;
    skua_task *task;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 2 }));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, waits, NULL));
    pid_t child = fork();
    if (child == 0)
        _exit(all_calls_refuse(rt) && skua_join(task, NULL) == -ENOTSUP && skua_runtime_destroy(rt) == 0 ? 0 : 1);
    check_child(child);
    skua_cancel(task);
    CHECK_OK(skua_join(task, NULL));
    CHECK_OK(skua_runtime_destroy(rt));
}

/* Whatever locks the workers held when the child was made. */
static int busy(void *arg)
{
    int *stop = arg;
    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        skua_task *tasks[40];
        for (int i = 0; i < 40; i++)
            CHECK_OK(skua_spawn(&tasks[i], returns, NULL));
        for (int i = 0; i < 40; i++)
            CHECK_OK(skua_join(tasks[i], NULL));
    }
    return 0;
}

static void *makes_runtimes(void *stop)
{
    while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) {
        skua_runtime *rt;
        CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1 }));
        CHECK_OK(skua_runtime_destroy(rt));
    }
    return NULL;
}

TEST(the_child_of_a_busy_process)
{
    if (!is_possible())
        return;
    if (test_under_asan())
        TEST_SKIP("AddressSanitizer's allocator (gcc 12) does not unlock itself in a child");
    skua_runtime *rt;
    pthread_t thread;
    int stop = 0;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 3 }));
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, busy, &stop));
    CHECK_EQ(pthread_create(&thread, NULL, makes_runtimes, &stop), 0);
    for (uint64_t i = test_scaled(40); i > 0; i--) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20); /* a hang is a failure, not a test that does not end */
            skua_runtime *own;
            bool right = all_calls_refuse(rt) && skua_runtime_destroy(rt) == 0;
            right = right && skua_runtime_create(&own, &(skua_config){ .workers = 1 }) == 0 &&
                    skua_block_on(own, returns, (void *)3) == 3 && skua_runtime_destroy(own) == 0;
            _exit(right ? 0 : 1);
        }
        check_child(child);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* A child shares the kernel's poller with its parent. It closes what it has no use for, and the parent's streams are
 * watched as before. */
static int echoes(void *arg)
{
    char byte;
    while (skua_read(arg, &byte, 1) == 1)
        CHECK_EQ(skua_write(arg, &byte, 1), 1);
    return 0;
}

static int rounds_with(skua_stream *stream)
{
    char byte = 'x';
    for (int i = 0; i < 10; i++)
        if (skua_write(stream, &byte, 1) != 1 || skua_read(stream, &byte, 1) != 1)
            return 1;
    return 0;
}

TEST(the_child_closes_its_streams)
{
    if (!is_possible())
        return;
    skua_runtime *rt;
    skua_stream *pair[2];
    skua_task *task;
    char byte;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 2 }));
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_stream_open(&pair[i], rt, fds[i]));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, echoes, pair[1]));
    CHECK_OK(rounds_with(pair[0]));
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        bool right = skua_read(pair[0], &byte, 1) == -ENOTSUP; /* there is nothing, and nobody to wait with */
        skua_stream_close(pair[0]);
        skua_stream_close(pair[1]);
        right = right && fcntl(fds[0], F_GETFD) < 0 && fcntl(fds[1], F_GETFD) < 0;
        _exit(right && skua_stream_open(&pair[0], rt, 0) == -ENOTSUP ? 0 : 1);
    }
    check_child(child);
    CHECK_OK(rounds_with(pair[0]));
    skua_stream_close(pair[0]);
    CHECK_OK(skua_join(task, NULL));
    skua_stream_close(pair[1]);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- of a task ------------------------------------------------------------------------------------------------ */

struct family {
    skua_runtime *rt;
    pid_t parent;
    int *strays; /* shared by parent and child: runs of other tasks in the child */
    int stop;
};

static int notices(void *arg)
{
    struct family *family = arg;
    while (!__atomic_load_n(&family->stop, __ATOMIC_RELAXED)) {
        if (getpid() != family->parent)
            __atomic_fetch_add(family->strays, 1, __ATOMIC_RELAXED);
        skua_yield();
    }
    return 0;
}

static bool is_open(int signal_number)
{
    sigset_t mask;
    sigemptyset(&mask);
    return pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0 && !sigismember(&mask, signal_number);
}

static bool is_a_plain_thread(struct family *family, skua_task *task)
{
    for (int i = 0; i < 100; i++)
        if (skua_yield() != 0)
            return false;
    return skua_self() == NULL && skua_runtime_self() == NULL && skua_sleep(SKUA_US) == 0 && skua_park() == -EPERM &&
           skua_join(task, NULL) == -ENOTSUP && all_calls_refuse(family->rt) && skua_go(returns, NULL) == -EINVAL &&
           is_open(SIGTERM) && is_open(SIGCHLD);
}

static int forks(void *arg)
{
    struct family *family = arg;
    skua_task *others[4];
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_spawn(&others[i], notices, family));
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(is_a_plain_thread(family, others[0]) && skua_runtime_destroy(family->rt) == -EDEADLK ? 0 : 1);
        check_child(child);
        skua_yield();
    }
    pid_t child = fork();
    if (child == 0)
        execl("/bin/sh", "sh", "-c", "kill -TERM $$; exit 1", (char *)NULL);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM); /* not blocked */
    __atomic_store_n(&family->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_join(others[i], NULL));
    return 0;
}

TEST(the_child_of_a_task)
{
    if (!is_possible())
        return;
    struct family family = { .parent = getpid() };
    family.strays = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(family.strays != MAP_FAILED);
    for (int bind = 0; bind < 2; bind++) {
        family.stop = 0;
        CHECK_OK(skua_runtime_create(&family.rt, &(skua_config){ .workers = 2, .bind = bind != 0 }));
        CHECK_EQ(skua_block_on(family.rt, forks, &family), 0);
        CHECK_OK(skua_runtime_destroy(family.rt));
    }
    CHECK_EQ(*family.strays, 0);
    CHECK_EQ(munmap(family.strays, sizeof(int)), 0);
}

/* ---- who returns from the task's function --------------------------------------------------------------------- */

static int abort_as_child(pid_t child)
{
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        abort();
    return 0;
}

static int fiber_returns(void *arg)
{
    (void)arg;
    pid_t child = fork();
    return child == 0 ? 0 : abort_as_child(child);
}

struct forking {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(forking)
{
    SKUA_BEGIN(self);
    {
        pid_t child = fork();
        if (child != 0)
            abort_as_child(child);
    }
    SKUA_END(0);
}
static int future_returns(void *arg)
{
    skua_task *task;
    (void)arg;
    CHECK_OK(SKUA_SPAWN(&task, forking));
    return skua_join(task, NULL);
}

static void run_forking(void *body)
{
    skua_runtime *rt;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1 }));
    skua_block_on(rt, *(skua_fiber_fn **)body, NULL);
    _exit(0);
}

TEST(the_child_must_not_return)
{
    static skua_fiber_fn *bodies[] = { fiber_returns, future_returns };
    if (!is_possible())
        return;
    for (int i = 0; i < 2; i++)
        test_expect_abort(run_forking, &bodies[i], "it must exec or _exit before");
}
