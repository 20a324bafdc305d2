/* See spares.h. */
#include "sched/spares.h"

#include "sched/parallel.h"
#include "sched/rest.h"
#include "sched/scheduler.h"

/* ---- the spare's side ------------------------------------------------------------------------------------------- */

static enum skuai_spare_state state_of(const struct skuai_worker *spare)
{
    return (enum skuai_spare_state)skuai_load_32(&spare->spare_state, SKUAI_RELAXED); /* a token follows each change */
}

static bool has_stopped(const struct skuai_worker *spare)
{
    return skuai_load_32(&spare->sched->stage, SKUAI_RELAXED) == SKUAI_STAGE_STOP; /* says no more than that */
}

bool skuai_spare_is_called(const struct skuai_worker *worker)
{
    return worker->is_spare && state_of(worker) != SKUAI_SPARE_ACTIVE; /* PARKED: it has just been made */
}

bool skuai_spare_may_work(const struct skuai_worker *spare) { return state_of(spare) == SKUAI_SPARE_ACTIVE; }

struct chain {
    skua_task *first, *last;
    uint64_t count;
};

static void add_to(struct chain *chain, skua_task *task)
{
    task->ahead = NULL;
    if (chain->first == NULL)
        chain->first = task;
    else
        skuai_store_ptr(&chain->last->next, task, SKUAI_RELAXED); /* published by the push */
    chain->last = task;
    chain->count++;
}

static void empty_deque(struct skuai_deque *deque, struct chain *chain)
{
    void *task;
    int count;
    while ((count = skuai_deque_take(deque, &task, 1, 1)) != 0)
        if (count > 0) /* else a thief was faster */
            add_to(chain, task);
}

/* S4, its first part. */
static void give_away(struct skuai_worker *spare)
{
    struct chain chain = { .first = NULL };
    skua_task *next = skuai_exchange_ptr(&spare->next, NULL, SKUAI_RELAXED); /* it has filled it itself */
    if (next != NULL)
        add_to(&chain, next);
    empty_deque(&spare->inbox, &chain);
    empty_deque(&spare->deque, &chain);
    spare->inbox_filled = false;
    if (chain.count == 0)
        return;
    skuai_inject_push(&spare->sched->inject, chain.first, chain.last, chain.count);
    skuai_schedule_wake_one(spare->sched); /* P5 (idle.h) */
}

/* It never sleeps as the timekeeper does: who does hears of its timers now, and if nobody does all are awake, and will
 * look when they settle. A worker that becomes the timekeeper later reads timer_next later: by the lock of idle.h. No
 * model test needs the first check: it spares a token. */
static void leave_time_to_others(struct skuai_scheduler *sched)
{
    uint32_t keeper;
    if (skuai_load_64(&sched->timer_next, SKUAI_RELAXED) != SKUA_NEVER && /* its own timers', or an earlier one */
        (keeper = skuai_idle_timekeeper(&sched->idle)) != SKUAI_IDLE_NOBODY)
        skuai_env_unpark(&sched->env, &sched->workers[keeper]->parker);
}

/* No model test needs the sequence or step: memory and reports; and that it seems asleep counts no time. */
static void park(struct skuai_worker *spare, uint64_t until_ns)
{
    struct skuai_rest rest;
    bool is_endless = until_ns == SKUA_NEVER;
    skuai_slab_cache_trim(&spare->slab);
    skuai_count(&spare->counters.parks, 1);
    skuai_trace(spare->sched, &spare->trace, SKUAI_TRACE_SLEEP, 0, 0);
    skuai_store_32(&spare->asleep, 1, SKUAI_RELAXED); /* S1: a look */
    skuai_rest_begin(&rest, SKUAI_REST_WORKER, is_endless);
    (void)skuai_env_park(&spare->sched->env, &spare->parker, until_ns);
    skuai_rest_end(&rest, SKUAI_REST_WORKER, is_endless);
    skuai_store_32(&spare->asleep, 0, SKUAI_RELAXED);
    skuai_trace(spare->sched, &spare->trace, SKUAI_TRACE_AWAKE, 0, 0);
}

/* S4. No model test needs the sequence of its second and third step: whoever parks has done both. */
static void retire(struct skuai_worker *spare)
{
    struct skuai_scheduler *sched = spare->sched;
    uint32_t state = SKUAI_SPARE_RETIRING;
    give_away(spare);
    leave_time_to_others(sched);
    if (skuai_cas_32(&spare->spare_state, &state, SKUAI_SPARE_PARKED, SKUAI_RELAXED)) /* its own state, no more */
        /* Relaxed, as all of this count: whom it has woken tells a guard that sleeps too early (G2). */
        skuai_sub_32(&sched->spares.active, 1, SKUAI_RELAXED);
}

bool skuai_spare_rest(struct skuai_worker *spare)
{
    if (has_stopped(spare))
        return false;
    if (state_of(spare) == SKUAI_SPARE_ACTIVE)
        park(spare, skuai_load_64(&spare->sched->timer_next, SKUAI_RELAXED)); /* a bound */
    else if (state_of(spare) == SKUAI_SPARE_RETIRING)
        retire(spare);
    else
        park(spare, SKUA_NEVER); /* also roused for its memory */
    return true;
}

/* ---- the guard's side ------------------------------------------------------------------------------------------- */

bool skuai_spares_are_active(const struct skuai_scheduler *sched)
{
    return skuai_load_32(&sched->spares.active, SKUAI_RELAXED) != 0; /* as in retire() */
}

static bool has_tasks(const struct skuai_worker *worker)
{
    return skuai_load_ptr(&worker->next, SKUAI_RELAXED) != NULL || /* a look: whoever takes it decides */
           skuai_deque_count(&worker->deque) != 0 || skuai_deque_count(&worker->inbox) != 0;
}

/* S1. With more workers than processors one may just wait for its turn. No model test needs the checks of counts: they
 * count no time. */
static bool is_stuck(struct skuai_worker *worker, uint64_t now_ns)
{
    struct skuai_scheduler *sched = worker->sched;
    uint64_t polls = skuai_load_64(&worker->counters.polls, SKUAI_RELAXED); /* counts */
    uint64_t looks = skuai_load_64(&worker->counters.looks, SKUAI_RELAXED);
    if (looks != worker->watched_looks) {
        worker->watched_looks = looks;
        worker->watched_looked_ns = now_ns;
    }
    if (polls != worker->watched_polls || skuai_load_32(&worker->asleep, SKUAI_RELAXED) != 0) {
        worker->watched_polls = polls;
        worker->watched_ns = now_ns;
        worker->watched_stuck = false;
        return false;
    }
    uint64_t turns = 1 + (sched->nworkers - 1) / (sched->topology.ncpus != 0 ? sched->topology.ncpus : 1);
    uint64_t stuck_ns = sched->spares.stuck_ns * turns;
    if (now_ns - worker->watched_ns < stuck_ns)
        return false;
    if (now_ns - worker->watched_looked_ns < stuck_ns && !skuai_parallel_has_offers(sched))
        return false;
    if (!worker->watched_stuck) {
        skuai_count(&sched->spares.stuck, 1);
        SKUAI_PROBE1(stuck, worker->index);
    }
    worker->watched_stuck = true;
    return true;
}

static struct skuai_worker *find_spare(struct skuai_scheduler *sched, enum skuai_spare_state state)
{
    for (uint32_t i = sched->nworkers; i < skuai_workers_all(sched); i++)
        if (state_of(sched->workers[i]) == state)
            return sched->workers[i];
    return NULL;
}

/* A new one, PARKED; NULL: there is none to be had. No model test runs this: theirs are made before. */
static struct skuai_worker *make_spare(struct skuai_scheduler *sched)
{
    struct skuai_spares *spares = &sched->spares;
    uint32_t made = skuai_load_32(&spares->made, SKUAI_RELAXED), index = sched->nworkers + made; /* the guard's own */
    if (made == spares->max || spares->failed)
        return NULL;
    int rc = spares->make(sched, index);
    if (rc == 0) {
        skuai_add_32(&spares->made, 1, SKUAI_SEQ_CST); /* S6 */
        rc = skuai_env_thread_start(&sched->env, &sched->workers[index]->thread, &sched->workers[index]->parker);
        sched->workers[index]->thread.signals = sched->workers[0]->thread.signals; /* for what it may exec */
        if (rc == 0) {
            skuai_trace_join(sched, sched->workers[index]);
            return sched->workers[index];
        }
        skuai_sub_32(&spares->made, 1, SKUAI_SEQ_CST); /* it has done nothing that others could look for */
    }
    spares->failed = true;
    skuai_log(sched, SKUA_LOG_WARN, "a spare worker for one that is stuck could not be started: %s", skua_strerror(rc));
    return NULL;
}

/* S2. No model test needs the check of the exchange, or the step that unparks: the next look finds that one is needed,
 * or one that is free and asleep. */
static void begin_one(struct skuai_scheduler *sched)
{
    struct skuai_worker *spare = find_spare(sched, SKUAI_SPARE_RETIRING);
    uint32_t state = SKUAI_SPARE_RETIRING;
    if (spare != NULL && skuai_cas_32(&spare->spare_state, &state, SKUAI_SPARE_ACTIVE, SKUAI_RELAXED)) /* as there */
        return;
    spare = find_spare(sched, SKUAI_SPARE_PARKED);
    if (spare == NULL && (spare = make_spare(sched)) == NULL)
        return;
    skuai_add_32(&sched->spares.active, 1, SKUAI_RELAXED); /* the guard itself asks for it */
    skuai_store_32(&spare->spare_state, SKUAI_SPARE_ACTIVE, SKUAI_RELAXED); /* nobody else does while it is PARKED */
    skuai_count(&sched->spares.begun, 1);
    skuai_trace(sched, &sched->trace.guard, SKUAI_TRACE_SPARE, spare->index - sched->nworkers, 0);
    SKUAI_PROBE1(spare, spare->index);
    skuai_env_unpark(&sched->env, &spare->parker);
}

/* S3. */
static void end_one(struct skuai_scheduler *sched)
{
    struct skuai_worker *spare = find_spare(sched, SKUAI_SPARE_ACTIVE);
    uint32_t state = SKUAI_SPARE_ACTIVE;
    if (spare != NULL && skuai_cas_32(&spare->spare_state, &state, SKUAI_SPARE_RETIRING, SKUAI_RELAXED)) /* as there */
        skuai_env_unpark(&sched->env, &spare->parker);
}

/* S2: one that has nothing to do. */
static bool rouse_free(struct skuai_scheduler *sched)
{
    for (uint32_t i = sched->nworkers; i < skuai_workers_all(sched); i++) {
        struct skuai_worker *spare = sched->workers[i];
        if (state_of(spare) == SKUAI_SPARE_ACTIVE && skuai_load_32(&spare->asleep, SKUAI_RELAXED) != 0) {
            skuai_env_unpark(&sched->env, &spare->parker);
            return true;
        }
    }
    return false;
}

bool skuai_spares_watch(struct skuai_scheduler *sched, uint64_t now_ns, bool injected)
{
    struct skuai_spares *spares = &sched->spares;
    uint32_t stuck = 0, regular = 0, active = skuai_load_32(&spares->active, SKUAI_RELAXED); /* only the guard adds */
    bool is_needed = false;
    if (spares->max == 0)
        return false;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++) {
        struct skuai_worker *worker = sched->workers[i];
        if (!is_stuck(worker, now_ns))
            continue;
        stuck++;
        regular += i < sched->nworkers;
        is_needed |= has_tasks(worker);
    }
    is_needed |= injected && regular == sched->nworkers;
    if (active > stuck)
        end_one(sched);
    /* No model test needs the last check: it spares spares. */
    else if (is_needed && !rouse_free(sched) && active < stuck)
        begin_one(sched);
    return is_needed;
}
