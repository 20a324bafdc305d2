/* Counters as text that monitoring reads. */
#include "runtime/runtime.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum metric_kind { COUNTER, GAUGE };

struct metric {
    const char *name; /* without the prefix and, of a counter, without _total */
    const char *help;
    enum metric_kind kind;
    uint64_t value;
};

/* Appends like snprintf: what does not fit is counted all the same. */
struct text {
    char *at;
    size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    size_t room = text->length < text->size ? text->size - text->length : 0;
    va_start(arguments, format);
    int length = vsnprintf(room > 0 ? text->at + text->length : NULL, room, format, arguments);
    va_end(arguments);
    text->length += length > 0 ? (size_t)length : 0;
}

static void add_metric(struct text *text, const struct metric *metric, const char *labels)
{
    const char *suffix = metric->kind == COUNTER ? "_total" : "";
    bool has_labels = labels != NULL && *labels != '\0';
    add(text, "# HELP skua_%s%s %s\n# TYPE skua_%s%s %s\n", metric->name, suffix, metric->help, metric->name, suffix,
        metric->kind == COUNTER ? "counter" : "gauge");
    add(text, "skua_%s%s%s%s%s %" PRIu64 "\n", metric->name, suffix, has_labels ? "{" : "", has_labels ? labels : "",
        has_labels ? "}" : "", metric->value);
}

int skua_stats_prometheus(const skua_stats *stats, const char *labels, char *text, size_t size)
{
    const struct metric metrics[] = {
        { "workers", "Workers.", GAUGE, stats->workers },
        { "pollers", "Pollers that the workers share.", GAUGE, stats->pollers },
        { "tasks_live", "Tasks that have not ended.", GAUGE, stats->live },
        { "tasks_spawned", "Tasks spawned.", COUNTER, stats->spawned },
        { "task_runs", "Runs of a task, each until it waits, yields or ends.", COUNTER, stats->polls },
        { "steals", "Successful steals.", COUNTER, stats->steals },
        { "tasks_stolen", "Tasks moved by steals.", COUNTER, stats->stolen },
        { "steal_attempts", "Looks into another worker's queues.", COUNTER, stats->steal_attempts },
        { "overflows", "Batches moved from a full deque to the injection queue.", COUNTER, stats->overflows },
        { "tasks_injected", "Tasks taken from the injection queue.", COUNTER, stats->injected },
        { "parks", "Times a worker slept.", COUNTER, stats->parks },
        { "wakes", "Kernel wake-ups sent to workers.", COUNTER, stats->wakes },
        { "timers_expired", "Timers expired.", COUNTER, stats->timers },
        { "timers_expired_by_guard", "Timers expired by the guard, as no worker had in time.", COUNTER,
          stats->timers_guard },
        { "events_looked", "Events noticed by a worker between two tasks.", COUNTER, stats->events_looked },
        { "events_slept", "Events that woke a worker.", COUNTER, stats->events_slept },
        { "events_guard", "Events noticed by the guard, as no worker had looked.", COUNTER, stats->events_guard },
        { "tasks_stuck", "Runs of a task that held a worker for long.", COUNTER, stats->stuck },
        { "spares_begun", "Times that a spare worker began to stand in.", COUNTER, stats->spares_begun },
        { "task_memory_bytes", "Task memory mapped.", GAUGE, stats->task_bytes },
        { "stacks", "Stacks of fibers in use or kept warm.", GAUGE, stats->stacks },
    };
    struct text out = { .at = text, .size = size };
    if (size > 0)
        *text = '\0';
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        add_metric(&out, &metrics[i], labels);
    return (int)out.length;
}
