/* Reading the counters. All loads are relaxed: recent values are wanted, and nothing behind them. */
#include "runtime/runtime.h"

#include <errno.h>

#include "io/blocking.h"
#include "runtime/workers.h"

/* Returns what was added. */
static uint64_t add_all(const skua_word64 *counters, uint64_t *to, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = skuai_load_64(&counters[i], SKUAI_RELAXED);
        to[i] += value;
        sum += value;
    }
    return sum;
}

/* Returns how many timers. */
static uint64_t add_lateness(const struct skuai_lateness *from, uint64_t late[SKUA_LATES], uint64_t *sum_ns,
                             uint64_t *max_ns)
{
    uint64_t longest_ns = skuai_load_64(&from->max_ns, SKUAI_RELAXED);
    *sum_ns += skuai_load_64(&from->sum_ns, SKUAI_RELAXED);
    *max_ns = longest_ns > *max_ns ? longest_ns : *max_ns;
    return add_all(from->counts, late, SKUA_LATES);
}

static void add_worker(const struct skuai_counters *from, skua_stats *stats)
{
    stats->spawned += skuai_load_64(&from->spawned, SKUAI_RELAXED);
    stats->polls += skuai_load_64(&from->polls, SKUAI_RELAXED);
    stats->steals += add_all(from->steals_at, stats->steals_at, SKUA_DISTANCES);
    stats->steal_attempts += skuai_load_64(&from->steal_attempts, SKUAI_RELAXED);
    stats->stolen += skuai_load_64(&from->stolen, SKUAI_RELAXED);
    stats->overflows += skuai_load_64(&from->overflows, SKUAI_RELAXED);
    stats->injected += skuai_load_64(&from->injected, SKUAI_RELAXED);
    stats->parks += skuai_load_64(&from->parks, SKUAI_RELAXED);
    stats->wakes += skuai_load_64(&from->wakes, SKUAI_RELAXED);
    stats->events_looked += skuai_load_64(&from->events_looked, SKUAI_RELAXED);
    stats->events_slept += skuai_load_64(&from->events_slept, SKUAI_RELAXED);
    stats->poller_looks += skuai_load_64(&from->poller_looks, SKUAI_RELAXED);
    stats->poller_parks += skuai_load_64(&from->poller_parks, SKUAI_RELAXED);
    stats->timers += add_lateness(&from->timers, stats->timers_late, &stats->timers_late_ns,
                                  &stats->timers_late_max_ns);
}

static void add_blocking(struct skuai_scheduler *sched, skua_stats *stats)
{
    struct skuai_blocking_stats blocking;
    skuai_blocking_stats(sched, &blocking);
    stats->blocking_threads = blocking.threads;
    stats->blocking_idle = blocking.idle;
    stats->blocking_queued = blocking.queued;
    stats->blocking_queued_max = blocking.queued_max;
    stats->blocking_calls = blocking.calls;
}

void skua_runtime_stats(skua_runtime *rt, skua_stats *stats)
{
    struct skuai_scheduler *sched = &rt->sched;
    *stats = (skua_stats){ .workers = sched->nworkers, .pollers = sched->polls.count };
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        add_worker(&sched->workers[i]->counters, stats);
    stats->events_guard = skuai_load_64(&sched->guard.events, SKUAI_RELAXED);
    stats->poller_looks_guard = skuai_load_64(&sched->guard.looks, SKUAI_RELAXED);
    stats->timers_guard = add_lateness(&sched->guard.timers, stats->timers_late, &stats->timers_late_ns,
                                       &stats->timers_late_max_ns);
    stats->timers += stats->timers_guard;
    stats->stuck = skuai_load_64(&sched->spares.stuck, SKUAI_RELAXED);
    stats->crowds = skuai_load_64(&sched->crowd.begun, SKUAI_RELAXED);
    stats->spares_begun = skuai_load_64(&sched->spares.begun, SKUAI_RELAXED);
    stats->spawned += skuai_load_64(&sched->spawned_outside, SKUAI_RELAXED);
    stats->wakes += skuai_load_64(&sched->wakes_outside, SKUAI_RELAXED);
    stats->failed = skuai_load_64(&sched->failed_unseen, SKUAI_RELAXED);
    stats->live = skuai_scheduler_live(sched);
    skuai_workers_memory(sched, &stats->task_bytes, &stats->stacks);
    add_blocking(sched, stats);
}

static uint64_t queued(const struct skuai_worker *worker)
{
    return skuai_deque_count(&worker->deque) + skuai_deque_count(&worker->inbox) +
           (skuai_load_ptr(&worker->next, SKUAI_RELAXED) != NULL);
}

int skua_runtime_worker_stats(skua_runtime *rt, uint32_t index, skua_worker_stats *stats)
{
    struct skuai_scheduler *sched = &rt->sched;
    if (index >= skuai_workers_all(sched))
        return -EINVAL;
    const struct skuai_worker *worker = sched->workers[index];
    const struct skuai_counters *from = &worker->counters;
    bool is_asleep = skuai_load_32(&worker->asleep, SKUAI_RELAXED) != 0;
    *stats = (skua_worker_stats){
        .index = index,
        .is_spare = worker->is_spare,
        .state = is_asleep ? SKUA_WORKER_ASLEEP : SKUA_WORKER_AWAKE,
        .cpu_ns = skuai_thread_clock_ns(&worker->thread),
        .queued = queued(worker),
        .spawned = skuai_load_64(&from->spawned, SKUAI_RELAXED),
        .polls = skuai_load_64(&from->polls, SKUAI_RELAXED),
        .stolen = skuai_load_64(&from->stolen, SKUAI_RELAXED),
        .steal_attempts = skuai_load_64(&from->steal_attempts, SKUAI_RELAXED),
        .overflows = skuai_load_64(&from->overflows, SKUAI_RELAXED),
        .injected = skuai_load_64(&from->injected, SKUAI_RELAXED),
        .parks = skuai_load_64(&from->parks, SKUAI_RELAXED),
        .wakes = skuai_load_64(&from->wakes, SKUAI_RELAXED),
        .events_looked = skuai_load_64(&from->events_looked, SKUAI_RELAXED),
        .events_slept = skuai_load_64(&from->events_slept, SKUAI_RELAXED),
        .poller_looks = skuai_load_64(&from->poller_looks, SKUAI_RELAXED),
        .poller_parks = skuai_load_64(&from->poller_parks, SKUAI_RELAXED),
    };
    stats->steals = add_all(from->steals_at, stats->steals_at, SKUA_DISTANCES);
    stats->timers = add_lateness(&from->timers, stats->timers_late, &stats->timers_late_ns,
                                 &stats->timers_late_max_ns);
    return 0;
}
