/* Traces: what is in the file, when it can be had, and what goes wrong. That others can read it: examples/trace. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/with_runtime.h"

static char *read_file(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    ssize_t length = getdelim(&text, &size, '\0', file);
    CHECK(length > 0);
    fclose(file);
    return text;
}

static void name_file(char path[64])
{
    snprintf(path, 64, "/tmp/skua-trace-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

static int yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        CHECK_OK(skua_yield());
    return skua_sleep(1000);
}

struct future {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(future)
{
    SKUA_BEGIN(self);
    SKUA_YIELD();
    SKUA_END(0);
}

static int some_of_each(void *arg)
{
    skua_task *tasks[3];
    (void)arg;
    CHECK_OK(skua_spawn_with(&tasks[0], &(skua_spawn_attr){ .name = "a \"named\" one\\" }, yields, NULL));
    CHECK_OK(skua_spawn(&tasks[1], yields, NULL));
    CHECK_OK(skua_spawn_with(&tasks[2], &(skua_spawn_attr){ .name = "longer than what a record holds" }, yields, NULL));
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    CHECK_OK(SKUA_SPAWN(&tasks[0], future));
    CHECK_OK(skua_join(tasks[0], NULL));
    return 0;
}

static int traced(void *arg)
{
    char path[64];
    skua_runtime *rt = skua_runtime_self();
    (void)arg;
    name_file(path);
    skua_stats before_it, after_it;
    skua_runtime_stats(rt, &before_it);
    CHECK_OK(skua_trace_start(rt, 16000)); /* 16,384 */
    CHECK_EQ(some_of_each(NULL), 0);
    skua_trace_stop(rt);
    skua_runtime_stats(rt, &after_it);
    CHECK_OK(skua_trace_write(rt, path));
    char *text = read_file(path);
    CHECK(count_of(text, "\"a \\\"named\\\" one\\\\\"") >= 6); /* begun, five times after a yield */
    CHECK(count_of(text, "\"longer than what\"") >= 6);
    CHECK((count_of(text, "\"timers\"") != 0) == (after_it.timers != before_it.timers));
    CHECK_EQ(count_of(text, "\"guard\""), 1);
    CHECK_EQ(count_of(text, "\"worker 0\""), 1);
    CHECK_EQ(strncmp(text, "{\"displayTimeUnit\"", 18), 0);
    CHECK_STR(text + strlen(text) - 4, "\n]}\n");
    int before = count_of(text, "\n");
    free(text);
    CHECK_EQ(some_of_each(NULL), 0); /* it is off */
    CHECK_OK(skua_trace_write(rt, path));
    text = read_file(path);
    CHECK_EQ(count_of(text, "\n"), before);
    free(text);
    CHECK_OK(skua_trace_start(rt, 0)); /* goes on, in the same rings */
    CHECK_EQ(some_of_each(NULL), 0);
    CHECK_OK(skua_trace_write(rt, path));
    text = read_file(path);
    CHECK(count_of(text, "\n") > before);
    free(text);
    CHECK_EQ(skua_trace_write(rt, "/no such folder/file"), -ENOENT);
    CHECK_EQ(skua_trace_start(rt, (size_t)1 << 25), -EINVAL);
    if (access("/dev/full", W_OK) == 0)
        CHECK_EQ(skua_trace_write(rt, "/dev/full"), -ENOSPC);
    CHECK_OK(unlink(path));
    return 0;
}
TEST(what_is_in_it) { run_everywhere(traced, NULL); }

/* Of what was never on there is nothing. */
TEST(never_on)
{
    char path[64];
    skua_runtime *rt;
    name_file(path);
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 2, .ignore_environment = true }));
    skua_trace_stop(rt);
    CHECK_OK(skua_trace_write(rt, path));
    CHECK_OK(skua_runtime_destroy(rt));
    char *text = read_file(path);
    CHECK_EQ(count_of(text, "\"X\""), 0);
    CHECK_EQ(count_of(text, "thread_name"), 3);
    free(text);
    CHECK_OK(unlink(path));
}

/* From the configuration or the environment, to the end of the runtime. */
TEST(from_begin_to_end)
{
    char path[64];
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    for (int from_environment = 0; from_environment < 2; from_environment++) {
        skua_runtime *rt;
        skua_config config = { .workers = 2, .trace = from_environment ? NULL : path };
        name_file(path);
        if (from_environment)
            CHECK_OK(setenv("SKUA_TRACE", path, 1));
        CHECK_OK(skua_runtime_create(&rt, &config));
        CHECK_OK(unsetenv("SKUA_TRACE"));
        CHECK_EQ(skua_block_on(rt, some_of_each, NULL), 0);
        CHECK_OK(skua_runtime_destroy(rt));
        char *text = read_file(path);
        CHECK(count_of(text, "\"X\"") >= 20);
        free(text);
        CHECK_OK(unlink(path));
    }
}

static int told; /* __atomic */
static void take_log(void *context, enum skua_log_level level, const char *text)
{
    (void)context;
    if (level == SKUA_LOG_ERROR && strstr(text, "the trace could not be written") != NULL)
        __atomic_store_n(&told, 1, __ATOMIC_RELEASE);
}
TEST(a_file_that_cannot_be_written_at_the_end)
{
    skua_runtime *rt;
    skua_config config = { .workers = 1, .ignore_environment = true, .trace = "/no such folder/file", .log = take_log };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(__atomic_load_n(&told, __ATOMIC_ACQUIRE), 1);
}

/* On, off and written by plain threads while tasks run on more workers than processors, and spares. */
struct busy {
    skua_runtime *rt;
    int stop; /* __atomic */
};
static void *switches(void *arg)
{
    struct busy *busy = arg;
    char path[64];
    name_file(path);
    for (uint64_t i = test_scaled(30); i > 0; i--) {
        CHECK_OK(skua_trace_start(busy->rt, 64));
        CHECK_OK(skua_trace_write(busy->rt, path));
        if (i % 3 == 0)
            skua_trace_stop(busy->rt);
    }
    __atomic_store_n(&busy->stop, 1, __ATOMIC_RELEASE);
    CHECK_OK(unlink(path));
    return NULL;
}
static int runs_on(void *arg)
{
    struct busy *busy = arg;
    while (!__atomic_load_n(&busy->stop, __ATOMIC_ACQUIRE))
        CHECK_EQ(some_of_each(NULL), 0);
    return 0;
}
TEST(while_all_runs)
{
    struct busy busy = { .stop = 0 };
    pthread_t threads[2];
    skua_task *tasks[8];
    CHECK_OK(skua_runtime_create(&busy.rt, &(skua_config){ .workers = 4, .stuck_ns = SKUA_MS,
                                                           .ignore_environment = true }));
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_spawn_with(&tasks[i], &(skua_spawn_attr){ .runtime = busy.rt }, runs_on, &busy));
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, switches, &busy), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    CHECK_OK(skua_runtime_destroy(busy.rt));
}
