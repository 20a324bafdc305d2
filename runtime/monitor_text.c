/* What a runtime that is looked into says of itself: skua/monitor.h, "Protocol". */
#include "runtime/monitor.h"

#include <assert.h>
#include <inttypes.h>

#include "runtime/stats_text.h"
#include "runtime/text.h"

enum { TOTALS_MAX = 3072, WORKER_MAX = 1536 }; /* bytes, all numbers at their longest */

static void add_metrics(struct skuai_text *text, const struct skuai_metric *metrics, size_t count, const void *stats)
{
    for (size_t i = 0; i < count; i++) {
        bool is_time = metrics[i].kind == SKUAI_COUNTER_NS || metrics[i].kind == SKUAI_GAUGE_NS;
        skuai_text_add(text, " %s%s=%" PRIu64, metrics[i].name, is_time ? "_ns" : "",
                       skuai_metric_value(&metrics[i], stats));
    }
}

/* What has labels, or is a histogram, for Prometheus. */
static void add_parts(struct skuai_text *text, uint64_t steals, const uint64_t steals_at[SKUA_DISTANCES],
                      const uint64_t timers_late[SKUA_LATES], uint64_t timers_late_ns)
{
    skuai_text_add(text, " steals=%" PRIu64, steals);
    for (uint32_t i = 0; i < SKUA_DISTANCES; i++)
        skuai_text_add(text, " steals_%s=%" PRIu64, skuai_distance_names[i], steals_at[i]);
    for (uint32_t i = 0; i < SKUA_LATES; i++)
        skuai_text_add(text, " timers_late_%s=%" PRIu64, skuai_late_names[i], timers_late[i]);
    skuai_text_add(text, " timer_lateness_ns=%" PRIu64 "\n", timers_late_ns);
}

static void add_runtime(struct skuai_text *text, skua_runtime *rt)
{
    skua_stats stats;
    skua_runtime_stats(rt, &stats);
    skuai_text_add(text, "runtime now_ns=%" PRIu64, skuai_clock_now());
    add_metrics(text, skuai_metrics, SKUAI_METRICS, &stats);
    add_parts(text, stats.steals, stats.steals_at, stats.timers_late, stats.timers_late_ns);
}

static void add_pools(struct skuai_text *text, struct skuai_scheduler *sched)
{
    skuai_text_add(text, "pools injected=%" PRIu64 " spares_max=%" PRIu32 " spares_made=%" PRIu32,
                   skuai_inject_count(&sched->inject), sched->spares.max,
                   skuai_load_32(&sched->spares.made, SKUAI_RELAXED)); /* numbers, no more */
    skuai_text_add(text, " spares_active=%" PRIu32 "\n",
                   skuai_load_32(&sched->spares.active, SKUAI_RELAXED)); /* likewise */
}

static void add_worker(struct skuai_text *text, const skua_worker_stats *worker)
{
    skuai_text_add(text, "worker index=%" PRIu32 " kind=%s state=%s", worker->index,
                   worker->is_spare ? "spare" : "regular",
                   worker->state == SKUA_WORKER_ASLEEP ? "asleep" : "awake");
    add_metrics(text, skuai_worker_metrics, SKUAI_WORKER_METRICS, worker);
    add_parts(text, worker->steals, worker->steals_at, worker->timers_late, worker->timers_late_ns);
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
