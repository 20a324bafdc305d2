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
#define _GNU_SOURCE
#include "sched/scheduler.h"
#include "sched/sim.h"
#include "skua/time.h"

#include <errno.h>
#include <time.h>

enum { EXPIRE_BATCH = 64 }; /* timers taken under one hold of the lock */

struct sleep_op {
    skua_op op;
    struct skuai_timer timer;
};
_Static_assert(sizeof(struct sleep_op) <= sizeof(skua_sleep_op), "skua_sleep_op has room for the timer");

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
        struct sleep_op *sleep = (struct sleep_op *)(void *)((char *)timer - offsetof(struct sleep_op, timer));
        skuai_op_finish(&sleep->op, 0);
        timer = next;
    }
}

static uint32_t expire_batch(struct skuai_wheel *wheel, uint64_t now_ns)
{
    struct skuai_timer_list due = { NULL, NULL };
    struct skuai_timer *kept = NULL, **tail = &kept;
    skuai_lock_acquire(&wheel->lock);
    uint32_t count = skuai_wheel_expire_locked(wheel, now_ns, &due, EXPIRE_BATCH);
    for (struct skuai_timer *timer = due.first, *next; timer != NULL; timer = next) {
        struct sleep_op *sleep = (struct sleep_op *)(void *)((char *)timer - offsetof(struct sleep_op, timer));
        next = timer->next;
        if (skuai_op_claim(&sleep->op)) { /* else an arm of a select that was decided: left alone */
            *tail = timer;
            tail = &timer->next;
        }
    }
    *tail = NULL;
    skuai_lock_release(&wheel->lock);
    complete(kept);
    return count;
}

void skuai_timers_run(struct skuai_scheduler *sched, uint64_t now_ns)
{
    uint64_t left = SKUA_NEVER, expired = 0;
    /* T2. Acquire-release: pairs with lower(): timers armed before this are in their wheels. SEQ_CST: T2's half. */
    skuai_exchange_64(&sched->timer_next, SKUA_NEVER, SKUAI_SEQ_CST);
    for (uint32_t i = 0; i < sched->nworkers; i++) {
        struct skuai_wheel *wheel = &sched->workers[i]->wheel;
        while (skuai_wheel_next_ns(wheel) <= now_ns)
            expired += expire_batch(wheel, now_ns);
        uint64_t next = skuai_wheel_next_ns(wheel);
        left = next < left ? next : left;
    }
    if (left != SKUA_NEVER)
        lower(&sched->timer_next, left);
    struct skuai_worker *worker = skuai_worker_self();
    if (worker != NULL)
        skuai_count(&worker->counters.timers, expired);
}

static bool withdraw_sleep(skua_op *op)
{
    struct sleep_op *sleep = (struct sleep_op *)(void *)op;
    struct skuai_wheel *wheel = sleep->timer.wheel;
    if (wheel == NULL)
        return true; /* one that never ends was not armed */
    skuai_lock_acquire(&wheel->lock);
    /* Popped and still ARMED: the arm of a select that was decided elsewhere; its claim failed. */
    bool withdrawn = skuai_wheel_cancel_locked(&sleep->timer) || skuai_op_state(op) == SKUAI_OP_ARMED;
    skuai_lock_release(&wheel->lock);
    return withdrawn;
}

static const struct skuai_op_kind sleep_kind = { .name = "skua_sleep", .withdraw = withdraw_sleep };

skua_op *skua_sleep_until_start(skua_sleep_op *public_op, uint64_t instant_ns)
{
    struct sleep_op *sleep = (struct sleep_op *)(void *)public_op;
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL || worker->task == NULL)
        return skuai_op_set_done(&sleep->op, skuai_misuse("skua_sleep_start", "was called outside of a task",
                                                          "a plain thread calls skua_sleep()"));
    if (skuai_cancel_pending(worker))
        return skuai_op_set_done(&sleep->op, -ECANCELED);
    if (instant_ns <= skuai_env_now(&worker->sched->env))
        return skuai_op_set_done(&sleep->op, 0);
    skuai_op_arm_here(worker, &sleep->op, &sleep_kind, worker);
    sleep->timer = (struct skuai_timer){ .wheel = NULL };
    if (instant_ns == SKUA_NEVER)
        return &sleep->op;
    skuai_lock_acquire(&worker->wheel.lock); /* T1 */
    /* No model test needs the sequence: most of the wheel is plain data, which the checker is not told of. */
    skuai_wheel_arm_locked(&worker->wheel, &sleep->timer, instant_ns);
    skuai_lock_release(&worker->wheel.lock);
    lower(&worker->sched->timer_next, instant_ns);
    return &sleep->op;
}

uint64_t skua_after(uint64_t duration_ns)
{
    uint64_t now = skua_now();
    return duration_ns < SKUA_NEVER - now ? now + duration_ns : SKUA_NEVER;
}

skua_op *skua_sleep_start(skua_sleep_op *op, uint64_t duration_ns)
{
    return skua_sleep_until_start(op, skua_after(duration_ns));
}

static int sleep_as_thread(uint64_t instant_ns)
{
    const uint64_t longest_s = UINT64_C(1) << 40; /* what every time_t and the kernel take */
    uint64_t seconds = instant_ns / SKUA_S;
    struct timespec until = { .tv_sec = (time_t)(seconds < longest_s ? seconds : longest_s),
                              .tv_nsec = (long)(instant_ns % SKUA_S) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
    return 0;
}

int skua_sleep_until(uint64_t instant_ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL)
        return sleep_as_thread(instant_ns);
    if (worker->polling != 0)
        return skuai_misuse("skua_sleep", "was called inside a future's body",
                            "use SKUA_AWAIT with skua_sleep_start()");
    skua_sleep_op op;
    return (int)skua_await(skua_sleep_until_start(&op, instant_ns));
}

int skua_sleep(uint64_t duration_ns) { return skua_sleep_until(skua_after(duration_ns)); }

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
