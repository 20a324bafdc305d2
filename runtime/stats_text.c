/* Counters as text that monitoring reads. */
#include "runtime/stats_text.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/text.h"

static void add_metric(struct skuai_text *text, const struct skuai_metric *metric, const char *labels)
{
    const char *suffix = metric->kind == SKUAI_COUNTER ? "_total" : "";
    bool has_labels = labels != NULL && *labels != '\0';
    skuai_text_add(text, "# HELP skua_%s%s %s\n# TYPE skua_%s%s %s\n", metric->name, suffix, metric->help, metric->name,
                   suffix, metric->kind == SKUAI_COUNTER ? "counter" : "gauge");
    skuai_text_add(text, "skua_%s%s%s%s%s %" PRIu64 "\n", metric->name, suffix, has_labels ? "{" : "",
                   has_labels ? labels : "", has_labels ? "}" : "", metric->value);
}

void skuai_stats_list(const skua_stats *stats, struct skuai_metric list[SKUAI_METRICS])
{
    const struct skuai_metric metrics[SKUAI_METRICS] = {
        { "workers", "Workers.", SKUAI_GAUGE, stats->workers },
        { "pollers", "Pollers that the workers share.", SKUAI_GAUGE, stats->pollers },
        { "tasks_live", "Tasks that have not ended.", SKUAI_GAUGE, stats->live },
        { "tasks_spawned", "Tasks spawned.", SKUAI_COUNTER, stats->spawned },
        { "task_runs", "Runs of a task, each until it waits, yields or ends.", SKUAI_COUNTER, stats->polls },
        { "steals", "Successful steals.", SKUAI_COUNTER, stats->steals },
        { "tasks_stolen", "Tasks moved by steals.", SKUAI_COUNTER, stats->stolen },
        { "steal_attempts", "Looks into another worker's queues.", SKUAI_COUNTER, stats->steal_attempts },
        { "overflows", "Batches moved from a full deque to the injection queue.", SKUAI_COUNTER, stats->overflows },
        { "tasks_injected", "Tasks taken from the injection queue.", SKUAI_COUNTER, stats->injected },
        { "parks", "Times a worker slept.", SKUAI_COUNTER, stats->parks },
        { "wakes", "Kernel wake-ups sent to workers.", SKUAI_COUNTER, stats->wakes },
        { "timers_expired", "Timers expired.", SKUAI_COUNTER, stats->timers },
        { "timers_expired_by_guard", "Timers expired by the guard, as no worker had in time.", SKUAI_COUNTER,
          stats->timers_guard },
        { "events_looked", "Events noticed by a worker between two tasks.", SKUAI_COUNTER, stats->events_looked },
        { "events_slept", "Events that woke a worker.", SKUAI_COUNTER, stats->events_slept },
        { "events_guard", "Events noticed by the guard, as no worker had looked.", SKUAI_COUNTER, stats->events_guard },
        { "tasks_stuck", "Runs of a task that held a worker for long.", SKUAI_COUNTER, stats->stuck },
        { "spares_begun", "Times that a spare worker began to stand in.", SKUAI_COUNTER, stats->spares_begun },
        { "task_memory_bytes", "Task memory mapped.", SKUAI_GAUGE, stats->task_bytes },
        { "stacks", "Stacks of fibers in use or kept warm.", SKUAI_GAUGE, stats->stacks },
    };
    memcpy(list, metrics, sizeof metrics);
}

int skua_stats_prometheus(const skua_stats *stats, const char *labels, char *text, size_t size)
{
    struct skuai_metric metrics[SKUAI_METRICS];
    struct skuai_text out = { .at = text, .size = size };
    if (size > 0)
        *text = '\0';
    skuai_stats_list(stats, metrics);
    for (size_t i = 0; i < SKUAI_METRICS; i++)
        add_metric(&out, &metrics[i], labels);
    return (int)out.length;
}
