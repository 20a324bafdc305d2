/* See turn.h. */
#include "sched/turn.h"

void skuai_turn_ask(struct skuai_scheduler *sched)
{
    struct skuai_poller *poller = skuai_poll_poller(sched->polls.of);
    poller->hooks->kick(poller);
}

/* P4. There is nobody else to be woken for what it finds (P3). */
static void leave_the_set(struct skuai_worker *worker)
{
    struct skuai_idle *idle = &worker->sched->idle;
    if (!skuai_idle_leave(idle, worker->index))
        skuai_idle_found(idle);
}

/* U5. */
static void come_back(struct skuai_worker *worker, uint64_t wait_until_ns)
{
    worker->away = false;
    skuai_count(&worker->counters.poller_parks, 1);
    skuai_store_32(&worker->asleep, 0, SKUAI_RELAXED); /* likewise. No model test needs the step. */
    skuai_poll_return(&worker->sched->polls, &worker->polled, &worker->parker, wait_until_ns);
    leave_the_set(worker);
    skuai_worker_deliver_slept(worker);
}

/* U2. False: there is something to do. */
static bool go_away(struct skuai_worker *worker, bool worked)
{
    struct skuai_scheduler *sched = worker->sched;
    if (skuai_worker_settle(worker, false)) {
        uint64_t timer_ns = skuai_idle_sleep_until(&sched->idle, worker->index, &sched->timer_next);
        uint64_t memory_ns = skuai_guard_give_back_alone(sched, worked);
        if (skuai_poll_go_away(&sched->polls, &worker->parker, timer_ns < memory_ns ? timer_ns : memory_ns)) {
            skuai_count(&worker->counters.parks, 1);
            worker->away = true;
            skuai_store_32(&worker->asleep, 1, SKUAI_RELAXED); /* for who looks in. No model test needs the step. */
            return true;
        }
    }
    leave_the_set(worker);
    return false;
}

/* Tasks, as skuai_worker_main() runs them, until none is ready, or the time is over. True: it has run one. */
static bool run_ready(struct skuai_worker *worker)
{
    bool worked = false;
    for (;;) {
        skua_task *task = worker->handover;
        worker->handover = NULL;
        if (task == NULL)
            task = skuai_worker_next_local(worker);
        if (SKUAI_UNLIKELY(worker->forked))
            skuai_die_forked();
        if (task == NULL && (worker->stopping || (task = skuai_worker_find_here(worker)) == NULL))
            return worked;
        skuai_worker_run(worker, task);
        worked = true;
    }
}

bool skuai_turn(struct skuai_worker *worker, uint64_t budget_ns, uint64_t wait_until_ns)
{
    bool worked = false, was_away = worker->away;
    if (was_away)
        come_back(worker, wait_until_ns);
    uint64_t now = skuai_env_now(&worker->sched->env);
    worker->turn_until_ns = budget_ns < SKUA_NEVER - now ? now + budget_ns : SKUA_NEVER;
    skuai_worker_begin_turn(worker, now, !was_away);
    for (;;) {
        worked |= run_ready(worker);
        /* No model test needs the second check: it spares a turn in vain. */
        if (!worker->stopping || !skuai_worker_has_work(worker)) {
            if (go_away(worker, worked))
                return false;
            if (!worker->stopping)
                continue;
        }
        skuai_turn_ask(worker->sched); /* U4 */
        return true;
    }
}
