/* sim_scaling: the scheduler on simulated machines (skua_config.sim_machine) of up to hundreds of processors. All that
 * is simulated runs on one thread, so that plain variables see all of it.
 */
#include <stdio.h>
#include <string.h>

#include "bench/cases/work.h"
#include "sched/scheduler.h"

enum {
    PIECE_NS = 5000,       /* half of it to half more, at random */
    BODY_NS = 500,
    SHARE_NS = 2000000,    /* of the work for each processor */
    QUICK_SHARE_NS = 500000,
    SOURCES = 8,           /* of tasks */
    SPURT = 16,
    PAUSE_NS = 50000,
    SPURTS = 1000,
    QUICK_SPURTS = 200
};

static struct {
    int64_t workers;
    int64_t waiting;      /* pieces of work that nobody has begun */
    int64_t busy;         /* processors that compute */
    uint64_t seen_ns;
    double done_ns;
    double idle_ns;       /* of processors, while something waited */
    double delay_ns;      /* of tasks, from when they could run to when they did */
    int64_t tasks;
} all;

/* Asked often, so it must not take time, as skua_now() does. */
static uint64_t now(void) { return skuai_env_now(&skuai_worker_self()->sched->env); }

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void note(void)
{
    uint64_t at = now();
    if (at <= all.seen_ns)
        return;
    if (all.waiting > 0)
        all.idle_ns += (double)(at - all.seen_ns) * (double)(all.workers - all.busy);
    all.seen_ns = at;
}

static uint64_t compute(uint64_t seed, uint64_t about_ns)
{
    uint64_t ns = about_ns / 2 + mix(seed) % about_ns;
    note();
    all.waiting--;
    all.busy++;
    skua_sim_compute(ns);
    note();
    all.busy--;
    all.done_ns += (double)ns;
    return ns;
}

/* A binary tree with so many leaves, `percent` of them on one side, which one by chance: the other side at least one.
 * Returns the longest way down. */
SKUA_PARALLEL(uint64_t, tree, uint64_t, seed, int64_t, leaves, int64_t, percent)
{
    if (leaves == 1)
        return compute(seed, PIECE_NS);
    int64_t first = leaves * percent / 100;
    first = first == 0 ? 1 : first;
    if (mix(seed) % 2 != 0)
        first = leaves - first;
    SKUA_FORK(one, tree, 2 * seed, first, percent);
    uint64_t other_ns = SKUA_CALL(tree, 2 * seed + 1, leaves - first, percent);
    uint64_t one_ns = SKUA_JOIN(tree, one);
    return one_ns > other_ns ? one_ns : other_ns;
}

static void body(void *context, size_t begin, size_t end)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        compute(i, BODY_NS);
}

static int task(void *arg)
{
    all.delay_ns += (double)(now() - (uint64_t)(uintptr_t)arg);
    all.tasks++;
    compute((uint64_t)all.tasks, PIECE_NS);
    return 0;
}

static int source(void *spurts)
{
    for (int64_t i = (int64_t)(intptr_t)spurts; i > 0; i--) {
        for (int j = 0; j < SPURT; j++) {
            note();
            all.waiting++;
            work_must(skua_go(task, (void *)(uintptr_t)now()));
        }
        work_must(skua_sleep(skua_random() % (2 * PAUSE_NS)));
    }
    return 0;
}

static uint64_t run_tasks(int64_t spurts)
{
    skua_task *sources[SOURCES];
    for (int i = 0; i < SOURCES; i++)
        work_must(skua_spawn(&sources[i], source, (void *)(intptr_t)spurts));
    for (int i = 0; i < SOURCES; i++)
        work_must(skua_join(sources[i], NULL));
    while (all.waiting != 0)
        work_must(skua_sleep(PIECE_NS));
    return 0;
}

static uint64_t run_named(const char *name, enum forkjoin_effort effort)
{
    int64_t work_ns = all.workers * (effort == FORKJOIN_QUICK ? QUICK_SHARE_NS : SHARE_NS);
    if (strcmp(name, "sim_scaling_tasks") == 0)
        return run_tasks(effort == FORKJOIN_QUICK ? QUICK_SPURTS : SPURTS);
    if (strcmp(name, "sim_scaling_loop") == 0) {
        all.waiting = work_ns / BODY_NS;
        work_must(skua_parallel_for(0, (size_t)all.waiting, body, NULL));
        return 2 * BODY_NS;
    }
    all.waiting = work_ns / PIECE_NS;
    return SKUA_RUN(tree, 1, all.waiting, strcmp(name, "sim_scaling_lopsided") == 0 ? 10 : 50);
}

static int measure(void *arg)
{
    const struct forkjoin_call *call = arg;
    skua_stats before, after;
    run_named(call->name, FORKJOIN_QUICK); /* now all sleep, or are about to */
    work_must(skua_sleep(SKUA_MS));
    skua_runtime_stats(skua_runtime_self(), &before);
    all.done_ns = all.idle_ns = all.delay_ns = 0;
    all.tasks = 0;
    all.seen_ns = now();
    uint64_t begin_ns = all.seen_ns, longest_ns = run_named(call->name, call->effort);
    double took_ns = (double)(now() - begin_ns), all_ns = took_ns * (double)all.workers;
    skua_runtime_stats(skua_runtime_self(), &after);
    work_check("pieces of work left", all.waiting, 0);
    if (longest_ns != 0)
        work_print("-", took_ns / (all.done_ns / (double)all.workers + (double)longest_ns), "times");
    else
        work_print("-", all.delay_ns / (double)all.tasks, "ns");
    work_print("busy", all.done_ns / all_ns, "of_1");
    work_print("idle", all.idle_ns / all_ns, "of_1");
    double steals = (double)(after.steals - before.steals);
    double attempts = (double)(after.steal_attempts - before.steal_attempts);
    work_print("attempts", attempts / (steals > 0 ? steals : 1), "a_steal");
    work_print("steals", steals / (double)all.workers, "a_worker");
    work_print("wakes", (double)(after.wakes - before.wakes) / (double)all.workers, "a_worker");
    return 0;
}

void scaling_measure(struct forkjoin_call *call)
{
    char machine[64];
    skua_runtime *runtime;
    if (call->workers >= 64)
        snprintf(machine, sizeof machine, "numa:%d l3:4 core:16 pu:1", call->workers / 64);
    else
        snprintf(machine, sizeof machine, "core:%d pu:1", call->workers);
    skua_config config = { .sim_machine = machine, .sim_seed = skua_random(), .ignore_environment = true };
    work_must(skua_runtime_create(&runtime, &config));
    all.workers = call->workers;
    work_must((int)skua_block_on(runtime, measure, call));
    work_must(skua_runtime_destroy(runtime));
}
