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
    .stuck = 26, .spares_begun = 27,
};

/* Its value, of which there is one. */
static uint64_t value_of(const char *text, const char *name)
{
    char *line, key[80];
    snprintf(key, sizeof key, "\n%s", name);
    line = strstr(text, key);
    CHECK(line != NULL);
    CHECK(strstr(line + 1, key) == NULL);
    return strtoull(strchr(line, ' '), NULL, 10);
}

TEST(each_line_is_one_of_the_format)
{
    char text[8192], name[64], before[64] = "";
    int length = skua_stats_prometheus(&sample, "runtime=\"io\"", text, sizeof text);
    CHECK_EQ(length, strlen(text));
    int lines = 0, metrics = 0;
    char kind[16], labels[64];
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        unsigned long long value;
        switch (lines % 3) {
        case 0:
            CHECK_EQ(sscanf(line, "# HELP %63s", before), 1);
            CHECK_EQ(line[strlen(line) - 1], '.');
            break;
        case 1:
            CHECK_EQ(sscanf(line, "# TYPE %63s %15s", name, kind), 2);
            CHECK_STR(name, before);
            CHECK((strcmp(kind, "counter") == 0) == (strstr(name, "_total") != NULL));
            break;
        default:
            CHECK_EQ(sscanf(line, "%63[a-z_]{%63[^}]} %llu", name, labels, &value), 3);
            CHECK_STR(name, before);
            CHECK_STR(labels, "runtime=\"io\"");
            metrics++;
        }
    }
    CHECK_EQ(lines, 3 * metrics);
    CHECK_EQ(metrics, 21);
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
    CHECK_EQ(value_of(text, "skua_task_memory_bytes"), 19);
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
    CHECK(skua_stats_prometheus(&stats, NULL, text, sizeof text) < 4096);
    CHECK(value_of(text, "skua_tasks_spawned_total") >= 6);
    CHECK_EQ(value_of(text, "skua_tasks_live"), 1);
    return 0;
}
TEST(of_a_runtime) { CHECK_EQ(run_on(2, asks, NULL), 0); }
