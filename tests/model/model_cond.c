/* The condition variable (sync/cond.c, V1 … V3) with the real mutex: no signal is missed between leaving the mutex and
 * waiting, none is lost with a waiter who is interrupted, and whoever comes out holds the mutex. */
/* model-sources: sched/op.c sync/mutex.c sync/cond.c */
/* model-defines: SKUAI_MODEL_FRESH=1 */
#include "skua/cond.h"

#include "model/lock_world.h"
#include "sched/waiters.h"

static skua_mutex mutex;
static skua_cond cond;
static int items, taken, canceled, inside;

/* A future waits as its thread does. */
enum skua_poll skuai_await_op(skua_frame *frame, skua_op *op)
{
    (void)frame;
    (void)skua_await(op);
    return SKUA_DONE;
}
enum skua_poll skuai_await_child(skua_frame *frame, skua_frame *child)
{
    (void)frame;
    (void)child;
    mc_fail("it awaits no future");
}
int64_t skua_await_until(skua_op *op, uint64_t instant_ns) { (void)instant_ns; return skua_await(op); }

/* Ops on stacks may lie where others have lain, but not across them: this one is deeper than those of waits. */
static __attribute__((noinline)) void lock_deep(void)
{
    char room[1024];
    __asm__ volatile("" : : "r"(room) : "memory");
    skua_mutex_lock_shielded(&mutex);
    __asm__ volatile("" : : "r"(room) : "memory");
}

static void enter(void) { mc_assert(inside++ == 0, "two are inside"); }
static void leave(void) { inside--; }

enum how { WAITS, WAITS_UNTIL, AS_FUTURE };
static enum how hows[MC_THREADS];
static skua_cond_waiting waitings[MC_THREADS];
static int wait_here(void)
{
    skua_cond_waiting *waiting = &waitings[mc.current];
    switch (hows[mc.current]) {
    case WAITS:
        return skua_cond_wait(&cond, &mutex);
    case WAITS_UNTIL:
        return skua_cond_wait_until(&cond, &mutex, 1);
    case AS_FUTURE: {
        skua_frame *frame = skua_cond_wait_start(waiting, &cond, &mutex);
        mc_assert(frame->poll(frame) == SKUA_DONE, "it waits for nothing else");
        return (int)SKUA_RESULT(waiting);
    }
    }
    mc_fail("no such wait");
}

/* Cancelled, it leaves without an item; but an item that it was signalled for it takes. */
static inline __attribute__((always_inline)) bool takes_one(void)
{
    int rc = 0;
    lock_deep();
    enter();
    while (SKUAI_READ(items) == 0 && rc == 0) {
        leave();
        rc = wait_here();
        enter();
        mc_assert(skua_mutex_is_locked(&mutex), "it came out without the mutex");
        mc_assert(rc == 0 || rc == -ECANCELED, "another result");
    }
    if (rc == 0) {
        SKUAI_WRITE(items, SKUAI_READ(items) - 1);
        taken++;
    } else {
        canceled++;
    }
    leave();
    skua_mutex_unlock(&mutex);
    return rc == 0;
}
static void takes(void *arg)
{
    (void)arg;
    (void)takes_one();
}

static bool outside; /* it signals after it has left the mutex */
static void gives(void *arg)
{
    for (int i = 0; i < (int)(intptr_t)arg; i++) {
        lock_deep();
        enter();
        SKUAI_WRITE(items, SKUAI_READ(items) + 1);
        leave();
        if (!outside)
            skua_cond_signal(&cond);
        skua_mutex_unlock(&mutex);
        if (outside)
            skua_cond_signal(&cond);
    }
}

static void gives_to_all(void *arg)
{
    lock_deep();
    SKUAI_WRITE(items, (int)(intptr_t)arg);
    skua_cond_broadcast(&cond);
    skua_mutex_unlock(&mutex);
}

static void reset(void)
{
    world_reset();
    skua_mutex_init(&mutex);
    skua_cond_init(&cond);
    items = taken = canceled = inside = 0;
    outside = false;
    memset(hows, 0, sizeof hows);
    memset(waitings, 0, sizeof waitings);
    mc_name(&mutex.state, "mutex");
    mc_name(&mutex.lock, "mutex.lock");
    mc_name(&cond.lock, "cond.lock");
}

static void finish(void)
{
    skua_cond_fini(&cond);
    mc_assert(!world_has_shields(), "a shield was not left");
    mc_assert(cond.waiters.first == NULL && mutex.state.raw == 0, "somebody waits for ever");
    mc_assert(taken + canceled == 2 && items == canceled, "an item was lost");
}

static void one_by_one_setup(void)
{
    reset();
    mc_thread(takes, NULL);
    mc_thread(takes, NULL);
    mc_thread(gives, (void *)2);
}
MC_TEST(one_by_one, .setup = one_by_one_setup, .finish = finish, .stale = 1, .max_executions = 150000);

static void outside_setup(void)
{
    one_by_one_setup();
    outside = true;
}
MC_TEST(signalled_from_outside, .setup = outside_setup, .finish = finish, .stale = 1, .max_executions = 150000);

static void broadcast_setup(void)
{
    reset();
    mc_thread(takes, NULL);
    mc_thread(takes, NULL);
    mc_thread(gives_to_all, (void *)2);
}
MC_TEST(all_at_once, .setup = broadcast_setup, .finish = finish, .stale = 1, .max_executions = 150000);

/* One item and one signal, and two who wait: the first may be interrupted, or else puts the item back and signals
 * again. The second has it in the end; he waits for ever if the signal was lost with the first. */
static void takes_and_returns(void *arg)
{
    if (!takes_one())
        return;
    (void)arg;
    lock_deep();
    SKUAI_WRITE(items, SKUAI_READ(items) + 1);
    skua_cond_signal(&cond);
    skua_mutex_unlock(&mutex);
}
static void interrupted_finish(void)
{
    mc_assert(!world_has_shields(), "a shield was not left");
    mc_assert(cond.waiters.first == NULL && mutex.state.raw == 0, "somebody waits for ever");
    mc_assert(items == 0 && taken + canceled == 2, "an item was lost");
}
static void interrupted_setup(void)
{
    reset();
    mc_thread(takes_and_returns, NULL);
    mc_thread(takes, NULL);
    mc_thread(gives, (void *)1);
    world_canceled[1] = WORLD_MAY_BE;
}
MC_TEST(interrupted, .setup = interrupted_setup, .finish = interrupted_finish, .stale = 1, .max_executions = 150000);

static void until_setup(void)
{
    interrupted_setup();
    hows[1] = WAITS_UNTIL;
}
static void future_setup(void)
{
    interrupted_setup();
    hows[1] = AS_FUTURE;
}
static void futures_setup(void)
{
    one_by_one_setup();
    hows[1] = hows[2] = AS_FUTURE;
}
MC_TEST(until, .setup = until_setup, .finish = interrupted_finish, .stale = 1, .max_executions = 150000);
MC_TEST(future_interrupted, .setup = future_setup, .finish = interrupted_finish, .stale = 1, .max_executions = 150000);
MC_TEST(futures, .setup = futures_setup, .finish = finish, .stale = 1, .max_executions = 150000);

/* What finds misuse finds it. */
static void misuses(void *arg)
{
    skua_cond_waiting *waiting = &waitings[1];
    static skua_op op;
    (void)arg;
    world_misuses_wanted = 3;
    mc_assert(skua_cond_wait(&cond, &mutex) == -EPERM && world_misuses == 1, "nobody holds the mutex");
    skua_frame *frame = skua_cond_wait_start(waiting, &cond, &mutex);
    mc_assert(frame->poll(frame) == SKUA_DONE && SKUA_RESULT(waiting) == -EPERM && world_misuses == 2, "nor now");
    mc_assert(cond.waiters.first == NULL && mutex.state.raw == 0, "it is left as it was");
    skua_cond_fini(&cond);
    mc_assert(world_misuses == 2, "nobody waits");
    op.next = op.prev = NULL;
    skuai_waiters_append(&cond.waiters, &op);
    skua_cond_fini(&cond);
    mc_assert(world_misuses == 3, "somebody waits");
}
static void misused_setup(void)
{
    reset();
    mc_thread(misuses, NULL);
}
MC_TEST(misused, .setup = misused_setup);

/* Known wrong: the mutex is left before the op is linked. */
static void leaves_first(void *arg)
{
    (void)arg;
    lock_deep();
    while (SKUAI_READ(items) == 0) {
        skua_mutex_unlock(&mutex);
        lock_deep();
        int rc = skua_cond_wait(&cond, &mutex);
        mc_assert(rc == 0, "interrupted");
    }
    skua_mutex_unlock(&mutex);
}
static void leaves_first_setup(void)
{
    reset();
    mc_thread(leaves_first, NULL);
    mc_thread(gives, (void *)1);
}
MC_TEST_MUST_FAIL(the_mutex_is_left_first, "deadlock", .setup = leaves_first_setup);
