/* What a process says of a runtime at one instant: the answer to `stats` of skua/monitor.h, taken apart. */
#ifndef TOP_SAMPLE_H
#define TOP_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is shown, by its name in the lines `runtime` and `pools`; 0 if the process does not say it. */
#define TOP_TOTALS(X)                                                                                              \
    X(now_ns) X(workers) X(pollers) X(tasks_live) X(tasks_spawned) X(task_runs) X(steals) X(tasks_stolen)          \
    X(steal_attempts) X(overflows) X(tasks_injected) X(parks) X(wakes) X(timers_expired) X(timers_expired_by_guard) \
    X(events_looked) X(events_slept) X(events_guard) X(tasks_stuck) X(spares_begun) X(task_memory_bytes) X(stacks) \
    X(injected) X(spares_max) X(spares_made) X(spares_active) X(blocking_threads) X(blocking_idle)                 \
    X(blocking_queued) X(blocking_queued_max) X(blocking_calls) X(poller_looks) X(poller_parks)                    \
    X(poller_looks_by_guard) X(timer_lateness_ns) X(timer_lateness_max_ns)                                         \
    X(steals_core) X(steals_l2) X(steals_l3) X(steals_numa) X(steals_package) X(steals_machine) X(steals_spare)
/* And in the lines `worker`. */
#define TOP_COUNTERS(X) X(index) X(cpu_ns) X(queued) X(task_runs) X(steals) X(parks) X(wakes) X(timers_expired)

struct worker {
    bool is_spare, is_awake;
#define X(name) uint64_t name;
    TOP_COUNTERS(X)
#undef X
};

struct sample {
#define X(name) uint64_t name;
    TOP_TOTALS(X)
#undef X
    uint32_t nworkers, room;
    struct worker *of;
};

/* Takes a line in; what it does not know it skips. False: no memory. */
bool sample_add_line(struct sample *sample, const char *line);
/* Forgets all but its memory. */
void sample_clear(struct sample *sample);
void sample_free(struct sample *sample);
void sample_swap(struct sample *a, struct sample *b);

/* Calls back for each pair of a line; value ends at value_end. */
typedef void sample_pair(void *context, const char *name, size_t name_length, const char *value, size_t value_length);
void sample_each_pair(const char *line, sample_pair *visit, void *context);

#endif
