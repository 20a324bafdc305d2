/* Making the workers of a scheduler and taking them down. Nothing here runs while a worker does. */
#define _GNU_SOURCE
#include "runtime/runtime.h"
#include "runtime/workers.h"

#include <errno.h>
#include <stdio.h>

#include "sched/awaited.h"
#include "sched/homes.h"
#include "sched/spawn.h"
#include "sched/watchdog.h"

enum { KEEP_CHUNKS = 16 }; /* untuned: 1 MiB per size of empty task memory that stays warm */

static void log_stacks(void *context, const char *text) { skuai_log(context, SKUA_LOG_WARN, "%s", text); }

static int make_victims(struct skuai_scheduler *sched, struct skuai_worker *worker)
{
    worker->victims = skuai_memory_get(sched, skuai_victims_size(sched->nworkers));
    if (worker->victims == NULL)
        return -ENOMEM;
    skuai_victims_build(&sched->topology, sched->cpu_of_worker, sched->nworkers, worker->index, worker->victims);
    return 0;
}

static int make_worker(struct skuai_scheduler *sched, uint32_t index)
{
    struct skuai_worker *worker = skuai_memory_get_lines(&sched->memory, sizeof *worker);
    sched->workers[index] = worker;
    if (worker == NULL)
        return -ENOMEM;
    worker->sched = sched;
    worker->index = index;
    worker->is_spare = index >= sched->nworkers;
    worker->watch = skuai_watchdog_watch(sched, index);
    worker->home = &sched->polls.of[sched->home_of_worker[worker->is_spare ? 0 : index]];
    worker->until_check = worker->check_interval = 1;
    worker->random = skuai_env_entropy(&sched->env);
    worker->watched_ns = skuai_env_now(&sched->env);
    skuai_wheel_init(&worker->wheel, worker->watched_ns);
    skuai_worker_note_time(worker, worker->watched_ns);
    skuai_slab_cache_init(&worker->slab, &sched->slabs);
    skuai_stack_cache_init(&worker->stacks);
    worker->caches_made = true;
    worker->thread = (struct skuai_thread){ .entry = skuai_worker_main,
                                            .arg = worker,
                                            .worker = worker,
                                            .base = &worker->base,
                                            .flow = &worker->flow };
    worker->flow = &worker->base;
    /* at most SKUAI_WORKERS_MAX; 15 bytes are the kernel's limit */
    snprintf(worker->thread.name, sizeof worker->thread.name, "skua-%c%u", worker->is_spare ? 's' : 'w',
             (worker->is_spare ? index - sched->nworkers : index) % 10000u);
    return worker->is_spare ? 0 : make_victims(sched, worker);
}

/* The places of the pollers, which io/ makes. They outlive the workers: what tasks wait for is withdrawn first. */
static int make_polls(struct skuai_scheduler *sched)
{
    uint32_t count = skuai_homes_assign(&sched->topology, sched->cpu_of_worker, sched->nworkers,
                                        sched->workers_per_poller, sched->home_of_worker);
    sched->polls.of = skuai_memory_get_lines(&sched->memory, count * sizeof *sched->polls.of);
    if (sched->polls.of == NULL)
        return -ENOMEM;
    sched->polls.count = count;
    return 0;
}

int skuai_workers_create(struct skuai_scheduler *sched)
{
    uint32_t n = sched->nworkers;
    sched->workers = skuai_memory_get_lines(&sched->memory, (n + sched->spares.max) * sizeof *sched->workers);
    sched->cpu_of_worker = skuai_memory_get_lines(&sched->memory, n * sizeof *sched->cpu_of_worker);
    sched->home_of_worker = skuai_memory_get_lines(&sched->memory, n * sizeof *sched->home_of_worker);
    sched->idle_stack = skuai_memory_get_lines(&sched->memory, n * sizeof *sched->idle_stack);
    if (sched->workers == NULL || sched->cpu_of_worker == NULL || sched->home_of_worker == NULL ||
        sched->idle_stack == NULL)
        return -ENOMEM;
    int rc = skuai_topology_place(&sched->topology, n, sched->cpu_of_worker);
    if (rc < 0)
        return rc;
    if ((rc = make_polls(sched)) < 0)
        return rc;
    skuai_slab_set_init(&sched->slabs, sched, &(struct skuai_slab_options){ .keep_chunks = KEEP_CHUNKS });
    sched->slabs_made = true;
    rc = skuai_stack_pool_init(&sched->stack_pool, sched->stack_size, 0);
    if (rc < 0)
        return rc;
    sched->stacks_made = true;
    skuai_stack_pool_set_log(&sched->stack_pool, log_stacks, sched);
    skuai_inject_init(&sched->inject);
    skuai_idle_init(&sched->idle, n, sched->idle_stack);
    skuai_timers_init(sched);
    sched->spares.make = make_worker;
    sched->started_ns = skuai_env_now(&sched->env);
    for (uint32_t i = 0; i < n; i++)
        if ((rc = make_worker(sched, i)) < 0)
            return rc;
    return 0;
}

/* Tasks that a timed-out shutdown left. First all that they wait in forgets them, be it another runtime's; then what
 * others have begun to fire at them arrives. */
static void withdraw(void *context, skua_task *task)
{
    (void)context;
    skuai_task_withdraw_awaited(task);
}

/* Then their stacks go back, unwound by nobody. */
static void abandon(void *context, skua_task *task)
{
    struct skuai_scheduler *sched = context;
    if (task->run == skuai_fiber_run)
        skuai_fiber_free_stack(sched->workers[0], task);
    skuai_task_free(task);
}

static void destroy_worker(struct skuai_scheduler *sched, struct skuai_worker *worker, bool in_child)
{
    if (worker->caches_made && !in_child)
        skuai_stack_cache_flush(&sched->stack_pool, &worker->stacks);
    skuai_trace_free(sched, &worker->trace_kept);
    if (worker->victims != NULL)
        skuai_memory_put(sched, worker->victims, skuai_victims_size(sched->nworkers));
    skuai_memory_put_lines(&sched->memory, worker, sizeof *worker);
}

void skuai_workers_destroy(struct skuai_scheduler *sched)
{
    uint32_t n = sched->nworkers;
    /* A fork's child: what other threads were doing just then stands still, locks included. Mappings go as a whole. */
    bool in_child = skuai_fork_is_child(sched);
    if (in_child) {
        sched->slabs.lock = sched->slabs.shared_lock = sched->stack_pool.lock = (struct skuai_lock){ .word = { 0 } };
        sched->stack_pool.outside = 0;
    }
    if (sched->slabs_made && !in_child) {
        skuai_scheduler_each_task(sched, withdraw, NULL);
        while (!skuai_rundown_is_over(&sched->holds)) /* late fires from outside */
            skuai_thread_yield();
        skuai_scheduler_each_task(sched, abandon, sched);
    }
    skuai_trace_free(sched, &sched->trace.guard_kept);
    for (uint32_t i = 0; sched->workers != NULL && i < n + sched->spares.max; i++) /* also one that did not start */
        if (sched->workers[i] != NULL)
            destroy_worker(sched, sched->workers[i], in_child);
    skuai_strand_pool_fini(&sched->strands);
    if (sched->stacks_made)
        skuai_stack_pool_fini(&sched->stack_pool);
    if (sched->slabs_made)
        skuai_slab_set_fini(&sched->slabs);
    skuai_memory_put_lines(&sched->memory, sched->idle_stack, n * sizeof *sched->idle_stack);
    skuai_memory_put_lines(&sched->memory, sched->home_of_worker, n * sizeof *sched->home_of_worker);
    skuai_memory_put_lines(&sched->memory, sched->cpu_of_worker, n * sizeof *sched->cpu_of_worker);
    skuai_memory_put_lines(&sched->memory, sched->workers, (n + sched->spares.max) * sizeof *sched->workers);
}

static int start_all(struct skuai_scheduler *sched)
{
    for (uint32_t i = 0; i < sched->nworkers; i++) {
        struct skuai_worker *worker = sched->workers[i];
        int rc = skuai_env_thread_start(&sched->env, &worker->thread, &worker->parker);
        if (rc == 0)
            continue;
        skuai_log(sched, SKUA_LOG_ERROR, "worker %u of %u could not be started: %s", i, sched->nworkers,
                  skua_strerror(rc));
        skuai_store_32(&sched->stage, SKUAI_STAGE_STOP, SKUAI_RELAXED); /* tokens follow */
        for (uint32_t j = 0; j < i; j++)
            skuai_env_unpark(&sched->env, &sched->workers[j]->parker);
        skuai_workers_stop(sched, i);
        return rc;
    }
    return 0;
}

int skuai_workers_start(struct skuai_scheduler *sched)
{
    int rc = skuai_watchdog_start(sched);
    if (rc < 0) {
        skuai_log(sched, SKUA_LOG_ERROR, "the watchdog's thread could not be started: %s", skua_strerror(rc));
        return rc;
    }
    rc = skuai_guard_start(sched);
    if (rc < 0) {
        skuai_watchdog_stop(sched);
        skuai_log(sched, SKUA_LOG_ERROR, "the guard thread could not be started: %s", skua_strerror(rc));
        return rc;
    }
    return start_all(sched);
}

void skuai_workers_stop(struct skuai_scheduler *sched, uint32_t count)
{
    skuai_guard_stop(sched);
    skuai_watchdog_stop(sched);
    for (uint32_t i = 0; i < count; i++)
        skuai_env_thread_join(&sched->env, &sched->workers[i]->thread);
}

void skuai_workers_memory(struct skuai_scheduler *sched, uint64_t *task_bytes, uint64_t *stacks)
{
    struct skuai_stack_stats pool;
    skuai_stack_pool_stats(&sched->stack_pool, &pool);
    *task_bytes = skuai_slab_set_stats(&sched->slabs).bytes_mapped;
    *stacks = pool.live + pool.cached;
}
