/* Timers: sleeping, and who looks when.
 *
 * Each worker has a wheel (timer_wheel.h); a sleep is armed in the wheel of the worker it starts on. sched->timer_next
 * is a lower bound of the earliest deadline of all wheels:
 *   T1 arm     into the wheel, under its lock; then lower timer_next to the deadline.
 *   T2 run     whoever finds that timer_next has come takes it to NEVER, *then* goes through all wheels, and lowers it
 *              to what is left. A timer armed before the exchange is seen in its wheel; one armed after it lowers it
 *              again. Litmus: store buffering, T1 { wheel's next; timer_next } against T2 { timer_next; wheel's next },
 *              all seq_cst. Model: tests/model/model_timers.c.
 *   T3 look    workers that are awake look at timer_next between tasks (worker.c); the timekeeper sleeps no longer than
 *              until then. A worker that arms is awake, and is asked for timer_next when it settles (idle.h).
 * An expired sleep is an op that completes (op.h): popping the timer under the wheel's lock is its claim.
 */
#include "sched/timers.h"

#include "sched/scheduler.h"
#include "sched/sim.h"
#include "sched/wait.h"
#include "skua/time.h"

enum {
    EXPIRE_BATCH = 64, /* timers taken under one hold of the lock */
    /* Where more than one in 4 µs expire, none is looked for sooner than 50 µs after the last look, which is how long
     * Linux lets a sleeper lie anyway. Else whoever looks finds one or two at a time, and never sleeps. */
    WINDOW_NS = 1000000,
    DENSE = 250,
    SLACK_NS = 50000,
    /* `op_offset` until the timer is armed: its deadline was reckoned from now just now, and needs no other look at the
     * clock. */
    AHEAD = 1
};

_Static_assert(offsetof(skua_op, owner) + sizeof(struct skuai_timer) <= sizeof(skua_sleep_op) &&
                   offsetof(skua_op, owner) + 3 * sizeof(void *) == sizeof(skua_op),
               "a sleep's timer lies over what the op does not need, and has room behind it");

static skua_op *op_of(struct skuai_timer *timer) { return (skua_op *)(void *)((char *)timer - timer->op_offset); }

static void lower(skua_word64 *next, uint64_t to_ns)
{
    /* SEQ_CST: T1's half of the litmus, for an old value that is low enough would leave NEVER standing. What the
     * exchange sees is newer. */
    uint64_t seen = skuai_load_64(next, SKUAI_SEQ_CST);
    /* Release: T2's scanner, who takes the value, sees the wheel as it was after arming. No model test needs the
     * acquire and release: the wheel is seen by its own seq_cst word, or under its lock. */
    while (to_ns < seen && !skuai_cas_64(next, &seen, to_ns, SKUAI_ACQ_REL))
        ;
}

void skuai_timers_init(struct skuai_scheduler *sched)
{
    /* Before the workers start. No model test needs the step: a bound that is too low only costs a look. */
    skuai_store_64(&sched->timer_next, SKUA_NEVER, SKUAI_RELAXED);
}

/* Completes the sleeps of a list. Their memory is gone after skuai_op_finish(). */
static void complete(struct skuai_timer *timer)
{
    while (timer != NULL) {
        struct skuai_timer *next = timer->next;
        skua_op *op = op_of(timer);
        const struct skuai_op_kind *kind = skuai_op_kind_of(op);
        if (kind->expired != NULL)
            kind->expired(op);
        skuai_op_finish(op, 0);
        timer = next;
    }
}

static uint32_t expire_batch(struct skuai_wheel *wheel, uint64_t now_ns, struct skuai_late_batch *late)
{
    struct skuai_timer_list due = { NULL, NULL };
    struct skuai_timer *kept = NULL, **tail = &kept;
    skuai_lock_acquire(&wheel->lock);
    uint32_t count = skuai_wheel_expire_locked(wheel, now_ns, &due, EXPIRE_BATCH);
    for (struct skuai_timer *timer = due.first, *next; timer != NULL; timer = next) {
        next = timer->next;
        skuai_late_note(late, timer->deadline_ns, now_ns);
        if (skuai_op_claim(op_of(timer))) { /* else an arm of a select that was decided: left alone */
            *tail = timer;
            tail = &timer->next;
        }
    }
    *tail = NULL;
    skuai_lock_release(&wheel->lock);
    complete(kept);
    return count;
}

/* Relaxed, all of it: hints, which two who run timers at once may spoil. No model test runs this: it counts no time. */
static bool are_dense(struct skuai_scheduler *sched, uint64_t expired, uint64_t now_ns)
{
    if (sched->env.sim != NULL)
        return false;
    uint64_t for_ns = now_ns - skuai_load_64(&sched->timers_since_ns, SKUAI_RELAXED);
    uint64_t count = skuai_load_64(&sched->timers_count, SKUAI_RELAXED) + expired;
    if (for_ns >= WINDOW_NS) {
        skuai_store_32(&sched->timers_dense, count >= DENSE && for_ns < 2 * WINDOW_NS, SKUAI_RELAXED);
        skuai_store_64(&sched->timers_since_ns, now_ns, SKUAI_RELAXED);
        count = 0;
    }
    skuai_store_64(&sched->timers_count, count, SKUAI_RELAXED);
    return skuai_load_32(&sched->timers_dense, SKUAI_RELAXED) != 0;
}

void skuai_timers_run(struct skuai_scheduler *sched, uint64_t now_ns)
{
    uint64_t left = SKUA_NEVER, expired = 0;
    struct skuai_late_batch late = { .sum_ns = 0 };
    /* T2. Acquire-release: pairs with lower(): timers armed before this are in their wheels. SEQ_CST: T2's half. */
    skuai_exchange_64(&sched->timer_next, SKUA_NEVER, SKUAI_SEQ_CST);
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++) {
        struct skuai_wheel *wheel = &sched->workers[i]->wheel;
        while (skuai_wheel_next_ns(wheel) <= now_ns)
            expired += expire_batch(wheel, now_ns, &late);
        uint64_t next = skuai_wheel_next_ns(wheel);
        left = next < left ? next : left;
    }
    /* No model test needs the step: none has so many. */
    if (are_dense(sched, expired, now_ns) && left < now_ns + SLACK_NS)
        left = now_ns + SLACK_NS;
    if (left != SKUA_NEVER)
        lower(&sched->timer_next, left);
    if (expired != 0) {
        struct skuai_worker *worker = skuai_worker_self();
        skuai_late_add(worker != NULL ? &worker->counters.timers : &sched->guard.timers, &late);
        skuai_trace(sched, worker != NULL ? &worker->trace : &sched->trace.guard, SKUAI_TRACE_TIMERS, 0, expired);
        SKUAI_PROBE1(timers, expired);
    }
}

bool skuai_sleep_disarm(skua_op *op, struct skuai_timer *timer)
{
    struct skuai_wheel *wheel = timer->wheel;
    if (wheel == NULL)
        return true; /* one that never ends was not armed */
    skuai_lock_acquire(&wheel->lock);
    /* Popped and still ARMED: the arm of a select that was decided elsewhere; its claim failed. */
    bool withdrawn = skuai_wheel_cancel_locked(timer) || skuai_op_state(op) == SKUAI_OP_ARMED;
    skuai_lock_release(&wheel->lock);
    return withdrawn;
}

static bool withdraw_sleep(skua_op *op) { return skuai_sleep_disarm(op, skuai_timer_of_sleep(op)); }

/* No model test runs this: it is T1 once more, of a timer that is in a wheel. */
void skuai_sleep_hasten(skua_op *op, struct skuai_timer *timer, uint64_t instant_ns, struct skuai_hastened *after)
{
    struct skuai_wheel *wheel = timer->wheel;
    if ((op->sink & SKUAI_SINK_TAGS) == SKUAI_SINK_THREAD)
        after->word = (skua_word32 *)(op->sink - SKUAI_SINK_THREAD);
    if (wheel == NULL)
        return;
    struct skuai_worker *worker = (void *)((char *)wheel - offsetof(struct skuai_worker, wheel));
    uint64_t now_ns = skuai_env_now(&worker->sched->env);
    instant_ns = instant_ns > now_ns ? instant_ns : now_ns; /* it is not late: it did not know before */
    skuai_lock_acquire(&wheel->lock);
    bool armed = skuai_timer_is_armed_locked(timer);
    if (armed)
        skuai_wheel_rearm_locked(wheel, timer, instant_ns);
    skuai_lock_release(&wheel->lock);
    if (!armed)
        return;
    lower(&worker->sched->timer_next, instant_ns);
    struct skuai_worker *self = skuai_worker_self();
    if (self != NULL && self->sched == worker->sched)
        return; /* it is awake, and is asked for timer_next when it settles */
    /* Ahead of DONE, which wants the caller's lock. Not by skuai_sink_hold(): a simulation may switch there. */
    skuai_rundown_enter_ahead(&worker->sched->holds);
    after->sched = worker->sched;
}

void skuai_sleep_hastened(const struct skuai_hastened *after)
{
    if (after->sched != NULL) {
        skuai_schedule_wake_one(after->sched);
        skuai_sink_unhold(after->sched);
    }
    if (after->word != NULL)
        skuai_word_wake_real(after->word);
}

static bool has_passed(struct skuai_worker *worker, uint64_t instant_ns)
{
    return instant_ns <= (worker != NULL ? skuai_env_now(&worker->sched->env) : skuai_clock_now());
}

void skuai_sleep_arm(struct skuai_worker *worker, skua_op *op, struct skuai_timer *timer)
{
    uint64_t instant_ns = timer->deadline_ns;
    skuai_op_arm_here(worker, op);
    if (instant_ns == SKUA_NEVER || worker == NULL) /* a plain thread looks at due_ns */
        return;
    timer->op_offset = (uint32_t)((char *)timer - (char *)op);
    skuai_lock_acquire(&worker->wheel.lock); /* T1 */
    /* No model test needs the sequence: most of the wheel is plain data, which the checker is not told of. */
    skuai_wheel_arm_locked(&worker->wheel, timer, instant_ns);
    skuai_lock_release(&worker->wheel.lock);
    lower(&worker->sched->timer_next, instant_ns);
}

static void start_sleep(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    struct skuai_timer *timer = skuai_timer_of_sleep(op);
    timer->wheel = NULL;
    if (timer->op_offset != AHEAD && has_passed(worker, timer->deadline_ns)) {
        if (skuai_op_claim_own(op))
            skuai_op_set_done(op, 0);
    } else if (may_wait) {
        skuai_sleep_arm(worker, op, timer);
    }
}

static uint64_t sleep_due_ns(const skua_op *op)
{
    return skuai_timer_of_sleep((skua_op *)(uintptr_t)op)->deadline_ns; /* it is only read */
}

static const struct skuai_op_kind sleep_kind = {
    .name = "skua_sleep", .start = start_sleep, .withdraw = withdraw_sleep, .due_ns = sleep_due_ns, .has_no_owner = true
};

skua_op *skuai_sleep_prepare(skua_op *op, uint64_t instant_ns)
{
    skuai_op_prepare(op, &sleep_kind, NULL);
    *skuai_timer_of_sleep(op) = (struct skuai_timer){ .deadline_ns = instant_ns };
    return op;
}

skua_op *skua_sleep_until_prepare(skua_sleep_op *op, uint64_t instant_ns)
{
    return skuai_sleep_prepare(&op->op, instant_ns);
}

skua_op *skua_sleep_prepare(skua_sleep_op *op, uint64_t duration_ns)
{
    return skua_sleep_until_prepare(op, skua_after(duration_ns));
}

skua_op *skua_sleep_until_start(skua_sleep_op *op, uint64_t instant_ns)
{
    return skuai_op_start(skua_sleep_until_prepare(op, instant_ns));
}

uint64_t skua_after(uint64_t duration_ns)
{
    uint64_t now = skua_now();
    return duration_ns < SKUA_NEVER - now ? now + duration_ns : SKUA_NEVER;
}

/* A sleep that is started at once. */
static skua_op *prepare_from_now(skua_sleep_op *op, uint64_t duration_ns)
{
    skua_sleep_prepare(op, duration_ns);
    skuai_timer_of_sleep(&op->op)->op_offset = duration_ns != 0 ? AHEAD : 0;
    return &op->op;
}

skua_op *skua_sleep_start(skua_sleep_op *op, uint64_t duration_ns)
{
    return skuai_op_start(prepare_from_now(op, duration_ns));
}

int skua_sleep_until(uint64_t instant_ns)
{
    skua_sleep_op op;
    return (int)skuai_call(skua_sleep_until_prepare(&op, instant_ns));
}

int skua_sleep(uint64_t duration_ns)
{
    skua_sleep_op op;
    return (int)skuai_call(prepare_from_now(&op, duration_ns));
}

uint64_t skua_now(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker != NULL && worker->sched->env.sim != NULL)
        skuai_sim_tick(worker->sched->env.sim);
    return worker != NULL ? skuai_env_now(&worker->sched->env) : skuai_clock_now();
}

uint64_t skua_random(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    return worker != NULL ? skuai_random_next(&worker->random) : skuai_entropy();
}
