/* A process that is asked by SIGQUIT prints a dump to stderr, and goes on. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "support/with_runtime.h"

enum { TEXT_BYTES = 1 << 16, PATIENCE_MS = 20000 };

/* What is written to stderr meanwhile. */
struct errors {
    int before, fd;
    size_t length;
    char text[TEXT_BYTES];
};

static struct errors *catch_errors(void)
{
    struct errors *errors = calloc(1, sizeof *errors);
    int fds[2];
    CHECK(errors != NULL);
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    errors->before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    CHECK(errors->before >= 0);
    CHECK_EQ(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    CHECK_EQ(close(fds[1]), 0);
    errors->fd = fds[0];
    return errors;
}

static void release_errors(struct errors *errors)
{
    CHECK_EQ(dup2(errors->before, STDERR_FILENO), STDERR_FILENO);
    CHECK_EQ(close(errors->before), 0);
    CHECK_EQ(close(errors->fd), 0);
    free(errors);
}

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

/* Until so many dumps have come to their end. */
static void read_dumps(struct errors *errors, int count)
{
    while (count_of(errors->text, "skua dump: end, ") < count || errors->text[errors->length - 1] != '\n') {
        struct pollfd ready = { .fd = errors->fd, .events = POLLIN };
        bool came = poll(&ready, 1, PATIENCE_MS) == 1;
        ssize_t n = came ? read(errors->fd, errors->text + errors->length, TEXT_BYTES - 1 - errors->length) : 0;
        if (n <= 0) {
            CHECK_EQ(dup2(errors->before, STDERR_FILENO), STDERR_FILENO); /* so that it is seen */
            test_fail(__FILE__, __LINE__, "no dump %d in: %s", count, errors->text);
        }
        errors->length += (size_t)n;
    }
}

static void ask(void) { CHECK_EQ(kill(getpid(), SIGQUIT), 0); }

static int32_t hogging; /* __atomic */

static int hogs(void *arg)
{
    __atomic_fetch_add((int32_t *)arg, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&hogging, __ATOMIC_ACQUIRE) != 0)
        poll(NULL, 0, 1);
    return 0;
}

static skua_config asked(uint32_t workers)
{
    return (skua_config){ .workers = workers, .ignore_environment = true, .dump_on_sigquit = true };
}

/* No worker is left to do it. */
TEST(while_all_workers_are_busy)
{
    enum { WORKERS = 2 };
    skua_runtime *rt;
    skua_config config = asked(WORKERS);
    skua_task *tasks[WORKERS];
    int32_t begun = 0;
    struct errors *errors = catch_errors();
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_spawn_attr attr = { .runtime = rt, .name = "hog" };
    __atomic_store_n(&hogging, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < WORKERS; i++)
        CHECK_OK(skua_spawn_with(&tasks[i], &attr, hogs, &begun));
    while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) != WORKERS)
        poll(NULL, 0, 1);
    for (int dumps = 1; dumps <= 3; dumps++) {
        ask();
        read_dumps(errors, dumps);
        CHECK_EQ(count_of(errors->text, "(hog), a fiber, runs on worker "), dumps * WORKERS);
    }
    __atomic_store_n(&hogging, 0, __ATOMIC_RELEASE);
    for (int i = 0; i < WORKERS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    CHECK_OK(skua_runtime_destroy(rt));
    release_errors(errors);
}

static int32_t others; /* __atomic */
static void others_handler(int number)
{
    (void)number;
    __atomic_fetch_add(&others, 1, __ATOMIC_RELAXED);
}

/* Who has it blocked everywhere gets it all the same, and what was there before comes back. (ThreadSanitizer puts
 * handlers off until the thread's next call, which the thread that waits in one does not come to.) */
TEST(two_runtimes_and_the_handler_before)
{
    skua_runtime *first, *second;
    skua_config config = asked(1);
    sigset_t quit, before;
    struct sigaction handler = { .sa_handler = others_handler }, earlier;
    struct errors *errors = catch_errors();
    sigemptyset(&quit);
    sigaddset(&quit, SIGQUIT);
    CHECK_EQ(sigaction(SIGQUIT, &handler, &earlier), 0);
    CHECK_EQ(pthread_sigmask(test_under_tsan() ? SIG_UNBLOCK : SIG_BLOCK, &quit, &before), 0);
    CHECK_OK(skua_runtime_create(&first, &config));
    CHECK_OK(skua_runtime_create(&second, &config));
    ask();
    read_dumps(errors, 2);
    CHECK_EQ(count_of(errors->text, "skua dump: end, 0 tasks shown"), 2);
    CHECK_OK(skua_runtime_destroy(first));
    ask();
    read_dumps(errors, 3);
    CHECK_OK(skua_runtime_destroy(second));
    CHECK_EQ(__atomic_load_n(&others, __ATOMIC_RELAXED), 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    ask();
    CHECK_EQ(__atomic_load_n(&others, __ATOMIC_RELAXED), 1);
    CHECK_EQ(sigaction(SIGQUIT, &earlier, NULL), 0);
    release_errors(errors);
}

TEST(by_the_environment)
{
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    skua_runtime *rt;
    struct errors *errors = catch_errors();
    CHECK_EQ(setenv("SKUA_DUMP_ON_SIGQUIT", "1", 1), 0);
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1 }));
    ask();
    read_dumps(errors, 1);
    CHECK_OK(skua_runtime_destroy(rt));
    /* A simulation has one thread: the signal stays what it was. */
    struct sigaction now;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .simulate = true, .sim_seed = 1 }));
    CHECK_EQ(sigaction(SIGQUIT, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(unsetenv("SKUA_DUMP_ON_SIGQUIT"), 0);
    release_errors(errors);
}
