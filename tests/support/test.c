/* See test.h.
 *
 * What a test leaves behind is found by asking the kernel (/proc/self/task, /proc/self/fd) and malloc (mallinfo2)
 * before and after. Three habits of glibc would spoil the count of bytes: the per-thread cache of malloc, whose free
 * chunks count as used; further arenas, whose heads do; and the cache of thread stacks, each of which holds on to a
 * vector on the heap. All have tunables that are read at program start only, so the program starts itself once more
 * with them set. Where that does not work, the heap is not looked at, and the closing line says so.
 */
#define _GNU_SOURCE
#include "support/test.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define UNDER_TSAN true
#else
#define UNDER_TSAN false
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define UNDER_ASAN true
#else
#define UNDER_ASAN false
#endif
#if defined(__GLIBC__) && (__GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 34))
#define HEAP_USED() (mallinfo2().uordblks + mallinfo2().hblkhd)
#define HEAP_TUNABLES "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1:glibc.pthread.stack_cache_size=0"
#else
#define HEAP_USED() ((size_t)0)
#define HEAP_TUNABLES ""
#endif
#define TUNABLES_NAME "GLIBC_TUNABLES"
#define SANITIZED_SCALE 0.25
#define RESTARTED_NAME "SKUA_TEST_RESTARTED" /* keeps a start that does not take from being tried for ever */

enum {
    MAX_FD = 65536,
    MAX_STDERR_BYTES = 65536,
    CHILD_SECONDS = 60, /* a child that should abort and hangs instead */
    LINGER_SECONDS = 5  /* bounds the wait for joined threads to leave /proc; microseconds are usual */
};

struct descriptors {
    int count;
    unsigned char open[MAX_FD / 8];
};

struct leftovers {
    int threads;
    size_t heap_bytes;
    struct descriptors descriptors;
};

static struct test_case *first_test;
static struct test_case **last_link = &first_test;
static struct test_case *running;
static const char *program;
static bool heap_is_watched;
static size_t allowed_heap_bytes;
static const char *skip_reason;
static struct leftovers before, after;

/* Sanitizers read these at start. A test may fork while it has threads; the first report ends the program. */
const char *__tsan_default_options(void);
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    return "halt_on_error=1:die_after_fork=0:second_deadlock_stack=1:history_size=4";
}

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "detect_leaks=1:strict_string_checks=1:check_initialization_order=1";
}

__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1:halt_on_error=1";
}

bool test_under_tsan(void) { return UNDER_TSAN; }
bool test_under_asan(void) { return UNDER_ASAN; }

bool test_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD"); /* Valgrind's tools come in this way */
    return preloaded != NULL && (strstr(preloaded, "valgrind") != NULL || strstr(preloaded, "vgpreload") != NULL);
}

void test_add(struct test_case *test)
{
    *last_link = test;
    last_link = &test->next;
}

/* ---- failing ---- */

#define ONE_ROUND 1e-9
static uint64_t at_seed;
static bool at_seed_set;
static const char *at_trial;
static uint64_t at_trial_number;

void test_at_seed(uint64_t seed)
{
    at_seed = seed;
    at_seed_set = true;
}

void test_at_no_seed(void)
{
    at_seed_set = false;
    at_trial = NULL;
}

void test_at_trial(const char *what, uint64_t number)
{
    at_trial = what;
    at_trial_number = number;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    char what[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *name = running != NULL ? running->name : "?";
    fflush(stdout);
    fprintf(stderr, "FAILED %s\n  %s:%d: %s\n", name, file, line, what);
    if (at_trial != NULL)
        fprintf(stderr, "  when: %s %llu\n", at_trial, (unsigned long long)at_trial_number);
    fprintf(stderr, "  again: SKUA_TEST_SEED=%llu SKUA_TEST_SCALE=%g %s %s\n",
            (unsigned long long)(at_seed_set ? at_seed : test_seed()), at_seed_set ? ONE_ROUND : test_scale(), program,
            name);
    fflush(stderr);
    _exit(1); /* other threads may be running, so nothing of theirs is torn down */
}

void test_check_eq(const char *file, int line, const char *a_text, const char *b_text, long long a, long long b)
{
    if (a != b)
        test_fail(file, line, "CHECK_EQ(%s, %s): %lld is not %lld (%#llx, %#llx)", a_text, b_text, a, b,
                  (unsigned long long)a, (unsigned long long)b);
}

void test_check_str(const char *file, int line, const char *a_text, const char *b_text, const char *a, const char *b)
{
    if (a == NULL && b == NULL)
        return;
    if (a == NULL || b == NULL || strcmp(a, b) != 0)
        test_fail(file, line, "CHECK_STR(%s, %s): \"%s\" is not \"%s\"", a_text, b_text, a != NULL ? a : "(null)",
                  b != NULL ? b : "(null)");
}

void test_check_ok(const char *file, int line, const char *text, long long rc)
{
    if (rc < 0)
        test_fail(file, line, "CHECK_OK(%s): %lld, %s", text, rc, rc > -4096 ? strerror((int)-rc) : "no errno value");
}

void test_skipped(const char *why) { skip_reason = why; }

void test_allow_heap_growth(size_t bytes) { allowed_heap_bytes = bytes; }

/* ---- seeds ---- */

uint64_t test_seed(void)
{
    const char *text = getenv("SKUA_TEST_SEED");
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : 1;
}

bool test_under_emulator(void)
{
    const char *text = getenv("SKUA_TEST_EMULATED");
    return text != NULL && *text != '\0';
}

uint32_t test_workers_per_poller(void)
{
    const char *text = getenv("SKUA_TEST_WORKERS_PER_POLLER");
    return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

double test_scale(void)
{
    const char *text = getenv("SKUA_TEST_SCALE");
    double scale = text != NULL ? strtod(text, NULL) : 0.0;
    if (scale > 0.0)
        return scale;
    return UNDER_TSAN || UNDER_ASAN || test_under_valgrind() || test_under_emulator() ? SANITIZED_SCALE : 1.0;
}

uint64_t test_scaled(uint64_t rounds)
{
    double scaled = (double)rounds * test_scale();
    return scaled < 1.0 ? 1 : (uint64_t)scaled;
}

uint64_t test_rand(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- children that must die ---- */

static void run_to_abort(int stderr_fd, void (*fn)(void *), void *arg)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    alarm(CHILD_SECONDS);
    fn(arg);
    _exit(0);
}

void test_expect_abort_at(const char *file, int line, void (*fn)(void *), void *arg, const char *needle)
{
    static char text[MAX_STDERR_BYTES];
    int ends[2], status = 0;
    fflush(stdout);
    fflush(stderr);
    if (pipe(ends) != 0)
        test_fail(file, line, "pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        test_fail(file, line, "fork: %s", strerror(errno));
    if (child == 0) {
        close(ends[0]);
        run_to_abort(ends[1], fn, arg);
    }
    close(ends[1]);
    size_t used = 0;
    char overflow[4096];
    for (;;) {
        bool is_full = used == sizeof text - 1; /* what does not fit is read and dropped: the child must not block */
        ssize_t n =
            is_full ? read(ends[0], overflow, sizeof overflow) : read(ends[0], text + used, sizeof text - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += is_full ? 0 : (size_t)n;
    }
    text[used] = '\0';
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        test_fail(file, line, "test_expect_abort: the child lived; stderr: \"%.800s\"", text);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        test_fail(file, line, "test_expect_abort: the child hung; stderr: \"%.800s\"", text);
    if (strstr(text, needle) == NULL)
        test_fail(file, line, "test_expect_abort: no \"%s\" in stderr: \"%.800s\"", needle, text);
}

/* ---- what is left behind ---- */

static int count_threads(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    if (dir == NULL)
        return -1;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void list_descriptors(struct descriptors *list)
{
    memset(list, 0, sizeof *list);
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(dir) || fd >= MAX_FD)
            continue;
        list->open[fd / 8] = (unsigned char)(list->open[fd / 8] | 1u << fd % 8);
        list->count++;
    }
    closedir(dir);
}

static void look(struct leftovers *seen)
{
    seen->threads = count_threads();
    list_descriptors(&seen->descriptors);
    seen->heap_bytes = heap_is_watched ? HEAP_USED() : 0;
}

/* A thread that has been joined is still in /proc for a moment. */
static void wait_for_threads_to_leave(void)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (count_threads() <= before.threads)
            return;
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < LINGER_SECONDS);
}

static void compare_descriptors(const struct test_case *test)
{
    for (int fd = 0; fd < MAX_FD; fd++) {
        bool was = before.descriptors.open[fd / 8] >> fd % 8 & 1;
        bool is = after.descriptors.open[fd / 8] >> fd % 8 & 1;
        if (was == is)
            continue;
        char path[64], target[256] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (is)
            test_fail(test->file, 0, "left descriptor %d open (%s)", fd, target);
        test_fail(test->file, 0, "closed descriptor %d, which was not its own", fd);
    }
}

static void compare(const struct test_case *test)
{
    wait_for_threads_to_leave();
    look(&after);
    if (after.threads > before.threads) /* fewer: an emulator's own, from before */
        test_fail(test->file, 0, "threads: %d before, %d after", before.threads, after.threads);
    compare_descriptors(test);
    if (heap_is_watched && after.heap_bytes > before.heap_bytes + allowed_heap_bytes)
        test_fail(test->file, 0, "left %zu bytes on the heap (%zu allowed)", after.heap_bytes - before.heap_bytes,
                  allowed_heap_bytes);
    if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
        test_fail(test->file, 0, "left memory that nothing points to (LeakSanitizer's report is above)");
}

/* ---- main ---- */

static void *do_nothing(void *arg) { return arg; }

/* What libc makes at its first use and keeps, made before anything is counted. */
static void warm_up(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, do_nothing, NULL) == 0)
        pthread_join(thread, NULL);
    fflush(stdout);
    look(&before);
    look(&before);
}

/* Returns where the heap is watched already, cannot be, or the second start fails. */
static void restart_with_tunables(char **argv)
{
    const char *tunables = getenv(TUNABLES_NAME);
    if (*HEAP_TUNABLES == '\0' || UNDER_TSAN || UNDER_ASAN || test_under_valgrind())
        return;
    if (tunables != NULL && strstr(tunables, HEAP_TUNABLES) != NULL) {
        heap_is_watched = true;
        return;
    }
    if (getenv(RESTARTED_NAME) != NULL)
        return;
    char all[1024];
    snprintf(all, sizeof all, "%s%s%s", tunables != NULL ? tunables : "", tunables != NULL ? ":" : "", HEAP_TUNABLES);
    setenv(TUNABLES_NAME, all, 1);
    setenv(RESTARTED_NAME, "1", 1);
    execv("/proc/self/exe", argv);
    if (tunables != NULL)
        setenv(TUNABLES_NAME, tunables, 1);
    else
        unsetenv(TUNABLES_NAME);
}

static bool is_wanted(const struct test_case *test, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(test->name, argv[i]) != NULL)
            return true;
    return argc <= 1;
}

static void run_one(struct test_case *test)
{
    running = test;
    skip_reason = NULL;
    allowed_heap_bytes = 0;
    look(&before);
    test->run();
    compare(test);
    if (skip_reason != NULL)
        printf("skip %s: %s\n", test->name, skip_reason);
    else
        printf("ok %s\n", test->name);
    fflush(stdout);
    running = NULL;
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (struct test_case *test = first_test; test != NULL; test = test->next)
            puts(test->name);
        return 0;
    }
    restart_with_tunables(argv);
    static char stdout_buffer[BUFSIZ], stderr_buffer[BUFSIZ];
    setvbuf(stdout, stdout_buffer, _IOLBF, sizeof stdout_buffer);
    setvbuf(stderr, stderr_buffer, _IOLBF, sizeof stderr_buffer);
    warm_up();
    int ran = 0, skipped = 0;
    for (struct test_case *test = first_test; test != NULL; test = test->next) {
        if (!is_wanted(test, argc, argv))
            continue;
        run_one(test);
        ran++;
        skipped += skip_reason != NULL;
    }
    if (ran == 0) {
        fprintf(stderr, "%s: no such test\n", program);
        return 2;
    }
    const char *looked_for = heap_is_watched                            ? "thread, descriptor or heap byte"
                             : __lsan_do_recoverable_leak_check != NULL ? "thread, descriptor or leak"
                                                                        : "thread or descriptor (heap not looked at)";
    printf("%d test%s passed, %d skipped; no %s left over\n", ran - skipped, ran - skipped == 1 ? "" : "s", skipped,
           looked_for);
    return 0;
}
