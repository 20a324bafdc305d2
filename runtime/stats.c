/* Reading the counters. All loads are relaxed: recent values are wanted, and nothing behind them. */
#include "runtime/runtime.h"

#include <errno.h>

#include "runtime/workers.h"

void skua_runtime_stats(skua_runtime *rt, skua_stats *stats)
{
    struct skuai_scheduler *sched = &rt->sched;
    *stats = (skua_stats){ .workers = sched->nworkers, .pollers = sched->polls.count };
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++) {
        const struct skuai_counters *from = &sched->workers[i]->counters;
        /* Relaxed: counters. */
        stats->spawned += skuai_load_64(&from->spawned, SKUAI_RELAXED);
        stats->polls += skuai_load_64(&from->polls, SKUAI_RELAXED);
        stats->steals += skuai_load_64(&from->steals, SKUAI_RELAXED);
        stats->steal_attempts += skuai_load_64(&from->steal_attempts, SKUAI_RELAXED);
        stats->stolen += skuai_load_64(&from->stolen, SKUAI_RELAXED);
        stats->overflows += skuai_load_64(&from->overflows, SKUAI_RELAXED);
        stats->injected += skuai_load_64(&from->injected, SKUAI_RELAXED);
        stats->parks += skuai_load_64(&from->parks, SKUAI_RELAXED);
        stats->wakes += skuai_load_64(&from->wakes, SKUAI_RELAXED);
        stats->timers += skuai_load_64(&from->timers, SKUAI_RELAXED);
        stats->events_looked += skuai_load_64(&from->events_looked, SKUAI_RELAXED);
        stats->events_slept += skuai_load_64(&from->events_slept, SKUAI_RELAXED);
    }
    stats->events_guard = skuai_load_64(&sched->guard.events, SKUAI_RELAXED);
    stats->timers_guard = skuai_load_64(&sched->guard.timers, SKUAI_RELAXED);
    stats->timers += stats->timers_guard;
    stats->stuck = skuai_load_64(&sched->spares.stuck, SKUAI_RELAXED);
    stats->spares_begun = skuai_load_64(&sched->spares.begun, SKUAI_RELAXED);
    stats->spawned += skuai_load_64(&sched->spawned_outside, SKUAI_RELAXED);
    stats->wakes += skuai_load_64(&sched->wakes_outside, SKUAI_RELAXED);
    stats->live = skuai_scheduler_live(sched);
    skuai_workers_memory(sched, &stats->task_bytes, &stats->stacks);
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
        .steals = skuai_load_64(&from->steals, SKUAI_RELAXED),
        .stolen = skuai_load_64(&from->stolen, SKUAI_RELAXED),
        .steal_attempts = skuai_load_64(&from->steal_attempts, SKUAI_RELAXED),
        .overflows = skuai_load_64(&from->overflows, SKUAI_RELAXED),
        .injected = skuai_load_64(&from->injected, SKUAI_RELAXED),
        .parks = skuai_load_64(&from->parks, SKUAI_RELAXED),
        .wakes = skuai_load_64(&from->wakes, SKUAI_RELAXED),
        .timers = skuai_load_64(&from->timers, SKUAI_RELAXED),
        .events_looked = skuai_load_64(&from->events_looked, SKUAI_RELAXED),
        .events_slept = skuai_load_64(&from->events_slept, SKUAI_RELAXED),
    };
    return 0;
}
