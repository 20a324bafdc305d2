/* Counters as text that monitoring reads. */
#include "runtime/stats_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "runtime/runtime.h"
#include "runtime/text.h"
#include "sched/lateness.h"

#define TOTAL(member) offsetof(skua_stats, member), sizeof((skua_stats *)NULL)->member == sizeof(uint32_t)
#define OWN(member) offsetof(skua_worker_stats, member), false

const struct skuai_metric skuai_metrics[SKUAI_METRICS] = {
    { "workers", "Workers.", SKUAI_GAUGE, TOTAL(workers) },
    { "pollers", "Pollers that the workers share.", SKUAI_GAUGE, TOTAL(pollers) },
    { "tasks_live", "Tasks that have not ended.", SKUAI_GAUGE, TOTAL(live) },
    { "tasks_spawned", "Tasks spawned.", SKUAI_COUNTER, TOTAL(spawned) },
    { "tasks_failed", "Tasks without a handle that ended with an error.", SKUAI_COUNTER, TOTAL(failed) },
    { "task_runs", "Runs of a task, each until it waits, yields or ends.", SKUAI_COUNTER, TOTAL(polls) },
    { "tasks_stolen", "Tasks moved by steals.", SKUAI_COUNTER, TOTAL(stolen) },
    { "steal_attempts", "Looks into another worker's queues.", SKUAI_COUNTER, TOTAL(steal_attempts) },
    { "overflows", "Batches moved from a full deque to the injection queue.", SKUAI_COUNTER, TOTAL(overflows) },
    { "tasks_injected", "Tasks taken from the injection queue.", SKUAI_COUNTER, TOTAL(injected) },
    { "parks", "Times a worker slept.", SKUAI_COUNTER, TOTAL(parks) },
    { "wakes", "Kernel wake-ups sent to workers.", SKUAI_COUNTER, TOTAL(wakes) },
    { "poller_parks", "Times a worker slept in a poller.", SKUAI_COUNTER, TOTAL(poller_parks) },
    { "poller_looks", "Times a worker looked into a poller.", SKUAI_COUNTER, TOTAL(poller_looks) },
    { "poller_looks_by_guard", "Times the guard looked into a poller, as no worker had.", SKUAI_COUNTER,
      TOTAL(poller_looks_guard) },
    { "timers_expired", "Timers expired.", SKUAI_COUNTER, TOTAL(timers) },
    { "timers_expired_by_guard", "Timers expired by the guard, as no worker had in time.", SKUAI_COUNTER,
      TOTAL(timers_guard) },
    { "timer_lateness_max", "The longest that a timer was noticed after its deadline.", SKUAI_GAUGE_NS,
      TOTAL(timers_late_max_ns) },
    { "events_looked", "Events noticed by a worker between two tasks.", SKUAI_COUNTER, TOTAL(events_looked) },
    { "events_slept", "Events that woke a worker.", SKUAI_COUNTER, TOTAL(events_slept) },
    { "events_guard", "Events noticed by the guard, as no worker had looked.", SKUAI_COUNTER, TOTAL(events_guard) },
    { "tasks_stuck", "Runs of a task that held a worker for long.", SKUAI_COUNTER, TOTAL(stuck) },
    { "spares_begun", "Times that a spare worker began to stand in.", SKUAI_COUNTER, TOTAL(spares_begun) },
    { "crowds", "Times the processors were crowded, and fewer workers enough.", SKUAI_COUNTER, TOTAL(crowds) },
    { "task_memory_bytes", "Task memory mapped.", SKUAI_GAUGE, TOTAL(task_bytes) },
    { "stacks", "Stacks of fibers in use or kept warm.", SKUAI_GAUGE, TOTAL(stacks) },
    { "blocking_threads", "Threads for blocking calls.", SKUAI_GAUGE, TOTAL(blocking_threads) },
    { "blocking_idle", "Threads for blocking calls that wait for one.", SKUAI_GAUGE, TOTAL(blocking_idle) },
    { "blocking_queued", "Blocking calls that wait for a thread.", SKUAI_GAUGE, TOTAL(blocking_queued) },
    { "blocking_queued_max", "The most blocking calls that ever waited for a thread.", SKUAI_GAUGE,
      TOTAL(blocking_queued_max) },
    { "blocking_calls", "Blocking calls that a thread has begun.", SKUAI_COUNTER, TOTAL(blocking_calls) },
};

const struct skuai_metric skuai_worker_metrics[SKUAI_WORKER_METRICS] = {
    { "cpu", "Processor time of the worker's thread.", SKUAI_COUNTER_NS, OWN(cpu_ns) },
    { "queued", "Tasks that are ready in its queues, about.", SKUAI_GAUGE, OWN(queued) },
    { "tasks_spawned", "Tasks spawned by those that it ran.", SKUAI_COUNTER, OWN(spawned) },
    { "task_runs", "Runs of a task on it.", SKUAI_COUNTER, OWN(polls) },
    { "tasks_stolen", "Tasks moved by its steals.", SKUAI_COUNTER, OWN(stolen) },
    { "steal_attempts", "Its looks into another worker's queues.", SKUAI_COUNTER, OWN(steal_attempts) },
    { "overflows", "Batches moved from its full deque to the injection queue.", SKUAI_COUNTER, OWN(overflows) },
    { "tasks_injected", "Tasks that it took from the injection queue.", SKUAI_COUNTER, OWN(injected) },
    { "parks", "Times it slept.", SKUAI_COUNTER, OWN(parks) },
    { "wakes", "Kernel wake-ups that it sent.", SKUAI_COUNTER, OWN(wakes) },
    { "poller_parks", "Times it slept in a poller.", SKUAI_COUNTER, OWN(poller_parks) },
    { "poller_looks", "Times it looked into a poller.", SKUAI_COUNTER, OWN(poller_looks) },
    { "timers_expired", "Timers that it expired.", SKUAI_COUNTER, OWN(timers) },
    { "timer_lateness_max", "The longest after its deadline that it noticed a timer.", SKUAI_GAUGE_NS,
      OWN(timers_late_max_ns) },
    { "events_looked", "Events that it noticed between two tasks.", SKUAI_COUNTER, OWN(events_looked) },
    { "events_slept", "Events that woke it.", SKUAI_COUNTER, OWN(events_slept) },
};

const char *const skuai_distance_names[SKUA_DISTANCES] = {
    [SKUA_DISTANCE_CORE] = "core",       [SKUA_DISTANCE_L2] = "l2",           [SKUA_DISTANCE_L3] = "l3",
    [SKUA_DISTANCE_NUMA] = "numa",       [SKUA_DISTANCE_PACKAGE] = "package", [SKUA_DISTANCE_MACHINE] = "machine",
    [SKUA_DISTANCE_SPARE] = "spare",
};

const char *const skuai_late_names[SKUA_LATES] = { "100us", "1ms", "10ms", "100ms", "1s", "more" };

uint64_t skuai_metric_value(const struct skuai_metric *metric, const void *stats)
{
    const void *at = (const char *)stats + metric->offset;
    return metric->is_32 ? *(const uint32_t *)at : *(const uint64_t *)at;
}

/* ---- Prometheus -------------------------------------------------------------------------------------------------- */

/* What one metric after the other is written of: a runtime's totals, or, each with a label, its workers. */
struct page {
    struct skuai_text text;
    const char *labels;               /* the caller's, or NULL */
    const skua_stats *stats;
    const skua_worker_stats *workers; /* NULL: the totals are written */
    uint32_t count;                   /* of them; 1 */
};

static void add_head(struct page *page, const char *name, const char *suffix, const char *help, const char *type)
{
    const char *prefix = page->workers != NULL ? "worker_" : "";
    skuai_text_add(&page->text, "# HELP skua_%s%s%s %s\n# TYPE skua_%s%s%s %s\n", prefix, name, suffix, help, prefix,
                   name, suffix, type);
}

/* All of a line but the value. `part`: one more label, or NULL. */
static void add_name(struct page *page, uint32_t at, const char *name, const char *suffix, const char *part)
{
    const char *separator = "{";
    char worker[32] = "";
    if (page->workers != NULL)
        snprintf(worker, sizeof worker, "worker=\"%c%" PRIu32 "\"", page->workers[at].is_spare ? 's' : 'w',
                 page->workers[at].is_spare ? page->workers[at].index - page->stats->workers : page->workers[at].index);
    const char *const labels[] = { page->labels, worker, part };
    skuai_text_add(&page->text, "skua_%s%s%s", page->workers != NULL ? "worker_" : "", name, suffix);
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        if (labels[i] == NULL || *labels[i] == '\0')
            continue;
        skuai_text_add(&page->text, "%s%s", separator, labels[i]);
        separator = ",";
    }
    skuai_text_add(&page->text, *separator == ',' ? "} " : " ");
}

static void add_number(struct page *page, uint64_t value) { skuai_text_add(&page->text, "%" PRIu64 "\n", value); }

static void add_seconds(struct page *page, uint64_t ns)
{
    skuai_text_add(&page->text, "%" PRIu64 ".%09" PRIu64 "\n", ns / SKUA_S, ns % SKUA_S);
}

static const void *stats_at(const struct page *page, uint32_t at)
{
    return page->workers != NULL ? (const void *)&page->workers[at] : page->stats;
}

static void add_metric(struct page *page, const struct skuai_metric *metric)
{
    static const char *const suffixes[] = { [SKUAI_COUNTER] = "_total", [SKUAI_GAUGE] = "",
                                            [SKUAI_COUNTER_NS] = "_seconds_total", [SKUAI_GAUGE_NS] = "_seconds" };
    const char *suffix = suffixes[metric->kind];
    bool is_counter = metric->kind == SKUAI_COUNTER || metric->kind == SKUAI_COUNTER_NS;
    add_head(page, metric->name, suffix, metric->help, is_counter ? "counter" : "gauge");
    for (uint32_t i = 0; i < page->count; i++) {
        uint64_t value = skuai_metric_value(metric, stats_at(page, i));
        add_name(page, i, metric->name, suffix, NULL);
        if (metric->kind == SKUAI_COUNTER_NS || metric->kind == SKUAI_GAUGE_NS)
            add_seconds(page, value);
        else
            add_number(page, value);
    }
}

static void add_steals(struct page *page)
{
    add_head(page, "steals", "_total", "Successful steals, by what thief and victim share.", "counter");
    for (uint32_t i = 0; i < page->count; i++) {
        const uint64_t *steals_at = page->workers != NULL ? page->workers[i].steals_at : page->stats->steals_at;
        for (uint32_t j = 0; j < SKUA_DISTANCES; j++) {
            char distance[32];
            snprintf(distance, sizeof distance, "distance=\"%s\"", skuai_distance_names[j]);
            add_name(page, i, "steals", "_total", distance);
            add_number(page, steals_at[j]);
        }
    }
}

/* A histogram, whose counts are those of its bounds and all smaller ones. */
static void add_lateness(struct page *page)
{
    static const char *const bounds[SKUA_LATES] = { "le=\"0.0001\"", "le=\"0.001\"", "le=\"0.01\"", "le=\"0.1\"",
                                                    "le=\"1\"",      "le=\"+Inf\"" };
    static const char name[] = "timer_lateness_seconds";
    add_head(page, name, "", "How long after their deadlines timers were noticed.", "histogram");
    for (uint32_t i = 0; i < page->count; i++) {
        bool is_worker = page->workers != NULL;
        const uint64_t *late = is_worker ? page->workers[i].timers_late : page->stats->timers_late;
        uint64_t count = 0;
        for (uint32_t j = 0; j < SKUA_LATES; j++) {
            count += late[j];
            add_name(page, i, name, "_bucket", bounds[j]);
            add_number(page, count);
        }
        add_name(page, i, name, "_sum", NULL);
        add_seconds(page, is_worker ? page->workers[i].timers_late_ns : page->stats->timers_late_ns);
        add_name(page, i, name, "_count", NULL);
        add_number(page, count);
    }
}

static void add_all(struct page *page, const struct skuai_metric *metrics, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_metric(page, &metrics[i]);
    add_steals(page);
    add_lateness(page);
}

int skua_stats_prometheus(const skua_stats *stats, const char *labels, char *text, size_t size)
{
    struct page page = { .text = { .at = text, .size = size }, .labels = labels, .stats = stats, .count = 1 };
    add_all(&page, skuai_metrics, SKUAI_METRICS);
    return (int)page.text.length;
}

/* A worker that is made meanwhile is left out. */
int skua_runtime_prometheus(skua_runtime *rt, const char *labels, char *text, size_t size)
{
    skua_stats stats;
    if (skuai_fork_is_child(&rt->sched)) /* others' locks may never be released there */
        return -ENOTSUP;
    uint32_t count = skuai_workers_all(&rt->sched);
    size_t bytes = count * sizeof(skua_worker_stats);
    skua_worker_stats *workers = skuai_memory_get(&rt->sched, bytes);
    if (workers == NULL)
        return -ENOMEM;
    skua_runtime_stats(rt, &stats);
    for (uint32_t i = 0; i < count; i++)
        (void)skua_runtime_worker_stats(rt, i, &workers[i]); /* there are so many */
    struct page page = { .text = { .at = text, .size = size }, .labels = labels, .stats = &stats, .count = 1 };
    add_all(&page, skuai_metrics, SKUAI_METRICS);
    page.workers = workers;
    page.count = count;
    add_all(&page, skuai_worker_metrics, SKUAI_WORKER_METRICS);
    skuai_memory_put(&rt->sched, workers, bytes);
    return (int)page.text.length;
}
