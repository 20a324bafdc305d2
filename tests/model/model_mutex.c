/* The mutex (sync/mutex.c, M1 … M5): one at a time sees what the one before did; nobody who waits is forgotten, whoever
 * leaves meanwhile; and whoever was told to come, and came in vain, has it next. */
/* model-sources: sched/op.c sync/mutex.c */
/* model-defines: SKUAI_MODEL_FRESH=1 */
#include "skua/mutex.h"

#include "model/lock_world.h"
#include "sched/waiters.h"

enum { OVERTAKES = 1 }; /* by the one who had it just then */

static skua_mutex mutex;
static skua_op ops[MC_THREADS];
static struct skuai_select words[MC_THREADS];
static int inside, sections, tries, canceled;
static int guarded; /* plain, and the lock's */

/* By how many a waiter was overtaken since it came in vain, by thread. */
static int overtaken[MC_THREADS];
static bool owed[MC_THREADS];

static void section(void)
{
    mc_assert(inside++ == 0, "two are inside");
    for (unsigned i = 0; i < MC_THREADS; i++)
        if (owed[i] && i != mc.current)
            mc_assert(++overtaken[i] <= OVERTAKES, "overtaken too often");
    owed[mc.current] = false;
    overtaken[mc.current] = 0;
    SKUAI_WRITE(guarded, SKUAI_READ(guarded) + 1);
    sections++;
    inside--;
}

/* skua_mutex_lock(), with the op where the test sees it. */
static bool lock(void)
{
    skua_op *op = &ops[mc.current];
    if (skua_mutex_try_lock(&mutex) == 0)
        return true;
    skua_mutex_lock_prepare(op, &mutex);
    int64_t rc = skuai_call(op);
    canceled += rc == -ECANCELED;
    mc_assert(rc == 0 || rc == -ECANCELED, "another result");
    return rc == 0;
}

static void locks(void *arg)
{
    for (int i = 0; i < (int)(intptr_t)arg; i++) {
        if (!lock())
            continue;
        section();
        skua_mutex_unlock(&mutex);
    }
}

static void tries_it(void *arg)
{
    for (int i = 0; i < (int)(intptr_t)arg; i++) {
        if (skua_mutex_try_lock(&mutex) != 0)
            continue;
        tries++;
        section();
        skua_mutex_unlock(&mutex);
    }
}

static void selects(void *arg)
{
    (void)arg;
    skua_op *op = skua_mutex_lock_prepare(&ops[mc.current], &mutex);
    if (!world_select(op, &words[mc.current])) {
        canceled++;
        return;
    }
    section();
    skua_mutex_unlock(&mutex);
}

static void reset(void)
{
    world_reset();
    skua_mutex_init(&mutex);
    memset(ops, 0, sizeof ops);
    memset(words, 0, sizeof words);
    memset(overtaken, 0, sizeof overtaken);
    memset(owed, 0, sizeof owed);
    inside = sections = tries = canceled = guarded = 0;
    mc_name(&mutex.state, "state");
    mc_name(&mutex.lock, "lock");
    for (unsigned i = 0; i < MC_THREADS; i++)
        mc_name(&ops[i].state, "op%u", i);
}

static int expected;
static void finish(void)
{
    mc_assert(guarded == sections && sections == expected + tries - canceled, "a section was lost");
    mc_assert(mutex.state.raw == 0 && mutex.waiters.first == NULL && mutex.turn == 0, "it is not free at the end");
}

static void two_setup(void)
{
    reset();
    expected = 3;
    mc_thread(locks, (void *)2);
    mc_thread(locks, (void *)1);
}
MC_TEST(two, .setup = two_setup, .finish = finish, .bound = 4);

static void three_setup(void)
{
    reset();
    expected = 3;
    for (int i = 0; i < 3; i++)
        mc_thread(locks, (void *)1);
}
MC_TEST(three, .setup = three_setup, .finish = finish);

/* One of two waiters is interrupted at any step, his turn included. */
static void interrupted_setup(void)
{
    three_setup();
    world_canceled[2] = WORLD_MAY_BE;
}
MC_TEST(interrupted, .setup = interrupted_setup, .finish = finish, .stale = 2);

static void both_interrupted_setup(void)
{
    interrupted_setup();
    world_canceled[3] = WORLD_MAY_BE;
}
MC_TEST(both_interrupted, .setup = both_interrupted_setup, .finish = finish, .stale = 2, .max_executions = 300000);

/* Somebody takes it in between, as often as he likes. */
static void barging_setup(void)
{
    reset();
    expected = 2;
    mc_thread(locks, (void *)1);
    mc_thread(locks, (void *)1);
    mc_thread(tries_it, (void *)3);
}
MC_TEST(barging, .setup = barging_setup, .finish = finish, .stale = 2, .max_executions = 300000);

static void barging_interrupted_setup(void)
{
    barging_setup();
    world_canceled[2] = WORLD_MAY_BE;
}
MC_TEST(barging_interrupted, .setup = barging_interrupted_setup, .finish = finish, .stale = 2);

static void selecting_setup(void)
{
    reset();
    expected = 3;
    mc_thread(locks, (void *)1);
    mc_thread(selects, NULL);
    mc_thread(locks, (void *)1);
    world_canceled[2] = world_canceled[3] = WORLD_MAY_BE;
}
MC_TEST(selecting, .setup = selecting_setup, .finish = finish, .stale = 2, .max_executions = 300000);

/* By the other calls, which do without an op where they can; once each, as some of those lie on the stack. */
static void calls(void *arg)
{
    (void)arg;
    mc_assert(skua_mutex_lock(&mutex) == 0, "another result");
    section();
    skua_mutex_unlock(&mutex);
}
static void calls_until(void *arg)
{
    (void)arg;
    int rc = skua_mutex_lock_until(&mutex, 1);
    mc_assert(rc == 0 || rc == -ECANCELED, "another result");
    if (rc < 0) {
        canceled++;
        return;
    }
    section();
    skua_mutex_unlock(&mutex);
}
static void starts(void *arg)
{
    (void)arg;
    mc_assert(world_started(skua_mutex_lock_start(&ops[mc.current], &mutex)) == 0, "another result");
    section();
    skua_mutex_unlock(&mutex);
}
static void other_calls_setup(void)
{
    reset();
    expected = 3;
    mc_thread(calls, NULL);
    mc_thread(calls_until, NULL);
    mc_thread(starts, NULL);
    world_canceled[2] = WORLD_MAY_BE;
}
MC_TEST(other_calls, .setup = other_calls_setup, .finish = finish, .stale = 1, .max_executions = 150000);

/* What one thread can see. */
static void misuses(void *arg)
{
    static skua_op op;
    (void)arg;
    world_misuses_wanted = 5;
    skua_mutex_fini(&mutex);
    mc_assert(world_misuses == 0 && !skua_mutex_is_locked(&mutex), "it is free");
    skua_mutex_unlock(&mutex);
    mc_assert(world_misuses == 1 && !skua_mutex_is_locked(&mutex), "nobody holds it");
    skua_mutex_assert_held(&mutex);
    mc_assert(world_misuses == 2, "nobody holds it");
    mc_assert(skua_mutex_try_lock(&mutex) == 0 && skua_mutex_is_locked(&mutex), "it is free");
    mc_assert(skua_mutex_try_lock(&mutex) == -EAGAIN, "it is not free");
    skua_mutex_assert_held(&mutex);
    mc_assert(world_misuses == 2, "it is held");
    skua_mutex_fini(&mutex);
    mc_assert(world_misuses == 3, "it is held");
    skua_mutex_unlock(&mutex);
    mutex.turn = 1;
    skua_mutex_fini(&mutex);
    mc_assert(world_misuses == 4, "somebody is told to come");
    mutex.turn = 0;
    world_canceled[mc.current] = WORLD_IS;
    int rc = skua_mutex_lock(&mutex);
    mc_assert(rc == (world_at_once[mc.current] ? 0 : -ECANCELED), "it is asked whether a call may be short");
    if (rc == 0)
        skua_mutex_unlock(&mutex);
    op.next = op.prev = NULL;
    skuai_waiters_append(&mutex.waiters, &op);
    skua_mutex_fini(&mutex);
    mc_assert(world_misuses == 5, "somebody waits");
}
static void misused_setup(void)
{
    reset();
    mc_thread(misuses, NULL);
}
MC_TEST(misused, .setup = misused_setup);

/* Whoever finds himself the last user gives the memory back: the others' unlocks are over by then. */
static int users;
static void last_frees(void *arg)
{
    (void)arg;
    if (!lock())
        skua_mutex_lock_shielded(&mutex);
    section();
    bool last = --users == 0;
    skua_mutex_unlock(&mutex);
    if (last)
        mc_free(&mutex, sizeof mutex);
}
static void freed_finish(void) { mc_assert(!world_has_shields(), "a shield was not left"); }
static void freed_setup(void)
{
    reset();
    users = 3;
    for (int i = 0; i < 3; i++)
        mc_thread(last_frees, NULL);
    world_canceled[2] = WORLD_MAY_BE;
}
MC_TEST(the_last_one_frees, .setup = freed_setup, .finish = freed_finish, .stale = 1, .max_executions = 300000);

/* The world's, told apart by thread: who is woken to come again. */
static void sees_turns(void *arg)
{
    skua_op *op = &ops[mc.current];
    if (skua_mutex_try_lock(&mutex) != 0) {
        skua_mutex_lock_prepare(op, &mutex);
        skuai_op_start(op);
        for (enum skuai_op_state state; (state = skuai_op_state(op)) != SKUAI_OP_DONE;) {
            if (state == SKUAI_OP_AGAIN) {
                mc_yield(); /* others go first */
                world_kind(op)->start(NULL, op, true);
                owed[mc.current] = skuai_op_state(op) != SKUAI_OP_DONE;
            } else {
                mc_futex_wait(&op->state, (uint32_t)state);
            }
        }
        mc_free(op, sizeof *op);
    }
    section();
    skua_mutex_unlock(&mutex);
    (void)arg;
}
static void bounded_setup(void)
{
    reset();
    expected = 1 + 4;
    mc_thread(sees_turns, NULL);
    mc_thread(locks, (void *)4);
}
MC_TEST(overtaking_is_bounded, .setup = bounded_setup, .finish = finish, .bound = 4, .stale = 2);

/* Known wrong: who leaves takes his turn with him. */
static void leaves_with_turn(void *arg)
{
    (void)arg;
    skua_op *op = skua_mutex_lock_prepare(&ops[mc.current], &mutex);
    skuai_op_start(op);
    for (enum skuai_op_state state; (state = skuai_op_state(op)) != SKUAI_OP_DONE && state != SKUAI_OP_AGAIN;)
        mc_futex_wait(&op->state, (uint32_t)state);
    if (skuai_op_state(op) == SKUAI_OP_AGAIN) {
        canceled++;
        return;
    }
    section();
    skua_mutex_unlock(&mutex);
}
static void forgets_setup(void)
{
    reset();
    expected = 3;
    mc_thread(locks, (void *)1);
    mc_thread(leaves_with_turn, NULL);
    mc_thread(locks, (void *)1);
}
MC_TEST_MUST_FAIL(who_leaves_with_his_turn, "not free at the end", .setup = forgets_setup, .finish = finish);
