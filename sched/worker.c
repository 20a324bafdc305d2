/* The worker's loop: where it gets its next task, how it runs one, when it sleeps.
 *
 * Order of service. The next-slot first (the task just woken, its data warm), but at most NEXT_STREAK times in a row;
 * then the deque, oldest first, by turns with the inbox, which holds what it has fetched from the injection queue.
 * Every check_interval tasks, and whenever the queues are empty, it looks at the timers and at the injection queue. So
 * no ready task waits for more than a bounded number of runs of others: the slot's streak bounds the slot,
 * first-in-first-out bounds the deque, the interval bounds the injection queue (sched/DESIGN.md, "Order", has the
 * numbers; tests/stress/stress_fairness.c measures them).
 *
 * Long, because all that takes a task shares the same few functions, which are inlined: a worker's search, a spare
 * worker's (spares.h), and an embedded one's, whose turns are turn.c's.
 */
#include "sched/member.h"
#include "sched/overflow.h"
#include "sched/rest.h"
#include "sched/scheduler.h"
#include "sched/watchdog.h"

enum {
    NEXT_STREAK = 8,        /* untuned; tokio has 3, Go a time slice */
    CHECK_INTERVAL_MAX = 64, /* runs; Go and tokio have 61 */
    CHECK_SOON_NS = 50000,   /* the interval adapts to keep looks 50 to 200 µs apart */
    CHECK_LATE_NS = 200000,
    POLL_LATE_NS = 400000,   /* before the guard does (guard.c) */
    STEAL_MAX = 64,          /* tasks taken from a victim at once */
    INJECT_MAX = SKUAI_DEQUE_CAPACITY < 64 ? SKUAI_DEQUE_CAPACITY : 64, /* likewise from the injection queue */
    SEARCH_NS = 10000,       /* what a wake costs the waker (11 µs measured) */
    SEARCH_JOBS_NS = 60000,  /* what a wake costs both, until the woken one has work; see search() */
    SEARCH_PAUSES = 8,       /* between two rounds over all victims */
    SHORT_SLEEP_NS = 4000,   /* too short to have been one: twice what sleeping and waking take */
    LEFT_LOOKS = 2,          /* at other workers' deques before a look into the poller: untuned */
    HUNGRY_TURNS = 8,        /* to ask for more than that costs those who have no more to give */
    TURN_CHECK = 4           /* runs of an embedded worker between two looks at the clock: 5 ns of each run */
};

/* ---- taking -------------------------------------------------------------------------------------------------- */

static skua_task *take_next_slot(struct skuai_worker *owner)
{
    if (skuai_load_ptr(&owner->next, SKUAI_RELAXED) == NULL) /* a look; the exchange decides */
        return NULL;
    return skuai_exchange_ptr(&owner->next, NULL, SKUAI_ACQUIRE); /* pairs with the release that filled it */
}

/* Pushes all but the first of a batch onto the worker's deque, which is empty. */
static skua_task *keep_rest(struct skuai_worker *worker, skua_task **batch, int count)
{
    if (count > 1)
        skuai_deque_push_many(&worker->deque, (void *const *)(batch + 1), (uint32_t)count - 1);
    return batch[0];
}

/* From the injection queue, this worker's share of what is there. */
static int fetch_injected(struct skuai_worker *worker, skua_task *batch[INJECT_MAX])
{
    struct skuai_inject *inject = &worker->sched->inject;
    uint64_t share = skuai_inject_count(inject) / worker->sched->nworkers + 1;
    int count = skuai_inject_take(inject, batch, share < INJECT_MAX ? (uint32_t)share : INJECT_MAX);
    if (count > 0)
        skuai_count(&worker->counters.injected, (uint64_t)count);
    return count;
}

/* The deque being empty, as are all queues of a worker that searches. */
static skua_task *take_injected(struct skuai_worker *worker)
{
    skua_task *batch[INJECT_MAX];
    int count = fetch_injected(worker, batch);
    return count > 0 ? keep_rest(worker, batch, count) : NULL;
}

SKUAI_HOT static skua_task *take_from(struct skuai_deque *deque)
{
    void *task;
    int count;
    while ((count = skuai_deque_take(deque, &task, 1, 1)) < 0)
        ; /* a thief was faster: somebody made progress */
    return count == 1 ? task : NULL;
}

static void fill_inbox(struct skuai_worker *worker)
{
    skua_task *batch[INJECT_MAX];
    if (skuai_deque_count(&worker->inbox) != 0)
        return;
    int count = fetch_injected(worker, batch);
    if (count > 0) {
        skuai_deque_push_many(&worker->inbox, (void *const *)batch, (uint32_t)count);
        worker->inbox_filled = true;
        skuai_schedule_wake_one(worker->sched); /* P5 */
    }
}

/* An inbox that is empty is filled at once: until the next look the deque alone would be served, and that more often
 * than once around. No model test needs the step: it bounds a wait (tests/stress/stress_fairness.c). */
static skua_task *take_from_inbox(struct skuai_worker *worker)
{
    skua_task *task = take_from(&worker->inbox);
    if (task != NULL)
        return task;
    worker->inbox_filled = false;
    fill_inbox(worker);
    return worker->inbox_filled ? take_from(&worker->inbox) : NULL;
}

/* Deque and inbox by turns, so that what had to go through the injection queue is served like what had not. */
SKUAI_HOT static skua_task *take_own(struct skuai_worker *worker)
{
    if (SKUAI_LIKELY(!worker->inbox_filled))
        return take_from(&worker->deque);
    skua_task *task;
    worker->inbox_turn = !worker->inbox_turn;
    if (worker->inbox_turn && (task = take_from_inbox(worker)) != NULL)
        return task;
    if ((task = take_from(&worker->deque)) != NULL)
        return task;
    return worker->inbox_filled ? take_from_inbox(worker) : NULL;
}

/* True: the worker's own queues have something. */
static bool deliver_polled(struct skuai_worker *worker, skua_word64 *counter)
{
    bool any = worker->polled.count != 0;
    if (any) {
        skuai_count(counter, worker->polled.count);
        skuai_trace(worker->sched, &worker->trace, SKUAI_TRACE_EVENTS, 0, worker->polled.count);
        SKUAI_PROBE1(events, worker->polled.count);
    }
    skuai_poll_deliver(&worker->sched->polls, &worker->polled);
    worker->polled.count = 0;
    worker->had_events |= any;
    return any;
}

/* poll.h, K3. */
static bool look_into(struct skuai_worker *worker, struct skuai_poll *poll, uint64_t now_ns)
{
    if (!skuai_poll_look(poll, &worker->polled, now_ns))
        return false;
    skuai_count(&worker->counters.poller_looks, 1);
    return deliver_polled(worker, &worker->counters.events_looked);
}

static bool look_into_home(struct skuai_worker *worker, uint64_t now_ns)
{
    struct skuai_poll *poll = worker->home;
    return SKUAI_UNLIKELY(skuai_poll_poller(poll) != NULL) && look_into(worker, poll, now_ns);
}

/* Likewise, of one that has nothing to do: those that others should have looked into. One with events is enough. */
static __attribute__((noinline)) bool look_into_others(struct skuai_worker *worker, uint64_t now_ns)
{
    struct skuai_polls *polls = &worker->sched->polls;
    for (uint32_t i = 0; i < polls->count; i++)
        if (skuai_poll_is_neglected(&polls->of[i], now_ns, CHECK_LATE_NS) && look_into(worker, &polls->of[i], now_ns))
            return true;
    return false;
}

/* What the poller has goes behind what is in the deque. As long as that lasts until the next look around, asking sooner
 * brings nothing forward and costs a system call for a few events: with 500 connections, one for six (bench: echo_500).
 * No model test needs the checks: who looks too often finds nothing. */
static bool may_leave_poller(const struct skuai_worker *worker, uint64_t now_ns)
{
    return skuai_deque_count(&worker->deque) > worker->check_interval &&
           !skuai_poll_is_neglected(worker->home, now_ns, POLL_LATE_NS);
}

/* Of an embedded worker (turn.h), which looks at the clock more often than around. False: at nothing else this time. */
static __attribute__((noinline)) bool turn_goes_on(struct skuai_worker *worker, uint64_t now_ns)
{
    worker->stopping |= now_ns >= worker->turn_until_ns;
    worker->check_interval = worker->until_check = worker->stopping ? 1 : TURN_CHECK;
    return !worker->stopping && now_ns - worker->checked_ns >= CHECK_SOON_NS;
}

/* Timers, the poller and the injection queue, at intervals that follow how long the tasks run. False: the worker is to
 * come to its base. */
SKUAI_HOT static bool look_around(struct skuai_worker *worker)
{
    if (SKUAI_UNLIKELY(skuai_load_32(&worker->sched->stage, SKUAI_RELAXED) == SKUAI_STAGE_STOP)) { /* as in find() */
        worker->until_check = 1;
        worker->stopping = true;
        return false;
    }
    if (SKUAI_UNLIKELY(skuai_spare_is_called(worker))) {
        worker->until_check = 1;
        return false;
    }
    uint64_t now = skuai_env_now(&worker->sched->env);
    uint64_t since = now - worker->checked_ns;
    if (SKUAI_UNLIKELY(worker->turn_until_ns != 0)) {
        if (!turn_goes_on(worker, now))
            return !worker->stopping;
    } else if (since > CHECK_LATE_NS) /* at once, and not by halves: tasks may have become a thousand times as long */
        worker->check_interval = (uint32_t)(worker->check_interval * CHECK_LATE_NS / since);
    else if (since < CHECK_SOON_NS && worker->check_interval < CHECK_INTERVAL_MAX)
        worker->check_interval *= 2;
    if (worker->check_interval == 0)
        worker->check_interval = 1;
    worker->checked_ns = now;
    skuai_worker_note_time(worker, now); /* no model test needs the step: for reports */
    worker->until_check = worker->check_interval;
    if (skuai_load_32(&worker->sched->hurry, SKUAI_RELAXED) != 0)
        skuai_store_32(&worker->sched->hurry, 0, SKUAI_RELAXED); /* a hint */
    if (now >= skuai_load_64(&worker->sched->timer_next, SKUAI_RELAXED)) /* a bound; the wheel's lock decides */
        skuai_timers_run(worker->sched, now);
    if (!may_leave_poller(worker, now))
        (void)look_into_home(worker, now);
    fill_inbox(worker);
    return true;
}

/* The next task from the worker's own queues. Runs on a fiber's stack too, so it is small and never waits. */
SKUAI_HOT skua_task *skuai_worker_next_local(struct skuai_worker *worker)
{
    skua_task *task;
    skuai_env_point(&worker->sched->env, SKUAI_POINT_TAKE);
    /* Relaxed: a hint, which the guard gives again if need be. No model test needs the sequence: that the look comes
     * first only makes what it brings the next. */
    if (SKUAI_UNLIKELY((--worker->until_check == 0 || skuai_load_32(&worker->sched->hurry, SKUAI_RELAXED) != 0) &&
                       !look_around(worker)))
        return NULL;
    task = take_next_slot(worker);
    if (task != NULL) {
        /* A task that is pushed and taken again might be stolen in between, and go on with cold caches. */
        if (++worker->next_streak <= NEXT_STREAK || skuai_queues_are_empty(worker))
            return task;
        skuai_schedule_last(worker, task); /* the deque's turn */
    }
    worker->next_streak = 0;
    return take_own(worker);
}

/* ---- searching ----------------------------------------------------------------------------------------------- */

static skua_task *steal_from(struct skuai_worker *worker, struct skuai_worker *victim, bool slot_too)
{
    skua_task *batch[STEAL_MAX];
    skuai_env_point(&worker->sched->env, SKUAI_POINT_STEAL);
    skuai_count(&worker->counters.steal_attempts, 1);
    int count = skuai_deque_take(&victim->deque, (void **)batch, STEAL_MAX, 2);
    if (count <= 0)
        count = skuai_deque_take(&victim->inbox, (void **)batch, STEAL_MAX, 2);
    if (count <= 0 && slot_too && (batch[0] = take_next_slot(victim)) != NULL)
        count = 1;
    if (count <= 0)
        return NULL;
    skuai_count(&worker->counters.stolen, (uint64_t)count);
    skuai_trace(worker->sched, &worker->trace, SKUAI_TRACE_STEAL, victim->index, (uint64_t)count);
    SKUAI_PROBE3(steal, worker->index, victim->index, count);
    return keep_rest(worker, batch, count);
}

/* By the thief, who alone writes there. */
static skua_task *count_steal(struct skuai_worker *worker, skua_task *task, uint32_t distance)
{
    skuai_count(&worker->counters.steals_at[distance], 1);
    return task;
}

/* From those that are not among the victims; a spare from anybody. */
static skua_task *steal_beyond(struct skuai_worker *worker, uint32_t first, uint32_t end, bool slots_too)
{
    for (uint32_t i = first; i < end; i++) {
        struct skuai_worker *victim = worker->sched->workers[i];
        skua_task *task = victim != worker ? steal_from(worker, victim, slots_too) : NULL;
        if (task != NULL)
            return count_steal(worker, task, SKUA_DISTANCE_SPARE);
    }
    return NULL;
}

/* Near to far, each ring from a random place on; spare workers last. */
static skua_task *steal(struct skuai_worker *worker, bool slots_too)
{
    const struct skuai_victims *victims = worker->victims;
    uint32_t begin = 0;
    for (uint32_t ring = 0; ring < victims->nrings; ring++) {
        uint32_t end = victims->ring_end[ring], size = end - begin;
        uint32_t first = skuai_random_below(&worker->random, size);
        for (uint32_t i = 0; i < size; i++) {
            uint32_t at = first + i < size ? first + i : first + i - size;
            skua_task *task = steal_from(worker, worker->sched->workers[victims->order[begin + at]], slots_too);
            if (task != NULL)
                return count_steal(worker, task, victims->distance[ring]);
        }
        begin = end;
    }
    return steal_beyond(worker, worker->sched->nworkers, skuai_workers_all(worker->sched), slots_too);
}

/* Before the poller is asked for more: who is still to be served, a while ago already if its worker has lost its
 * processor. Two victims at random, so that somebody comes by soon, however many they are. An echo server's p99 on two
 * processors beside its clients is 0.95 ms so, else 2.5. */
static skua_task *steal_left(struct skuai_worker *worker)
{
    const struct skuai_victims *victims = worker->victims;
    uint32_t count = victims->nrings != 0 ? victims->ring_end[victims->nrings - 1] : 0;
    if (count == 0 || skuai_poll_poller(worker->sched->polls.of) == NULL)
        return NULL;
    uint32_t first = skuai_random_below(&worker->random, count);
    for (uint32_t i = 0; i < LEFT_LOOKS && i < count; i++) {
        uint32_t at = (first + i) % count;
        struct skuai_worker *victim = worker->sched->workers[victims->order[at]];
        skua_task *task = skuai_deque_count(&victim->deque) != 0 ? steal_from(worker, victim, false) : NULL;
        if (task != NULL)
            return count_steal(worker, task, skuai_victims_distance(victims, at));
    }
    return NULL;
}

/* One round over all victims; the last round takes from next-slots too, which their owners will likely run
 * themselves. */
static skua_task *search_once(struct skuai_worker *worker, bool slots_too)
{
    skua_task *task = take_injected(worker);
    return task != NULL ? task : steal(worker, slots_too);
}

/* Searches for about as long as it would cost somebody to wake us again; longer after jobs, since one computation is
 * often followed by another, which then loses not only what the wake costs but all that is not shared until we are
 * awake. And not at all longer than one round if there are more workers than processors, where the time would be taken
 * from who produces the work, or no others; or if what we did came from the poller: there we sleep, or somebody does,
 * and meanwhile the processor is whoever's that the events come from. */
static skua_task *search(struct skuai_worker *worker)
{
    struct skuai_scheduler *sched = worker->sched;
    if (sched->nworkers == 1 || (worker->had_events && !worker->had_jobs)) {
        skuai_parallel_hunger(sched); /* no model test needs the step: as in guard.c */
        return search_once(worker, true);
    }
    uint64_t until = worker->checked_ns;
    if (sched->nworkers <= sched->topology.ncpus)
        until += worker->had_jobs ? SEARCH_JOBS_NS : SEARCH_NS;
    uint32_t turn = 0;
    skua_task *task;
    while ((task = search_once(worker, false)) == NULL) {
        if (turn++ % HUNGRY_TURNS == 0)
            skuai_parallel_hunger(sched); /* no model test needs the step: as in guard.c */
        for (int i = 0; i < SEARCH_PAUSES; i++)
            skuai_env_pause(&sched->env); /* no model test needs the step: it spares the other processors */
        if (skuai_env_now(&sched->env) >= until)
            return search_once(worker, true);
    }
    return task;
}

/* P2's second look (idle.h). All deques: a push that saw us searching relied on it. */
static bool work_is_visible(const struct skuai_worker *worker)
{
    struct skuai_scheduler *sched = worker->sched;
    if (!skuai_inject_is_empty(&sched->inject))
        return true;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        if (skuai_deque_count(&sched->workers[i]->deque) != 0 || skuai_deque_count(&sched->workers[i]->inbox) != 0)
            return true;
    return false;
}

/* ---- sleeping ------------------------------------------------------------------------------------------------ */

static void tell_drained(struct skuai_scheduler *sched)
{
    uint32_t waiting = 1;
    /* Store buffering: { this worker's count of ends; drain } here, { drain; the counts } in runtime/shutdown.c. */
    skuai_fence(SKUAI_SEQ_CST);
    /* No model test needs the check: the exchange asks again, and the first spares the counting. */
    if (skuai_load_32(&sched->drain, SKUAI_RELAXED) != 1 || skuai_scheduler_live(sched) != 0)
        return;
    /* Release: all that the tasks did is seen by who waits for their end (acquire there). */
    if (skuai_cas_32(&sched->drain, &waiting, 2, SKUAI_RELEASE) && sched->env.sim == NULL)
        skuai_word_wake_real(&sched->drain); /* no model test runs this: the kernel's part */
}

/* Parks until there is a token, or until the timekeeper's timers have something to do. */
static void park(struct skuai_worker *worker)
{
    struct skuai_scheduler *sched = worker->sched;
    for (;;) {
        uint64_t until = skuai_idle_sleep_until(&sched->idle, worker->index, &sched->timer_next);
        skuai_count(&worker->counters.parks, 1);
        bool token;
        if (!worker->is_aside && /* K8 */
            skuai_poll_sleep(&sched->polls, worker->home, &worker->polled, &worker->parker, until, &token)) {
            skuai_count(&worker->counters.poller_parks, 1);
        } else {
            struct skuai_rest rest;
            bool is_endless = until == SKUA_NEVER && sched->env.sim == NULL;
            skuai_rest_begin(&rest, SKUAI_REST_WORKER, is_endless);
            token = skuai_env_park(&sched->env, &worker->parker, until);
            skuai_rest_end(&rest, SKUAI_REST_WORKER, is_endless);
        }
        if (token || worker->polled.count != 0)
            return;
        /* Has its time come? No model test needs the check: a needless return costs one look around. */
        if (skuai_idle_timekeeper(&sched->idle) == worker->index &&
            skuai_env_now(&sched->env) >= skuai_load_64(&sched->timer_next, SKUAI_RELAXED)) /* a bound; wheels decide */
            return;
    }
}

/* Enters the sleepers, looks once more. False: there is work. */
SKUAI_INLINE bool settle_down(struct skuai_worker *worker, bool searching)
{
    struct skuai_scheduler *sched = worker->sched;
    worker->had_jobs = false;
    skuai_slab_cache_trim(&worker->slab); /* no model test needs the step: memory goes back, no more */
    uint32_t awake = skuai_idle_settle(&sched->idle, worker->index, searching, &sched->timer_next);
    worker->is_aside = skuai_crowd_is_enough(&sched->crowd, awake); /* P6 */
    skuai_env_point(&sched->env, SKUAI_POINT_SETTLE);
    tell_drained(sched);
    return worker->is_aside ? skuai_inject_is_empty(&sched->inject) : !work_is_visible(worker);
}

/* Enters the sleepers, looks once more, sleeps. Returns whether the worker counts as searching now. */
static bool sleep_until_needed(struct skuai_worker *worker, bool searching, bool *woke)
{
    struct skuai_scheduler *sched = worker->sched;
    skuai_store_32(&worker->asleep, 1, SKUAI_RELAXED); /* a hint. No model test needs the step: it counts no time. */
    if (settle_down(worker, searching)) {
        skuai_trace(sched, &worker->trace, SKUAI_TRACE_SLEEP, 0, 0);
        SKUAI_PROBE1(sleep, worker->index);
        park(worker); /* a stopper leaves a token */
        skuai_trace(sched, &worker->trace, SKUAI_TRACE_AWAKE, 0, 0);
        SKUAI_PROBE1(awake, worker->index);
    }
    /* P4. Whether we were picked is decided by the set, not by the token: a token may be left over from a pick that a
     * second look had made needless, or come after we are gone; it then costs one look around, no more. */
    bool was_picked = !skuai_idle_leave(&sched->idle, worker->index);
    worker->had_events = false;
    skuai_store_32(&worker->asleep, 0, SKUAI_RELAXED); /* likewise. No model test needs the step. */
    *woke = deliver_polled(worker, &worker->counters.events_slept);
    worker->slept_for_events = *woke;
    return was_picked;
}

/* Whether to look into the poller before going to sleep, which is a look too. Others rely on the looks of one that is
 * not alone. One that is looks while its sleeps are short: then the next events are there already, and looking spares
 * the ceremony of sleeping (0.3 µs a batch; a web server's request costs 3 % less); else it would be a system call in
 * vain. No model test needs it: who looks in vain sleeps. */
static bool looks_first(struct skuai_worker *worker, uint64_t slept_at_ns)
{
    if (worker->slept_for_events)
        worker->looks_first = worker->checked_ns - slept_at_ns < SHORT_SLEEP_NS;
    worker->slept_for_events = false;
    return worker->sched->nworkers > 1 || worker->looks_first;
}

/* A hint: how many they are decides settling (P6). */
static uint32_t others_awake(const struct skuai_scheduler *sched)
{
    return sched->nworkers - skuai_idle_sleeping(&sched->idle) - 1;
}

/* Finds a task for a worker whose own queues are empty, however long it takes. NULL: the scheduler stops. */
static skua_task *find(struct skuai_worker *worker)
{
    struct skuai_scheduler *sched = worker->sched;
    bool searching = false, slept = false;
    bool woke = false; /* tasks, which lie in its own queues if no thief has taken them */
    skuai_trace(sched, &worker->trace, SKUAI_TRACE_SEEK, 0, 0);
    while (!worker->stopping) {
        skua_task *task = NULL;
        uint64_t slept_at_ns = worker->checked_ns;
        worker->checked_ns = skuai_env_now(&sched->env);
        skuai_worker_note_time(worker, worker->checked_ns); /* no model test needs the step: likewise */
        bool looks = looks_first(worker, slept_at_ns);
        /* P6. No model test needs the sequence, here and before the poller: a hint, and looks for different things. */
        bool goes_aside = !searching && worker->had_events && skuai_crowd_is_enough(&sched->crowd, others_awake(sched));
        if (worker->checked_ns >= skuai_load_64(&sched->timer_next, SKUAI_RELAXED)) { /* as in look_around */
            skuai_timers_run(sched, worker->checked_ns);
            woke = true;
        }
        if (!woke && looks && !goes_aside && (task = steal_left(worker)) == NULL) {
            woke = look_into_home(worker, worker->checked_ns);
            worker->looks_first = woke;
        }
        if (!woke && task == NULL && sched->polls.count > 1)
            woke = look_into_others(worker, worker->checked_ns);
        if (woke) {
            task = take_next_slot(worker);
            if (task == NULL) /* a thief took it; what was woken before it lies in the deque, and may fill it */
                task = take_own(worker);
            woke = false;
        }
        if (task == NULL && (searching || (!goes_aside && (searching = skuai_idle_search(&sched->idle)))))
            task = search(worker);
        else if (task == NULL)
            task = take_injected(worker);
        /* No model test needs the sequence: what is still queued at a stop has been given up already. */
        if (task != NULL) {
            /* P3; or P5, if the rest of a batch has come to our deque without our searching. No model test needs the
             * sequence: G2 comes after the exchange that took us out of the set, no more. */
            if (searching)
                skuai_idle_found(&sched->idle);
            if (skuai_awake_are_enough(sched) ? !skuai_inject_is_empty(&sched->inject) /* P6 */
                                              : searching || skuai_deque_count(&worker->deque) != 0)
                skuai_schedule_wake_one(sched);
            if (slept)
                skuai_guard_work_begins(sched);
            return task;
        }
        if (skuai_load_32(&sched->stage, SKUAI_RELAXED) == SKUAI_STAGE_STOP) /* says no more than that */
            return NULL;
        searching = sleep_until_needed(worker, searching, &woke);
        slept = true;
    }
    return NULL;
}

/* What a spare worker does if its own queues are empty, or if it is called (spares.h). */
static skua_task *seek_as_spare(struct skuai_worker *spare)
{
    struct skuai_scheduler *sched = spare->sched;
    skua_task *task;
    skuai_trace(sched, &spare->trace, SKUAI_TRACE_SEEK, 0, 0);
    spare->checked_ns = skuai_env_now(&sched->env);
    skuai_worker_note_time(spare, spare->checked_ns); /* no model test needs the step: for reports */
    if (spare->checked_ns >= skuai_load_64(&sched->timer_next, SKUAI_RELAXED)) /* as in look_around */
        skuai_timers_run(sched, spare->checked_ns);
    (void)look_into_others(spare, spare->checked_ns);
    if ((task = take_next_slot(spare)) != NULL || (task = take_own(spare)) != NULL || /* that has woken some */
        (task = take_injected(spare)) != NULL)
        return task;
    return steal_beyond(spare, 0, skuai_workers_all(sched), true);
}

static skua_task *find_as_spare(struct skuai_worker *spare)
{
    do {
        skua_task *task = skuai_spare_may_work(spare) ? seek_as_spare(spare) : NULL;
        if (task != NULL) {
            if (skuai_deque_count(&spare->deque) != 0)
                skuai_schedule_wake_one(spare->sched); /* P5 */
            return task;
        }
        tell_drained(spare->sched);
    } while (skuai_spare_rest(spare));
    return NULL;
}

/* ---- running ------------------------------------------------------------------------------------------------- */

void skuai_worker_end_task(struct skuai_worker *worker, skua_task *task)
{
    skuai_flow_ends(task);
    if (skuai_load_ptr(&task->more, SKUAI_RELAXED) != NULL) /* its runner's own */
        skuai_task_locals_destroy(task);
    /* Release: who counts this end has the spawns that came before it in view (skuai_scheduler_live). */
    skuai_store_64(&worker->counters.ended, skuai_load_64(&worker->counters.ended, SKUAI_RELAXED) + 1, SKUAI_RELEASE);
    worker->ending = true;
    enum skuai_end end;
    if (SKUAI_UNLIKELY(skuai_task_word_is_member(&task->word)))
        end = skuai_member_end(task) ? SKUAI_END_TOLD : SKUAI_END_KEPT;
    else
        end = skuai_join_end(task);
    worker->ending = false;
    if (end == SKUAI_END_UNSEEN && SKUAI_UNLIKELY(task->result < 0))
        skuai_count_failed(task);
    if (end != SKUAI_END_KEPT)
        skuai_task_free(task);
}

/* A task that is woken by the end of another is run next, without a turn in the slot, where nobody would have had the
 * time to steal it. It counts as if it had been there. */
bool skuai_worker_hand_over(struct skuai_worker *worker, skua_task *task)
{
    if (!worker->ending || worker->handover != NULL || worker->next_streak >= NEXT_STREAK)
        return false;
    worker->next_streak++;
    worker->handover = task;
    return true;
}

SKUAI_INLINE void run_task(struct skuai_worker *worker, skua_task *task)
{
    skuai_env_run_point(&worker->sched->env, &task->word);
    skuai_count(&worker->counters.polls, 1);
    skuai_trace_run(worker, task);
    SKUAI_PROBE2(task_run, worker->index, task);
    switch (task->run(worker, task)) {
    case SKUAI_RUN_WAITS:
        if (skuai_task_word_pause(&task->word) == SKUAI_TASK_ENQUEUE)
            skuai_schedule_last(worker, task);
        break;
    case SKUAI_RUN_YIELDS:
        skuai_schedule_last(worker, task);
        break;
    case SKUAI_RUN_ENDED:
        skuai_worker_end_task(worker, task);
        break;
    case SKUAI_RUN_SETTLED:
        break;
    }
}

/* ---- embedded (turn.c) --------------------------------------------------------------------------------------- */

/* Cold, so that what runs tasks elsewhere is compiled as if there were none of this: gcc inlines by how many callers a
 * function has, and a round trip of two fibers took an instruction in a hundred more. */

/* All that is looked at between tasks is looked at in each turn, or short ones would never come to it. No model test
 * needs the checks or the steps: they bound how long others wait behind tasks that are always ready. */
__attribute__((cold)) void skuai_worker_begin_turn(struct skuai_worker *worker, uint64_t now_ns, bool looks)
{
    worker->stopping = false;
    worker->checked_ns = now_ns;
    skuai_worker_note_time(worker, now_ns); /* no model test needs the step: for reports */
    worker->check_interval = worker->until_check = TURN_CHECK;
    if (now_ns >= skuai_load_64(&worker->sched->timer_next, SKUAI_RELAXED)) /* as in look_around() */
        skuai_timers_run(worker->sched, now_ns);
    if (looks)
        (void)look_into_home(worker, now_ns);
    fill_inbox(worker);
}

__attribute__((cold)) void skuai_worker_deliver_slept(struct skuai_worker *worker)
{
    (void)deliver_polled(worker, &worker->counters.events_slept);
}

/* Timers first, which may have become due in the turn. No model test needs the checks or the step: what is due when the
 * worker goes away makes the descriptor readable at once. */
__attribute__((cold)) skua_task *skuai_worker_find_here(struct skuai_worker *worker)
{
    struct skuai_scheduler *sched = worker->sched;
    uint64_t next = skuai_load_64(&sched->timer_next, SKUAI_RELAXED), now; /* as in look_around() */
    if (next != SKUA_NEVER && (now = skuai_env_now(&sched->env)) >= next) {
        skuai_timers_run(sched, now);
        skua_task *task = take_next_slot(worker);
        if (task != NULL || (task = take_own(worker)) != NULL)
            return task;
    }
    return take_injected(worker);
}

__attribute__((cold)) void skuai_worker_run(struct skuai_worker *worker, skua_task *task) { run_task(worker, task); }

/* No model test needs the second check: who goes away asks once more. */
__attribute__((cold)) bool skuai_worker_has_work(const struct skuai_worker *worker)
{
    return skuai_load_ptr(&worker->next, SKUAI_RELAXED) != NULL || work_is_visible(worker); /* its own slot */
}

__attribute__((cold)) bool skuai_worker_settle(struct skuai_worker *worker, bool searching)
{
    return settle_down(worker, searching);
}

/* ---- on a thread of its own ---------------------------------------------------------------------------------- */

/* The processor that the runtime has put it on. One that is not bound only begins there: a thread that sleeps is woken
 * where it was last, and where processors share no cache (many a virtual machine's) Linux looks for no idle one.
 * Workers that had begun on the same one waited for each other there for milliseconds. */
static void take_place(struct skuai_worker *worker)
{
    const struct skuai_scheduler *sched = worker->sched;
    if (worker->is_spare || sched->env.sim != NULL) /* no model test needs it, nor what follows: it is about time */
        return;
    int rc = skuai_topology_bind_self(&sched->topology, sched->cpu_of_worker[worker->index]);
    if (rc == 0 && !sched->bind)
        (void)skuai_topology_unbind_self(&sched->topology);
}

SKUAI_HOT void skuai_worker_main(void *arg)
{
    struct skuai_worker *worker = arg;
    skuai_worker_set_self(worker);
    struct skuai_overflow_thread signal_stack = { .mapping = NULL };
    if (worker->sched->env.sim == NULL) { /* a virtual thread's flow and signal stack are the simulation's */
        skuai_context_init_thread(&worker->base);
        if (skuai_overflow_thread_init(&signal_stack) < 0)
            skuai_log(worker->sched, SKUA_LOG_WARN,
                      "no signal stack for worker %u: an overflow there ends in a bare fault", worker->index);
        else
            skuai_watchdog_enter(worker);
    }
    worker->flow = &worker->base;
    take_place(worker);
    for (;;) {
        skua_task *task = worker->handover;
        worker->handover = NULL;
        if (task == NULL)
            task = skuai_worker_next_local(worker);
        if (task == NULL && (task = worker->is_spare ? find_as_spare(worker) : find(worker)) == NULL)
            break;
        run_task(worker, task);
    }
    if (SKUAI_UNLIKELY(worker->forked))
        skuai_die_forked();
    if (worker->sched->env.sim == NULL) {
        skuai_overflow_thread_fini(&signal_stack);
        skuai_context_fini(&worker->base);
    }
    skuai_worker_set_self(NULL);
    /* Release: what this worker's tasks did is seen by who reports about them (acquire in runtime/shutdown.c). No model
     * test needs the sequence: the wake's other half is the kernel's. */
    skuai_add_32(&worker->sched->stopped, 1, SKUAI_RELEASE);
    if (worker->sched->env.sim == NULL)
        skuai_word_wake_real(&worker->sched->stopped); /* no model test runs this: as in tell_drained */
}
