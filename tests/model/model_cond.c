/* The condition variable (sync/cond.c, V1 … V3) with the real mutex: no signal is missed between leaving the mutex and
 * waiting, none is lost with a waiter who is interrupted, and whoever comes out holds the mutex. */
/* model-sources: sched/op.c sync/mutex.c sync/cond.c */
/* model-defines: SKUAI_MODEL_FRESH=1 */
#include "skua/cond.h"

#include "model/lock_world.h"

static skua_mutex mutex;
static skua_cond cond;
static int items, taken, canceled, inside;

enum skua_poll skuai_await_op(skua_frame *frame, skua_op *op) { (void)frame; (void)op; mc_fail("no futures here"); }
enum skua_poll skuai_await_child(skua_frame *frame, skua_frame *child)
{
    (void)frame;
    (void)child;
    mc_fail("no futures here");
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

/* Cancelled, it leaves without an item; but an item that it was signalled for it takes. */
static inline __attribute__((always_inline)) bool takes_one(void)
{
    int rc = 0;
    lock_deep();
    enter();
    while (SKUAI_READ(items) == 0 && rc == 0) {
        leave();
        rc = skua_cond_wait(&cond, &mutex);
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
    mc_name(&mutex.state, "mutex");
    mc_name(&mutex.lock, "mutex.lock");
    mc_name(&cond.lock, "cond.lock");
}

static void finish(void)
{
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
