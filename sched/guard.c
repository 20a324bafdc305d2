/* The guard thread makes what must happen in time independent of what the workers do.
 *
 * While a worker is inside a task that computes for long, its next-slot, its deque and its timers wait. Idle workers
 * were not woken for what lies in a next-slot (schedule.c), and nobody but its worker looks at timers between tasks.
 * So, as long as anybody works, the guard looks at intervals:
 *   - timers that are late: it expires them itself, whoever's wheel they are in; and it looks most often while there
 *     are timers and no worker keeps the time
 *   - events of descriptors, of each poller that no worker has looked into lately: it delivers them itself
 *   - tasks that lie in the injection queue while workers run long ones: it asks the workers to look after the next
 *   - tasks that lie in a queue while workers sleep: it wakes one, which steals
 *   - fork-join strands that run while tasks wait or workers sleep: it asks them to look around, and if one does not
 *     until the next look it makes jobs public in its place (parallel.c)
 *   - workers that a task holds for long: it lets spare ones take the others' tasks (spares.h), and if that is asked
 *     for has it reported (watchdog.h)
 *   - memory that nobody needed for a period: it gives it back (decay.h)
 *   - whether the processors are crowded (crowd.h); then it wakes one for what a worker does not come to
 *   - what time it is, for workers that have not asked for a while
 * and when all workers sleep it sleeps too, but for the end of that period:
 *   G1 deep    after CALM looks at which all slept it sets `deep`, then looks at the sleepers' count once more, and
 *              sleeps until then, or without a time-out
 *   G2 begins  a worker that was taken from the sleepers' set and found work reads `deep`; if it is set, unparks the
 *              guard
 *   G3 timers  while the guard expires timers timer_next reads NEVER (timers.c, T2), and a worker may settle on that.
 *              So it unparks the timekeeper afterwards. A worker that becomes the timekeeper later than that reads
 *              timer_next later too: the lock of idle.h orders the two.
 * Litmus of G1 and G2: store buffering, { deep; count } against { count (the exchange that took the worker out);
 * deep }, all seq_cst.
 * So an idle runtime uses no CPU, and a runtime that goes in and out of idleness pays for a wake of the guard only
 * after it was calm for some milliseconds.
 */
#include "sched/guard.h"

#include <stdio.h>

#include "sched/deadlock.h"
#include "sched/scheduler.h"
#include "sched/watchdog.h"

enum {
    /* A look takes 17 µs of a processor, most of it for the two switches. So once all workers run tasks, and look
     * after the poller and the timers themselves, it comes seldom: at 1 ms it took a fiftieth of an echo server. How
     * late a timer may be while all compute: the first by the last of these, later ones by twice the first. */
    LOOK_MIN_NS = 1000000,
    LOOK_MAX_NS = 2000000,
    LOOK_FULL_NS = 4000000,
    LATE_NS = 500000,      /* a timer that late is nobody's: its worker is stuck */
    UNLOOKED_NS = 500000,  /* likewise, a poller */
    CALM = 4,
    DECAY_NS = 500000000,  /* untuned: what was freed is back after one to two of these */
    DECAY_MAX = 256        /* stacks, or chunks, per look: about a millisecond */
};

static bool all_sleep(struct skuai_scheduler *sched)
{
    /* SEQ_CST: G1's read half */
    return !skuai_spares_are_active(sched) &&
           (uint32_t)skuai_load_64(&sched->idle.counts, SKUAI_SEQ_CST) == sched->nworkers;
}

static bool something_waits(struct skuai_scheduler *sched)
{
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        if (skuai_load_ptr(&sched->workers[i]->next, SKUAI_RELAXED) != NULL || /* a look: whoever is woken decides */
            skuai_deque_count(&sched->workers[i]->deque) != 0 || skuai_deque_count(&sched->workers[i]->inbox) != 0)
            return true;
    return !skuai_inject_is_empty(&sched->inject);
}

static void kick_timekeeper(struct skuai_scheduler *sched)
{
    uint32_t keeper = skuai_idle_timekeeper(&sched->idle);
    if (keeper != SKUAI_IDLE_NOBODY)
        skuai_env_unpark(&sched->env, &sched->workers[keeper]->parker);
}

/* poll.h, K4: those that no worker has looked into for a while. */
static bool look_into_pollers(struct skuai_scheduler *sched, uint64_t now)
{
    struct skuai_poll_batch *polled = &sched->guard.polled;
    bool found = false;
    for (uint32_t i = 0; i < sched->polls.count; i++) {
        struct skuai_poll *poll = &sched->polls.of[i];
        if (!skuai_poll_is_neglected(poll, now, UNLOOKED_NS) || !skuai_poll_look(poll, polled, now))
            continue;
        skuai_count(&sched->guard.looks, 1);
        skuai_count(&sched->guard.events, polled->count);
        skuai_trace(sched, &sched->trace.guard, SKUAI_TRACE_EVENTS, 0, polled->count);
        SKUAI_PROBE1(events, polled->count);
        skuai_poll_deliver(&sched->polls, polled);
        found = true;
    }
    return found;
}

/* How soon to look again. No model test needs the checks: they count no time. */
static uint64_t interval_after(struct skuai_scheduler *sched, uint64_t interval, bool found, uint64_t now)
{
    uint64_t next = skuai_load_64(&sched->timer_next, SKUAI_RELAXED); /* a bound */
    bool is_due_soon = next != SKUA_NEVER && (next <= now || next - now < LOOK_FULL_NS);
    if (found || skuai_spares_are_active(sched) ||
        (is_due_soon && skuai_idle_timekeeper(&sched->idle) == SKUAI_IDLE_NOBODY))
        return LOOK_MIN_NS;
    bool is_full = skuai_idle_sleeping(&sched->idle) == 0 && !skuai_parallel_is_running(sched);
    uint64_t longest = is_full ? LOOK_FULL_NS : LOOK_MAX_NS;
    return 2 * interval < longest ? 2 * interval : longest;
}

/* Returns how soon to look again. */
static uint64_t look(struct skuai_scheduler *sched, uint64_t interval)
{
    bool found = false;
    uint64_t now = skuai_env_now(&sched->env);
    uint64_t next = skuai_load_64(&sched->timer_next, SKUAI_RELAXED); /* a bound; the wheels' locks decide */
    /* No model test needs the check, which leaves to the timekeeper what is his, nor the sequence: what the timers wake
     * is seen at the next look at the latest. */
    if (next <= now && now - next >= LATE_NS) {
        skuai_timers_run(sched, now);
        kick_timekeeper(sched); /* G3 */
        found = true;
    }
    found |= look_into_pollers(sched, now);
    /* No model test needs the step: in the world nobody asks the kernel. */
    skuai_crowd_watch(sched, now);
    /* No model test needs the check: that somebody sleeps spares the look through all queues, and to wake somebody too
     * soon while it is crowded costs time only. */
    bool is_crowded = skuai_awake_are_enough(sched);
    bool lags = is_crowded && skuai_crowd_lags(sched);
    if (skuai_idle_sleeping(&sched->idle) != 0 && (is_crowded ? lags : something_waits(sched))) {
        skuai_schedule_wake_one(sched);
        found = true;
    }
    /* No model test needs the check or the step: the world has no strands; model_strand.c forces some. */
    if (skuai_idle_sleeping(&sched->idle) != 0)
        skuai_parallel_force(sched);
    /* No model test needs the check or the step: likewise. */
    if (next <= now || skuai_idle_sleeping(&sched->idle) != 0 || something_waits(sched))
        skuai_parallel_hunger(sched);
    bool injected = !skuai_inject_is_empty(&sched->inject);
    if (injected && sched->guard.saw_injected)
        skuai_store_32(&sched->hurry, 1, SKUAI_RELAXED); /* a hint. No model test needs the step: they count no time. */
    /* No model test needs the step: likewise. */
    found |= skuai_spares_watch(sched, now, injected && sched->guard.saw_injected);
    sched->guard.saw_injected = injected;
    return interval_after(sched, interval, found || injected, now);
}

/* What others have freed of a sleeping worker's task memory only that worker can take in: it does before it sleeps on.
 * No model test needs the check or the step: memory only; whom it rouses in vain tests/unit/test_guard.c sees. */
static bool rouse_owners(struct skuai_scheduler *sched)
{
    bool roused = false;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        if (skuai_slab_cache_is_notified(&sched->workers[i]->slab)) {
            skuai_env_unpark(&sched->env, &sched->workers[i]->parker);
            roused = true;
        }
    return roused;
}

/* When to come again if nobody works. */
static uint64_t give_back(struct skuai_scheduler *sched, uint64_t now)
{
    struct skuai_guard_thread *guard = &sched->guard;
    if (now >= guard->decay_ns) {
        bool roused = rouse_owners(sched);
        enum skuai_decay slabs = skuai_slab_set_decay(&sched->slabs, DECAY_MAX);
        enum skuai_decay stacks = skuai_stack_pool_decay(&sched->stack_pool, DECAY_MAX);
        enum skuai_decay strands = skuai_strand_pool_decay(&sched->strands, DECAY_MAX);
        enum skuai_decay decay = slabs > stacks ? slabs : stacks;
        decay = strands > decay ? strands : decay;
        guard->decay_ns = now + (decay == SKUAI_DECAY_NOW ? LOOK_MIN_NS : DECAY_NS);
        guard->keeps = roused || decay != SKUAI_DECAY_NOTHING;
    }
    return guard->keeps ? guard->decay_ns : SKUA_NEVER;
}

uint64_t skuai_guard_give_back_alone(struct skuai_scheduler *sched, bool worked)
{
    sched->guard.keeps |= worked;
    return give_back(sched, skuai_env_now(&sched->env));
}

/* True: it was woken. */
static bool park(struct skuai_scheduler *sched, uint64_t until_ns, bool looks)
{
    struct skuai_rest rest;
    bool is_endless = (looks || until_ns == SKUA_NEVER) && sched->env.sim == NULL;
    skuai_rest_begin(&rest, SKUAI_REST_GUARD, is_endless);
    bool token = skuai_env_park(&sched->env, &sched->guard.parker, until_ns);
    skuai_rest_end(&rest, SKUAI_REST_GUARD, is_endless);
    return token;
}

/* To workers that may have been computing for long. */
static void tell_time(struct skuai_scheduler *sched, uint64_t now)
{
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        skuai_worker_note_time(sched->workers[i], now); /* no model test needs the step: for reports */
}

static void guard_main(void *arg)
{
    struct skuai_scheduler *sched = arg;
    struct skuai_guard_thread *guard = &sched->guard;
    uint64_t interval = LOOK_MIN_NS;
    uint32_t calm = 0;
    guard->decay_ns = skuai_env_now(&sched->env) + DECAY_NS;
    guard->keeps = true; /* what comes before the first look, and is over by then */
    if (sched->env.sim == NULL)
        skuai_context_init_thread(&guard->base);
    while (skuai_load_32(&sched->stage, SKUAI_RELAXED) != SKUAI_STAGE_STOP) { /* says no more than that */
        bool looks = false; /* it sleeps only to look for a deadlock again */
        /* No model test needs the sequence: what it gives back concerns nobody. */
        uint64_t now = skuai_env_now(&sched->env), until = now + interval, return_ns = give_back(sched, now);
        tell_time(sched, now);
        /* No model test needs the step, sequence or check: how calm it is decides about processor time alone, which
         * tests/unit/test_guard.c sees; about sleeping decides the second look (G1). */
        calm = all_sleep(sched) ? calm + 1 : 0;
        /* No model test needs the sequence: likewise. */
        if (calm >= CALM) {
            skuai_store_32(&guard->deep, 1, SKUAI_SEQ_CST); /* G1 */
            if (all_sleep(sched))
                until = skuai_deadlock_look(sched, return_ns, &looks);
            interval = LOOK_MIN_NS;
        }
        /* No model test needs the check: likewise. */
        if (park(sched, until, looks)) {
            guard->keeps = true; /* somebody works, or did already: that leaves something behind */
            calm = 0;
        }
        /* Awake. No model test needs the step: whoever reads the 1 still gives a token too many. */
        skuai_store_32(&guard->deep, 0, SKUAI_RELAXED);
        if (sched->watchdog != NULL) /* no model test needs the step or check: for reports */
            skuai_watchdog_look(sched, skuai_env_now(&sched->env));
        if (all_sleep(sched))
            continue;
        guard->keeps = true;
        interval = look(sched, interval);
    }
    if (sched->env.sim == NULL)
        skuai_context_fini(&guard->base);
}

void skuai_guard_work_begins(struct skuai_scheduler *sched)
{
    if (SKUAI_UNLIKELY(skuai_load_32(&sched->guard.deep, SKUAI_SEQ_CST) != 0)) /* G2 */
        skuai_env_unpark(&sched->env, &sched->guard.parker);
}

int skuai_guard_start(struct skuai_scheduler *sched)
{
    struct skuai_guard_thread *guard = &sched->guard;
    guard->flow = &guard->base;
    guard->thread = (struct skuai_thread){ .entry = guard_main,
                                           .arg = sched,
                                           .base = &guard->base,
                                           .flow = &guard->flow,
                                           .name = "skua-guard" };
    int rc = skuai_env_thread_start(&sched->env, &guard->thread, &guard->parker);
    guard->started = rc == 0;
    return rc;
}

/* No model test runs this: model_idle.c's stopper does it to workers. */
void skuai_guard_stop(struct skuai_scheduler *sched)
{
    if (!sched->guard.started)
        return;
    skuai_env_unpark(&sched->env, &sched->guard.parker);
    skuai_env_thread_join(&sched->env, &sched->guard.thread);
    sched->guard.started = false;
}
