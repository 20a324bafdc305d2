/* Reports of what holds a worker (skua_config.watchdog_ns): of each kind, with the function it is in, once, and once
 * more when it is over. What holds a worker here does until it has been reported; only for what is not to be reported
 * a time has to pass.
 */
#define _GNU_SOURCE
#define SKUA_DEBUG 1 /* futures are known by name */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/with_runtime.h"

enum { TEXT_BYTES = 1 << 17 };

static void nothing(void *arg) { (void)arg; }

/* What has been logged, and something that is done when a line with `needle` has been. */
struct log {
    pthread_mutex_t lock;
    size_t length;
    char text[TEXT_BYTES];
    const char *needle;
    void (*then)(void *arg);
    void *arg;
};
static struct log logged = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void keep(void *context, enum skua_log_level level, const char *line)
{
    struct log *log = context;
    size_t length = strlen(line);
    CHECK(strchr(line, '\n') == NULL);
    if (strncmp(line, "watchdog: ", 10) == 0)
        CHECK_EQ(level, SKUA_LOG_WARN);
    pthread_mutex_lock(&log->lock);
    CHECK(log->length + length + 2 < TEXT_BYTES);
    memcpy(log->text + log->length, line, length);
    log->length += length;
    log->text[log->length++] = '\n';
    log->text[log->length] = '\0';
    void (*then)(void *) = log->needle != NULL && strstr(line, log->needle) != NULL ? log->then : nothing;
    pthread_mutex_unlock(&log->lock);
    then(log->arg);
}

static int count(const char *needle)
{
    int found = 0;
    pthread_mutex_lock(&logged.lock);
    for (const char *at = logged.text; (at = strstr(at, needle)) != NULL; at++)
        found++;
    pthread_mutex_unlock(&logged.lock);
    return found;
}

static void expect(int line, const char *needle, int times)
{
    if (count(needle) != times)
        test_fail(__FILE__, line, "%d times \"%s\", not %d, in:\n%s", count(needle), needle, times, logged.text);
}
#define EXPECT(needle, times) expect(__LINE__, (needle), (times))

static struct counted_memory memory;

static skua_config config_of(uint32_t workers)
{
    return (skua_config){ .workers = workers, .ignore_environment = true, .watchdog_ns = 2 * SKUA_MS,
                          .log = keep, .log_context = &logged, .alloc = counted_alloc, .free = counted_free,
                          .memory_context = &memory };
}

static skua_runtime *create(const skua_config *config)
{
    skua_runtime *rt;
    logged.length = 0;
    logged.text[0] = '\0';
    logged.needle = NULL;
    memory = (struct counted_memory){ 0, 0 };
    CHECK_OK(skua_runtime_create(&rt, config));
    return rt;
}

static void end(skua_runtime *rt)
{
    skua_stats stats;
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.live, 0);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory.blocks, 0);
    CHECK_EQ(memory.bytes, 0);
}

/* What tells of a function. A program that is emulated is a static one, without names: there it is a first line. */
static const char *named(const char *function) { return test_under_emulator() ? "watchdog:      0: " : function; }

/* ---- what is held by what ---------------------------------------------------------------------------------------- */

/* Of external linkage, so that the program's dynamic symbols have it. */
__attribute__((visibility("default"))) int holds_until_said(const char *needle);
__attribute__((noinline)) int holds_until_said(const char *needle)
{
    while (count(needle) == 0)
        sched_yield(); /* the processor, not the worker */
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return 0;
}

/* So that no copy of the function is made for this text, under another name. */
static int holds_until_in_it(void)
{
    const char *needle = named("holds_until_said+0x");
    __asm__ volatile("" : "+r"(needle));
    return holds_until_said(needle);
}

/* The frames come in one after the other, so who waits for that of this function's caller has seen those below. */
__attribute__((visibility("default"))) int watched_fiber(void *arg);
__attribute__((noinline)) int watched_fiber(void *arg)
{
    CHECK_OK(skua_self_set_name("heavy"));
    int rc = holds_until_said(arg);
    __asm__ volatile("" ::: "memory");
    return rc;
}

TEST(a_fiber)
{
    skua_config config = config_of(1);
    skua_runtime *rt = create(&config);
    CHECK_EQ(skua_block_on(rt, watched_fiber, (char *)(uintptr_t)named("watched_fiber+0x")), 0);
    end(rt);
    EXPECT("(heavy), a fiber, has held worker 0 for ", 1);
    EXPECT("; it is in\n", 1);
    EXPECT(named(": holds_until_said+0x"), 1);
    EXPECT(named(": watched_fiber+0x"), 1);
    EXPECT("(heavy), a fiber, has given worker 0 back after ", 1);
}

struct watched_future {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(watched_future)
{
    SKUA_BEGIN(self);
    SKUA_YIELD();
    holds_until_in_it();
    SKUA_END(0);
}

static int spawns_a_future(void *arg)
{
    skua_task *task;
    (void)arg;
    CHECK_OK(SKUA_SPAWN(&task, watched_future));
    return skua_join(task, NULL);
}

TEST(a_future)
{
    skua_config config = config_of(1);
    skua_runtime *rt = create(&config);
    CHECK_EQ(skua_block_on(rt, spawns_a_future, NULL), 0);
    end(rt);
    EXPECT(", a future, has held worker 0 for ", 1);
    EXPECT("  which is the future watched_future of ", 1);
    EXPECT(named(": holds_until_said+0x"), 1);
    EXPECT(", a future, has given worker 0 back after ", 1);
}

/* One that its forker runs, at its join, and one that was taken. */
static int taken; /* __atomic */
SKUA_PARALLEL(int, is_taken, int, unused)
{
    (void)unused;
    __atomic_store_n(&taken, 1, __ATOMIC_RELEASE);
    return holds_until_in_it();
}
SKUA_PARALLEL(int, lets_take, int, depth)
{
    SKUA_FORK(other, is_taken, 0);
    while (depth != 0 && !__atomic_load_n(&taken, __ATOMIC_ACQUIRE))
        CHECK_OK(skua_sleep(SKUA_MS)); /* offers what was forked */
    return SKUA_JOIN(is_taken, other);
}
static int runs_jobs(void *depth) { return SKUA_RUN(lets_take, *(int *)depth); }

TEST(a_job)
{
    for (int depth = 0; depth < 2; depth++) {
        skua_config config = config_of(2);
        skua_runtime *rt = create(&config);
        taken = 0;
        CHECK_EQ(skua_block_on(rt, runs_jobs, &depth), 0);
        end(rt);
        CHECK(count(named(": holds_until_said+0x")) >= 1);
        CHECK(count(depth != 0 ? ", a job, has held worker " : ", a fiber, has held worker ") >= 1);
        CHECK(count(depth != 0 ? ", a job, has given worker " : ", a fiber, has given worker ") >= 1);
    }
}

/* Blocked in the kernel, until the report ends that. The call, which the signal interrupts, is made again.
 * (ThreadSanitizer lets the call end before it tells the handler, which then comes too late.) */
static int reads_blocking(void *fd)
{
    char byte;
    ssize_t n = read(*(int *)fd, &byte, 1);
    return n == 1 ? 0 : -errno;
}
static void writes(void *fd)
{
    if (write(*(int *)fd, "x", 1) != 1)
        abort();
}

TEST(a_system_call)
{
    skua_config config = config_of(1);
    int ends[2];
    skua_runtime *rt = create(&config);
    CHECK_OK(pipe(ends));
    logged.then = writes;
    logged.arg = &ends[1];
    logged.needle = "has held worker 0";
    CHECK_EQ(skua_block_on(rt, reads_blocking, &ends[0]), 0);
    end(rt);
    EXPECT(test_under_tsan() ? ", and is blocked in a system call; its thread does not answer, so there is no stack\n"
                             : ", and is blocked in a system call; it is in\n", 1);
    EXPECT(named("read+0x"), !test_under_tsan());
    EXPECT("has given worker 0 back after ", 1);
    CHECK_OK(close(ends[0]));
    CHECK_OK(close(ends[1]));
}

/* Outside of a task: a destructor of a task-local. */
static void destroys(void *needle) { holds_until_said(needle); }
static const skua_local local = { .destroy = destroys };
static int has_a_local(void *arg) { return skua_local_set(&local, arg); }

TEST(outside_of_any_task)
{
    skua_config config = config_of(1);
    skua_runtime *rt = create(&config);
    CHECK_EQ(skua_block_on(rt, has_a_local, (char *)(uintptr_t)named("holds_until_said+0x")), 0);
    end(rt);
    EXPECT("what runs outside of any task has held worker 0 for ", 1);
    EXPECT(named(": holds_until_said+0x"), 1);
    EXPECT("what runs outside of any task has given worker 0 back after ", 1);
}

/* ---- what is none ------------------------------------------------------------------------------------------------ */

static uint64_t stuck(skua_runtime *rt)
{
    skua_stats stats;
    skua_runtime_stats(rt, &stats);
    return stats.stuck;
}

static int holds_until_stuck(void *arg)
{
    (void)arg;
    while (stuck(skua_runtime_self()) == 0)
        sched_yield();
    return 0;
}

static void be_stuck(const skua_config *config)
{
    skua_runtime *rt = create(config);
    CHECK_EQ(skua_block_on(rt, holds_until_stuck, NULL), 0);
    end(rt);
    EXPECT("watchdog", 0);
}

TEST(off_unless_asked_for)
{
    struct sigaction now;
    skua_config config = config_of(1);
    config.spare_workers = 1;
    config.stuck_ns = 5 * SKUA_MS;
    config.watchdog_ns = 0;
    be_stuck(&config);
    config.watchdog_ns = SKUA_NEVER;
    be_stuck(&config);
    config.watchdog_ns = 3600 * SKUA_S;
    be_stuck(&config);
    CHECK_EQ(sigaction(SIGURG, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
}

/* Forks and joins for longer than that, in one run of its task: of small jobs, and of runs of them. */
SKUA_PARALLEL(int, sums, int, n)
{
    if (n < 2)
        return n;
    SKUA_FORK(left, sums, n - 1);
    int right = SKUA_CALL(sums, n - 2);
    return SKUA_JOIN(sums, left) + right;
}
SKUA_COMPUTE(int, sums_more, int, n)
{
    if (n < 2)
        return n;
    SKUA_FORK(left, sums_more, n - 1);
    int right = SKUA_CALL(sums_more, n - 2);
    return SKUA_JOIN(sums_more, left) + right;
}

enum { NOTICED_NS = 20 * (int)SKUA_MS, FORKS_AND_JOINS_NS = 2 * NOTICED_NS };

static int computes(void *arg)
{
    int total = 0;
    uint64_t end_ns = skua_now() + FORKS_AND_JOINS_NS;
    for (bool more = *(bool *)arg; skua_now() < end_ns;)
        total += more ? SKUA_RUN(sums_more, 20) : SKUA_RUN(sums, 20);
    return total > 0 ? 0 : -EINVAL;
}

TEST(who_forks_and_joins)
{
    for (int more = 0; more < 2; more++) {
        skua_config config = config_of(1);
        config.watchdog_ns = NOTICED_NS;
        skua_runtime *rt = create(&config);
        CHECK_EQ(skua_block_on(rt, computes, &(bool){ more != 0 }), 0);
        end(rt);
        EXPECT("watchdog", 0);
    }
}

TEST(simulations)
{
    skua_config config = config_of(2);
    struct sigaction now;
    config.simulate = true;
    skua_runtime *rt = create(&config);
    CHECK_EQ(sigaction(SIGURG, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
    end(rt);
}

static void refused(skua_config config, const char *message)
{
    skua_runtime *rt;
    logged.length = 0;
    CHECK_EQ(skua_runtime_create(&rt, &config), -EINVAL);
    EXPECT(message, 1);
}

TEST(values_that_are_refused)
{
    skua_config config = config_of(1);
    config.watchdog_ns = SKUA_MS - 1;
    refused(config, "skua_config.watchdog_ns is 999999: give a millisecond to an hour, or SKUA_NEVER\n");
    config.watchdog_ns = 3600 * SKUA_S + 1;
    refused(config, "skua_config.watchdog_ns is 3600000000001: give");
    config = config_of(1);
    config.watchdog_signal = SIGSEGV;
    refused(config, "skua_config.watchdog_signal (or SKUA_WATCHDOG_SIGNAL) is 11: give SIGURG,");
    config = config_of(1);
    config.embed = true;
    refused(config, "skua_config.embed has no thread that could watch: leave `watchdog_ns` 0\n");
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    config = (skua_config){ .workers = 1, .log = keep, .log_context = &logged };
    CHECK_EQ(setenv("SKUA_WATCHDOG_MS", "soon", 1), 0);
    refused(config, "SKUA_WATCHDOG_MS=\"soon\" in the environment: give a whole number from 0 to 3600000\n");
    CHECK_EQ(setenv("SKUA_WATCHDOG_MS", "2", 1), 0);
    CHECK_EQ(setenv("SKUA_WATCHDOG_SIGNAL", "9", 1), 0);
    refused(config, "skua_config.watchdog_signal (or SKUA_WATCHDOG_SIGNAL) is 9: give SIGURG,");
    CHECK_EQ(unsetenv("SKUA_WATCHDOG_SIGNAL"), 0);
    skua_runtime *rt = create(&config);
    CHECK_EQ(skua_block_on(rt, watched_fiber, (char *)(uintptr_t)named("watched_fiber+0x")), 0);
    CHECK_OK(skua_runtime_destroy(rt));
    EXPECT("(heavy), a fiber, has held worker 0 for ", 1);
    CHECK_EQ(unsetenv("SKUA_WATCHDOG_MS"), 0);
}

/* ---- many, and the end ------------------------------------------------------------------------------------------- */

/* Until all of them have been counted as held for longer, and one has been reported. */
struct crowd {
    skua_runtime *rt;
    uint64_t count;
};
static int holds_with_others(void *arg)
{
    struct crowd *crowd = arg;
    while (stuck(crowd->rt) < crowd->count || count(" has held worker ") == 0)
        sched_yield();
    return 0;
}

TEST(no_flood)
{
    enum { HOGS = 14, AT_ONCE = 8 };
    skua_config config = config_of(HOGS);
    skua_task *tasks[HOGS];
    struct timespec begun, ended;
    config.stuck_ns = 4 * SKUA_MS;
    config.spare_workers = 1;
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &begun), 0);
    skua_runtime *rt = create(&config);
    struct crowd crowd = { rt, HOGS };
    for (int i = 0; i < HOGS; i++)
        CHECK_OK(skua_spawn_with(&tasks[i], &(skua_spawn_attr){ .runtime = rt }, holds_with_others, &crowd));
    for (int i = 0; i < HOGS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    end(rt);
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &ended), 0);
    int shown = count(" has held worker ");
    CHECK(shown >= 1);
    CHECK(shown <= AT_ONCE + 1 + (int)(ended.tv_sec - begun.tv_sec));
    EXPECT(" has given worker ", shown);
}

/* A runtime that ends amid a report, or just before one, or just after. */
static int holds_about_so_long(void *arg)
{
    struct timespec now, begun;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    do {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begun.tv_sec) * 1000000000 + now.tv_nsec - begun.tv_nsec < *(long *)arg);
    return 0;
}

TEST(ends_amid_a_report)
{
    uint64_t random = test_seed();
    for (uint64_t i = 0; i < test_scaled(60); i++) {
        skua_config config = config_of(1 + (uint32_t)(i % 3));
        config.watchdog_ns = SKUA_MS;
        long long_ns = (long)(test_rand(&random) % (6 * SKUA_MS));
        skua_runtime *rt = create(&config);
        CHECK_EQ(skua_block_on(rt, holds_about_so_long, &long_ns), 0);
        end(rt);
        EXPECT(" has given worker ", count(" has held worker "));
    }
}

/* It is told to end while its first line is being written, and its worker still held. */
static void lets_end(void *flag) { __atomic_store_n((int *)flag, 1, __ATOMIC_RELEASE); }
static int holds_until_set(void *flag)
{
    while (!__atomic_load_n((int *)flag, __ATOMIC_ACQUIRE))
        sched_yield();
    return 0;
}

TEST(ends_while_a_line_is_written)
{
    skua_config config = config_of(2);
    int flag = 0;
    skua_runtime *rt = create(&config);
    logged.then = lets_end;
    logged.arg = &flag;
    logged.needle = "has held worker";
    CHECK_EQ(skua_block_on(rt, holds_until_set, &flag), 0);
    end(rt);
    EXPECT(", a fiber, has held worker ", 1);
    EXPECT(", a fiber, has given worker ", 1);
}

/* ---- the signal -------------------------------------------------------------------------------------------------- */

static int others; /* __atomic */
static void others_handler(int number)
{
    (void)number;
    __atomic_fetch_add(&others, 1, __ATOMIC_RELAXED);
}

/* What the program's own handler is for comes to it, wherever it arrives; and it is there afterwards. */
TEST(a_handler_of_the_program)
{
    struct sigaction handler = { .sa_handler = others_handler, .sa_flags = SA_RESTART }, before, after;
    sigset_t urgent, mask;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    CHECK_EQ(sigaction(SIGURG, &handler, &before), 0);
    __atomic_store_n(&others, 0, __ATOMIC_RELAXED);
    skua_config config = config_of(1);
    skua_runtime *rt = create(&config);
    CHECK_EQ(skua_block_on(rt, watched_fiber, (char *)(uintptr_t)named("watched_fiber+0x")), 0);
    CHECK_EQ(__atomic_load_n(&others, __ATOMIC_RELAXED), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &urgent, &mask), 0); /* a worker gets it */
    CHECK_EQ(kill(getpid(), SIGURG), 0);
    while (__atomic_load_n(&others, __ATOMIC_RELAXED) == 0)
        CHECK_EQ(skua_block_on(rt, spawns_a_future, NULL), 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
    CHECK_EQ(raise(SIGURG), 0);
    CHECK_EQ(__atomic_load_n(&others, __ATOMIC_RELAXED), 2);
    end(rt);
    EXPECT("(heavy), a fiber, has held worker 0 for ", 1);
    CHECK_EQ(sigaction(SIGURG, NULL, &after), 0);
    CHECK(after.sa_handler == others_handler);
    CHECK_EQ(sigaction(SIGURG, &before, NULL), 0);
}

/* One that comes later stays, too, and no stack can be had. */
TEST(a_handler_over_it)
{
    struct sigaction handler = { .sa_handler = others_handler, .sa_flags = SA_RESTART }, before, after;
    skua_config config = config_of(1);
    config.watchdog_signal = (uint8_t)SIGUSR2;
    skua_runtime *rt = create(&config);
    CHECK_EQ(sigaction(SIGUSR2, &handler, &before), 0);
    __atomic_store_n(&others, 0, __ATOMIC_RELAXED);
    CHECK_EQ(skua_block_on(rt, watched_fiber, (char *)(uintptr_t)"has held worker 0"), 0);
    end(rt);
    EXPECT("; the program handles the signal itself, so there is no stack: choose another watchdog_signal\n", 1);
    EXPECT("has given worker 0 back after ", 1);
    CHECK_EQ(__atomic_load_n(&others, __ATOMIC_RELAXED), 0);
    CHECK_EQ(sigaction(SIGUSR2, NULL, &after), 0);
    CHECK(after.sa_handler == others_handler);
    before.sa_handler = SIG_DFL;
    before.sa_flags = 0;
    CHECK_EQ(sigaction(SIGUSR2, &before, NULL), 0);
}

/* Each has its own worker 0, and its own signal or the same. */
static void *blocks_on(void *rt)
{
    CHECK_EQ(skua_block_on(rt, watched_fiber, (char *)(uintptr_t)named("watched_fiber+0x")), 0);
    return NULL;
}

TEST(several_runtimes)
{
    skua_runtime *rt[3];
    pthread_t threads[3];
    skua_config config = config_of(1);
    for (int i = 0; i < 3; i++) {
        config.watchdog_signal = i == 2 ? (uint8_t)(SIGRTMIN + 3) : 0;
        rt[i] = i == 0 ? create(&config) : NULL;
        if (i != 0)
            CHECK_OK(skua_runtime_create(&rt[i], &config));
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, blocks_on, rt[i]), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_runtime_destroy(rt[i]));
    CHECK_EQ(memory.blocks, 0);
    CHECK(count("(heavy), a fiber, has held worker 0 for ") >= 1);
    EXPECT(" has given worker 0 back ", count(" has held worker 0 "));
    struct sigaction now;
    CHECK_EQ(sigaction(SIGURG, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
    CHECK_EQ(sigaction(SIGRTMIN + 3, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
}

/* A fork's child has neither thread, and gives back what there is. */
TEST(the_child_of_a_fork)
{
    if (test_under_tsan())
        TEST_SKIP("ThreadSanitizer does not follow a fork of a process with threads");
    if (test_under_emulator())
        TEST_SKIP("the emulator does not wipe pages at fork");
    struct sigaction now;
    int status;
    skua_config config = config_of(2);
    skua_runtime *rt = create(&config);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        bool is_whole = skua_runtime_destroy(rt) == 0 && sigaction(SIGURG, NULL, &now) == 0 &&
                        now.sa_handler == SIG_DFL && memory.blocks == 0;
        _exit(is_whole ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    end(rt);
}

#if defined(__x86_64__)
/* Call frame information that is wrong leads the unwinder to where nothing is: the walk ends there, and no more. */
static __attribute__((noinline)) void has_wrong_information(const int *stop)
{
    __asm__ volatile("movl $64, %%ebx\n\t"
                     ".cfi_remember_state\n\t"
                     ".cfi_def_cfa %%rbx, 0\n"
                     "1:\n\t"
                     "pause\n\t"
                     "cmpl $0, (%0)\n\t"
                     "je 1b\n\t"
                     ".cfi_restore_state"
                     :
                     : "r"(stop)
                     : "rbx", "cc", "memory");
}
static int is_walked_up(void *stop)
{
    has_wrong_information(stop);
    return 0;
}

TEST(a_walk_that_faults)
{
    if (test_under_tsan())
        TEST_SKIP("ThreadSanitizer puts signals off until the next call of a function that it knows");
    if (test_under_valgrind())
        TEST_SKIP("Valgrind would report the fault");
    skua_config config = config_of(1);
    int stop = 0;
    skua_runtime *rt = create(&config);
    logged.then = lets_end;
    logged.arg = &stop;
    logged.needle = " 0: ";
    CHECK_EQ(skua_block_on(rt, is_walked_up, &stop), 0);
    end(rt);
    EXPECT("; it is in\n", 1);
    EXPECT("watchdog:      1: ", 0);
    EXPECT("has given worker 0 back after ", 1);
}
#endif
