/* What a runtime that is looked into says of itself: skua/monitor.h, "Protocol". */
#include "runtime/monitor.h"

#include <assert.h>
#include <inttypes.h>

#include "io/blocking.h"
#include "runtime/stats_text.h"
#include "runtime/text.h"

enum { TOTALS_MAX = 2048, WORKER_MAX = 640 }; /* bytes, all numbers at their longest */

static void add_runtime(struct skuai_text *text, skua_runtime *rt)
{
    skua_stats stats;
    struct skuai_metric metrics[SKUAI_METRICS];
    skua_runtime_stats(rt, &stats);
    skuai_stats_list(&stats, metrics);
    skuai_text_add(text, "runtime now_ns=%" PRIu64, skuai_clock_now());
    for (size_t i = 0; i < SKUAI_METRICS; i++)
        skuai_text_add(text, " %s=%" PRIu64, metrics[i].name, metrics[i].value);
    skuai_text_add(text, "\n");
}

static void add_pools(struct skuai_text *text, struct skuai_scheduler *sched)
{
    struct skuai_blocking_stats blocking;
    skuai_blocking_stats(sched, &blocking);
    skuai_text_add(text, "pools injected=%" PRIu64 " spares_max=%" PRIu32 " spares_made=%" PRIu32,
                   skuai_inject_count(&sched->inject), sched->spares.max,
                   skuai_load_32(&sched->spares.made, SKUAI_RELAXED)); /* numbers, no more */
    skuai_text_add(text, " spares_active=%" PRIu32 " blocking_threads=%" PRIu32 " blocking_idle=%" PRIu32 "\n",
                   skuai_load_32(&sched->spares.active, SKUAI_RELAXED), blocking.threads, blocking.idle); /* likewise */
}

static void add_worker(struct skuai_text *text, const skua_worker_stats *worker)
{
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        { "cpu_ns", worker->cpu_ns },
        { "queued", worker->queued },
        { "tasks_spawned", worker->spawned },
        { "task_runs", worker->polls },
        { "steals", worker->steals },
        { "tasks_stolen", worker->stolen },
        { "steal_attempts", worker->steal_attempts },
        { "overflows", worker->overflows },
        { "tasks_injected", worker->injected },
        { "parks", worker->parks },
        { "wakes", worker->wakes },
        { "timers_expired", worker->timers },
        { "events_looked", worker->events_looked },
        { "events_slept", worker->events_slept },
    };
    skuai_text_add(text, "worker index=%" PRIu32 " kind=%s state=%s", worker->index,
                   worker->is_spare ? "spare" : "regular",
                   worker->state == SKUA_WORKER_ASLEEP ? "asleep" : "awake");
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        skuai_text_add(text, " %s=%" PRIu64, counters[i].name, counters[i].value);
    skuai_text_add(text, "\n");
}

char *skuai_monitor_stats(skua_runtime *rt, size_t *size, size_t *length)
{
    uint32_t workers = skuai_workers_all(&rt->sched); /* one that is made from here on comes in the next answer */
    *size = TOTALS_MAX + (size_t)workers * WORKER_MAX;
    struct skuai_text text = { .at = skuai_memory_get(&rt->sched, *size), .size = *size };
    if (text.at == NULL)
        return NULL;
    add_runtime(&text, rt);
    add_pools(&text, &rt->sched);
    for (uint32_t i = 0; i < workers; i++) {
        skua_worker_stats worker;
        if (skua_runtime_worker_stats(rt, i, &worker) == 0)
            add_worker(&text, &worker);
    }
    skuai_text_add(&text, "end\n");
    assert(text.length < text.size);
    *length = text.length;
    return text.at;
}
