/* Counters as Prometheus reads them: each has its help and type, a name of its own and the value that it was given. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/with_runtime.h"

static const skua_stats sample = {
    .workers = 4, .pollers = 1, .live = 7, .spawned = UINT64_MAX, .polls = 11, .steals = 12, .stolen = 13,
    .overflows = 14, .injected = 15, .parks = 16, .wakes = 17, .timers = 18, .task_bytes = 19, .stacks = 20,
    .steal_attempts = 21, .events_looked = 22, .events_slept = 23, .events_guard = 24, .timers_guard = 25,
    .stuck = 26, .spares_begun = 27, .crowds = 28, .steals_at = { 30, 31, 32, 33, 34, 35, 36 }, .poller_looks = 40,
    .poller_parks = 41, .poller_looks_guard = 42, .timers_late = { 5, 4, 3, 2, 1, 3 }, .timers_late_ns = 12000000345,
    .timers_late_max_ns = 7000000001, .blocking_threads = 50, .blocking_idle = 51, .blocking_queued = 52,
    .blocking_queued_max = 53, .blocking_calls = 54, .failed = 55,
};

/* Its value, of which there is one. */
static uint64_t value_of(const char *text, const char *name)
{
    char *line, key[128];
    snprintf(key, sizeof key, "\n%s ", name);
    line = strstr(text, key);
    CHECK(line != NULL);
    CHECK(strstr(line + 1, key) == NULL);
    return strtoull(line + strlen(key), NULL, 10);
}

/* ---- a reader of the format, which knows nothing of what is to be in it ---- */

struct family {
    char name[64], kind[16];
    int samples;
};

/* A sample's name is its family's, but for what a histogram has behind it. */
static bool is_of(const struct family *family, const char *name)
{
    static const char *const ends[] = { "_bucket", "_sum", "_count" };
    size_t length = strlen(family->name);
    if (strcmp(family->kind, "histogram") != 0)
        return strcmp(name, family->name) == 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (strncmp(name, family->name, length) == 0 && strcmp(name + length, ends[i]) == 0)
            return true;
    return false;
}

/* Checks a page's lines; each sample begins its labels so. Returns how many families there are. */
static int read_page(char *text, const char *labels_begin)
{
    struct family families[64], *family = NULL;
    int count = 0;
    char name[64], labels[128], *end;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            CHECK(count < 64);
            CHECK(family == NULL || family->samples > 0);
            family = &families[count++];
            *family = (struct family){ .samples = 0 };
            CHECK_EQ(sscanf(line, "# HELP %63s", family->name), 1);
            CHECK_EQ(line[strlen(line) - 1], '.');
            for (int i = 0; i + 1 < count; i++)
                CHECK(strcmp(families[i].name, family->name) != 0); /* all of one family is together */
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            CHECK_EQ(sscanf(line, "# TYPE %63s %15s", name, family->kind), 2);
            CHECK_STR(name, family->name);
            CHECK((strcmp(family->kind, "counter") == 0) ==
                  (strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0));
        } else {
            CHECK_EQ(sscanf(line, "%63[a-z0-9_]{%127[^}]}", name, labels), 2);
            CHECK(is_of(family, name));
            CHECK_EQ(strncmp(labels, labels_begin, strlen(labels_begin)), 0);
            CHECK(strtod(strchr(line, '}') + 2, &end) >= 0 && *end == '\0');
            family->samples++;
        }
    }
    CHECK(family != NULL && family->samples > 0);
    return count;
}

TEST(each_line_is_one_of_the_format)
{
    char text[8192];
    int length = skua_stats_prometheus(&sample, "runtime=\"io\"", text, sizeof text);
    CHECK_EQ(length, strlen(text));
    CHECK_EQ(read_page(text, "runtime=\"io\""), 33);
}

TEST(each_value_is_under_its_name)
{
    char text[8192];
    CHECK(skua_stats_prometheus(&sample, NULL, text, sizeof text) > 0);
    CHECK_EQ(value_of(text, "skua_workers"), 4);
    CHECK_EQ(value_of(text, "skua_tasks_live"), 7);
    CHECK(value_of(text, "skua_tasks_spawned_total") == UINT64_MAX);
    CHECK_EQ(value_of(text, "skua_task_runs_total"), 11);
    CHECK_EQ(value_of(text, "skua_tasks_stolen_total"), 13);
    CHECK_EQ(value_of(text, "skua_steal_attempts_total"), 21);
    CHECK_EQ(value_of(text, "skua_events_guard_total"), 24);
    CHECK_EQ(value_of(text, "skua_timers_expired_by_guard_total"), 25);
    CHECK_EQ(value_of(text, "skua_tasks_stuck_total"), 26);
    CHECK_EQ(value_of(text, "skua_spares_begun_total"), 27);
    CHECK_EQ(value_of(text, "skua_crowds_total"), 28);
    CHECK_EQ(value_of(text, "skua_tasks_failed_total"), 55);
    CHECK_EQ(value_of(text, "skua_task_memory_bytes"), 19);
    CHECK_EQ(value_of(text, "skua_poller_looks_total"), 40);
    CHECK_EQ(value_of(text, "skua_poller_parks_total"), 41);
    CHECK_EQ(value_of(text, "skua_poller_looks_by_guard_total"), 42);
    CHECK_EQ(value_of(text, "skua_blocking_threads"), 50);
    CHECK_EQ(value_of(text, "skua_blocking_idle"), 51);
    CHECK_EQ(value_of(text, "skua_blocking_queued"), 52);
    CHECK_EQ(value_of(text, "skua_blocking_queued_max"), 53);
    CHECK_EQ(value_of(text, "skua_blocking_calls_total"), 54);
}

TEST(steals_have_a_distance)
{
    static const char *const names[SKUA_DISTANCES] = { "core", "l2", "l3", "numa", "package", "machine", "spare" };
    char text[8192], name[64];
    CHECK(skua_stats_prometheus(&sample, NULL, text, sizeof text) > 0);
    for (int i = 0; i < SKUA_DISTANCES; i++) {
        snprintf(name, sizeof name, "skua_steals_total{distance=\"%s\"}", names[i]);
        CHECK_EQ(value_of(text, name), 30 + i);
    }
}

/* Each count is of all that are not later, and times are in seconds. */
TEST(lateness_is_a_histogram)
{
    static const char *const bounds[SKUA_LATES] = { "0.0001", "0.001", "0.01", "0.1", "1", "+Inf" };
    static const uint64_t counts[SKUA_LATES] = { 5, 9, 12, 14, 15, 18 };
    char text[8192], name[64];
    CHECK(skua_stats_prometheus(&sample, NULL, text, sizeof text) > 0);
    for (int i = 0; i < SKUA_LATES; i++) {
        snprintf(name, sizeof name, "skua_timer_lateness_seconds_bucket{le=\"%s\"}", bounds[i]);
        CHECK_EQ(value_of(text, name), counts[i]);
    }
    CHECK_EQ(value_of(text, "skua_timer_lateness_seconds_count"), 18);
    CHECK(strstr(text, "\nskua_timer_lateness_seconds_sum 12.000000345\n") != NULL);
    CHECK(strstr(text, "\nskua_timer_lateness_max_seconds 7.000000001\n") != NULL);
}

/* As snprintf: the length is told, what is there is terminated, and nothing is written behind it. */
TEST(what_does_not_fit_is_cut)
{
    char whole[8192], cut[8192];
    int length = skua_stats_prometheus(&sample, NULL, whole, sizeof whole);
    CHECK_EQ(skua_stats_prometheus(&sample, NULL, NULL, 0), length);
    for (size_t size = 1; size <= (size_t)length + 1; size += 97) {
        memset(cut, 'x', sizeof cut);
        CHECK_EQ(skua_stats_prometheus(&sample, NULL, cut, size), length);
        CHECK_EQ(strlen(cut), size - 1 < (size_t)length ? size - 1 : (size_t)length);
        CHECK_EQ(memcmp(cut, whole, strlen(cut)), 0);
        CHECK_EQ(cut[size], 'x');
    }
}

TEST(the_size_that_is_enough)
{
    skua_stats largest;
    memset(&largest, 0xff, sizeof largest);
    CHECK(skua_stats_prometheus(&largest, NULL, NULL, 0) < 8192);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}
static int asks(void *arg)
{
    char text[8192];
    skua_stats stats;
    (void)arg;
    for (int i = 0; i < 5; i++) {
        skua_task *task;
        CHECK_OK(skua_spawn(&task, nothing, NULL));
        CHECK_OK(skua_join(task, NULL));
    }
    skua_runtime_stats(skua_runtime_self(), &stats);
    CHECK(skua_stats_prometheus(&stats, NULL, text, sizeof text) < 8192);
    CHECK(value_of(text, "skua_tasks_spawned_total") >= 6);
    CHECK_EQ(value_of(text, "skua_tasks_live"), 1);
    return 0;
}
TEST(of_a_runtime) { CHECK_EQ(run_on(2, asks, NULL), 0); }

/* ---- the workers, too ---- */

static uint64_t sum_of(const char *text, const char *name, uint32_t workers)
{
    char key[80];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < workers; i++) {
        snprintf(key, sizeof key, "skua_worker_%s{worker=\"w%u\"}", name, i);
        sum += value_of(text, key);
    }
    return sum;
}

TEST(with_its_workers)
{
    skua_runtime *rt;
    struct counted_memory memory = { 0, 0 };
    static char text[32768];
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 3, .stuck_ns = SKUA_NEVER, .ignore_environment = true,
                                                      .alloc = counted_alloc, .free = counted_free,
                                                      .memory_context = &memory }));
    CHECK_EQ(skua_block_on(rt, asks, NULL), 0);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER)); /* so that nothing changes any more */
    int64_t blocks = memory.blocks;
    int length = skua_runtime_prometheus(rt, NULL, text, sizeof text);
    CHECK_EQ(length, strlen(text));
    CHECK_EQ(sum_of(text, "task_runs_total", 3), value_of(text, "skua_task_runs_total"));
    CHECK_EQ(sum_of(text, "parks_total", 3), value_of(text, "skua_parks_total"));
    CHECK_EQ(sum_of(text, "tasks_spawned_total", 3) + 1, value_of(text, "skua_tasks_spawned_total"));
    /* One label more for each of so many samples, some of which had none. */
    CHECK_EQ(skua_runtime_prometheus(rt, "runtime=\"io\"", NULL, 0), length + (46 + 3 * 31) * 13 + 33);
    CHECK(skua_runtime_prometheus(rt, "runtime=\"io\"", text, sizeof text) > length);
    CHECK_EQ(read_page(text, "runtime=\"io\""), 33 + 18);
    CHECK_EQ(memory.blocks, blocks);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory.blocks, 0);
}
