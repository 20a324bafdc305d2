/* skua-bench-work NAME WORKERS SECONDS: one measurement of one benchmark in this process, on Skua with so many workers;
 * with 0 workers on its floor, bare code that does what no runtime can do without, or serially. SECONDS is for `idle`;
 * less than 10 also means that fork-join is to be quick.
 *
 * It prints a line `FIGURE VALUE UNIT` for each figure and nothing else, and exits with 0 only if all counts were
 * right; so do the drivers in bench/peers/. One iteration before the measured one is for warming up, but not for names
 * that end in _cold.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/cases/work.h"

void work_must(int rc)
{
    if (rc < 0)
        work_die("a call failed", skua_strerror(rc));
}

struct count *work_count(int64_t left)
{
    struct count *count = aligned_alloc(64, 64); /* a cache line of its own */
    if (count == NULL)
        abort();
    *count = (struct count){ .left = left, .done = skua_waker_self() };
    return count;
}

/* ---- measuring ----------------------------------------------------------------------------------------------- */

double work_wakes(void)
{
    skua_stats stats;
    if (skua_runtime_self() == NULL)
        return 0;
    skua_runtime_stats(skua_runtime_self(), &stats);
    return (double)stats.wakes;
}

static void measure(const struct work *work)
{
    size_t length = strlen(work->name);
    if (length < 5 || strcmp(&work->name[length - 5], "_cold") != 0)
        work->iterate();
    double wakes = work_wakes(), cpu = work_cpu_ns();
    uint64_t begin = work_wall_ns();
    double ops = (double)work->iterate();
    double wall = (double)(work_wall_ns() - begin);
    cpu = work_cpu_ns() - cpu;
    wakes = work_wakes() - wakes;
    work_print("-", wall / ops, "ns/op");
    work_print("cpu", cpu / ops, "ns/op");
    if (skua_runtime_self() != NULL)
        work_print("wakes_per_op", wakes / ops, "wakes");
}

/* ---- which one ----------------------------------------------------------------------------------------------- */

static const struct work *find_in(const struct work *works, const char *name)
{
    while (works->name != NULL && strcmp(works->name, name) != 0)
        works++;
    return works->name != NULL ? works : NULL;
}

static const struct work *find(const char *name)
{
    const struct work *const lists[] = { work_of_spawn,  work_of_yield, work_of_wake, work_of_switch,
                                         work_of_group,  work_of_channel, work_of_lock, work_of_signal,
                                         work_of_timers, work_of_streams };
    const struct work *found = NULL;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && found == NULL; i++)
        found = find_in(lists[i], name);
    if (found == NULL)
        work_die(name, "no such benchmark");
    return found;
}

static bool measure_whole(const struct measurement *measurements, const char *name)
{
    while (measurements->name != NULL && strcmp(measurements->name, name) != 0)
        measurements++;
    if (measurements->name == NULL)
        return false;
    measurements->measure();
    return true;
}

/* serve, serve_timers, and both with /fiber behind. */
static bool serve_named(const char *name)
{
    const char *fiber = strstr(name, "/fiber");
    bool timers = strncmp(name, "serve_timers", 12) == 0;
    if (!timers && strncmp(name, "serve", 5) != 0)
        return false;
    serve(fiber != NULL, timers);
    return true;
}

static int measure_named(void *arg)
{
    const struct forkjoin_call *call = arg;
    const char *name = call->name;
    if (strcmp(name, "mixed_latency") == 0) {
        mixed_measure(call->effort);
        return 0;
    }
    if (strcmp(name, "hogs_latency") == 0) {
        mixed_measure_hogs(call->effort);
        return 0;
    }
    if (forkjoin_measure(&forkjoin_on_skua, name, call->effort))
        return 0;
    if (measure_whole(work_of_memory, name) || measure_whole(work_of_timing, name) || serve_named(name))
        return 0;
    measure(find(name));
    return 0;
}

static int work_a_little(void *arg)
{
    (void)arg;
    work_spawn_counted(10000);
    return 0;
}

/* All workers have worked; then nobody does anything. */
static void idle(skua_runtime *runtime, int seconds)
{
    work_must((int)skua_block_on(runtime, work_a_little, NULL));
    nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    double cpu = work_cpu_ns();
    nanosleep(&(struct timespec){ .tv_sec = seconds }, NULL);
    work_print("-", (work_cpu_ns() - cpu) / 1e3 / seconds, "us/s");
}

static void measure_bare(const char *name, enum forkjoin_effort effort)
{
    if (forkjoin_measure(&forkjoin_serial, name, effort) || measure_whole(work_of_bare_timing, name))
        return;
    if (strncmp(name, "serve", 5) == 0)
        serve_bare(strcmp(name, "serve_http") == 0);
    const struct work *floor = find_in(work_of_floor, name);
    floor = floor != NULL ? floor : find_in(work_of_floor_streams, name);
    if (floor == NULL)
        work_die(name, "has no floor");
    measure(floor);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: skua-bench-work NAME WORKERS SECONDS\n", stderr);
        return 2;
    }
    const char *name = argv[1];
    int workers = atoi(argv[2]), seconds = atoi(argv[3]);
    struct forkjoin_call call = { name, workers, forkjoin_effort_of(seconds) };
    if (workers == 0) {
        measure_bare(name, call.effort);
        return 0;
    }
    if (strcmp(name, "serve_http") == 0 || strcmp(name, "serve_kv") == 0)
        serve_example(name + strlen("serve_"), argv[2]);
    if (strncmp(name, "sim_scaling", 11) == 0) {
        scaling_measure(&call);
        return 0;
    }
    skua_runtime *runtime;
    skua_config config = { .workers = (uint32_t)workers, .ignore_environment = true };
    if (strcmp(name, "hogs_latency") == 0)
        config.spare_workers = (uint32_t)workers; /* also for one */
    work_must(skua_runtime_create(&runtime, &config));
    if (strcmp(name, "idle") == 0)
        idle(runtime, seconds);
    else
        work_must((int)skua_block_on(runtime, measure_named, &call));
    work_must(skua_runtime_destroy(runtime));
    return 0;
}
