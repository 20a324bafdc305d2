/* Tasks as their users see them: fibers, handles, cancellation, shields, names, locals, wakers. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/with_runtime.h"

static int forty_two(void *arg)
{
    (void)arg;
    return 42;
}

static int yields_then_returns(void *arg)
{
    for (int i = 0; i < 10; i++)
        skua_yield();
    return (int)(intptr_t)arg;
}

static int sleeps_for_ever(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_NEVER);
}

static int spawn_and_join(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&task, forty_two, NULL));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 42);
    skua_task *many[100];
    for (intptr_t i = 0; i < 100; i++)
        CHECK_OK(skua_spawn(&many[i], yields_then_returns, (void *)i));
    for (int i = 99; i >= 0; i--) {
        CHECK_OK(skua_join(many[i], &result));
        CHECK_EQ(result, i);
    }
    return 0;
}
TEST(spawn_and_join) { run_everywhere(spawn_and_join, NULL); }

static int count_down(void *arg)
{
    int *left = arg;
    __atomic_fetch_sub(left, 1, __ATOMIC_RELEASE);
    return 0;
}

static int detach(void *arg)
{
    (void)arg;
    int left = 300;
    skua_task *task;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(skua_go(count_down, &left));
        CHECK_OK(skua_spawn(&task, count_down, &left));
        skua_detach(task);
        CHECK_OK(skua_spawn(&task, count_down, &left));
        for (int j = i % 5; j > 0; j--)
            skua_yield();
        skua_detach(task);
    }
    while (__atomic_load_n(&left, __ATOMIC_ACQUIRE) != 0)
        skua_yield();
    return 0;
}
TEST(detach_before_and_after_the_end) { run_everywhere(detach, NULL); }

static int cancel_sleeper(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&task, sleeps_for_ever, NULL));
    skua_yield();
    skua_cancel(task);
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(skua_spawn(&task, sleeps_for_ever, NULL)); /* cancelled before it begins, perhaps */
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}
TEST(cancel_wakes_a_sleeper) { run_everywhere(cancel_sleeper, NULL); }

static int shielded(void *arg)
{
    int *slept = arg;
    {
        SKUA_SHIELD();
        for (int i = 0; i < 3; i++) {
            SKUA_SHIELD();
            if (i == 1)
                continue;
            CHECK(!skua_interrupted());
            CHECK_EQ(skua_sleep(SKUA_MS), 0);
            ++*slept;
        }
    }
    CHECK(skua_interrupted());
    CHECK_EQ(skua_sleep(SKUA_S * 1000), -ECANCELED); /* level-triggered: again and again */
    CHECK_EQ(skua_yield(), -ECANCELED);
    CHECK_EQ(skua_park(), -ECANCELED);
    return skua_sleep(0);
}

static int shield(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = 0;
    int slept = 0;
    CHECK_OK(skua_spawn(&task, shielded, &slept));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(slept, 2);
    return 0;
}
TEST(shield_masks_cancellation) { run_everywhere(shield, NULL); }

static int joins(void *arg)
{
    int64_t result = 7;
    return skua_join(arg, &result);
}

static int cancel_a_join(void *arg)
{
    (void)arg;
    skua_task *inner, *outer;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&inner, sleeps_for_ever, NULL));
    CHECK_OK(skua_spawn(&outer, joins, inner));
    skua_yield();
    skua_cancel(outer);
    CHECK_OK(skua_join(outer, &result));
    CHECK_EQ(result, -ECANCELED);
    skua_cancel(inner); /* the handle was kept */
    CHECK_OK(skua_join(inner, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(skua_join(skua_self(), NULL), -EDEADLK);
    return 0;
}
TEST(cancelled_join_keeps_the_handle) { run_everywhere(cancel_a_join, NULL); }

static int destroyed;
static void destroy_value(void *value)
{
    CHECK(value == &destroyed);
    __atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
}
static skua_local key = SKUA_LOCAL_INIT(destroy_value), other = SKUA_LOCAL_INIT(NULL), more[10];

static int uses_locals(void *arg)
{
    (void)arg;
    CHECK(skua_local_get(&key) == NULL);
    CHECK_OK(skua_local_set(&key, &destroyed));
    CHECK_OK(skua_local_set(&other, &key));
    for (int i = 0; i < 10; i++)
        CHECK_OK(skua_local_set(&more[i], &more[i]));
    for (int i = 0; i < 20; i++) {
        skua_yield();
        CHECK(skua_local_get(&key) == &destroyed);
        CHECK(skua_local_get(&other) == &key);
        CHECK(skua_local_get(&more[i % 10]) == &more[i % 10]);
    }
    return 0;
}

static int locals_and_names(void *arg)
{
    (void)arg;
    skua_task *tasks[8];
    char name[32];
    destroyed = 0;
    skua_spawn_attr attr = { .name = "a name that is much longer than thirty-one bytes" };
    for (int i = 0; i < 8; i++) {
        CHECK_OK(skua_spawn_with(&tasks[i], &attr, uses_locals, NULL));
        CHECK_EQ(skua_task_name(tasks[i], name, sizeof name), 31);
        CHECK_STR(name, "a name that is much longer than");
    }
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    CHECK_EQ(destroyed, 8);
    CHECK_EQ(skua_task_name(skua_self(), name, sizeof name), 0);
    CHECK_OK(skua_self_set_name("renamed"));
    CHECK_EQ(skua_task_name(skua_self(), name, 4), 3);
    CHECK_STR(name, "ren");
    return 0;
}
TEST(locals_and_names) { run_everywhere(locals_and_names, NULL); }

struct parked {
    skua_waker waker;
    int ready, go;
};

static int parks(void *arg)
{
    struct parked *parked = arg;
    parked->waker = skua_waker_self();
    __atomic_store_n(&parked->ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&parked->go, __ATOMIC_ACQUIRE))
        CHECK_EQ(skua_park(), 0);
    return 5;
}

static int wakers(void *arg)
{
    (void)arg;
    struct parked parked = { .ready = 0 };
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&task, parks, &parked));
    while (!__atomic_load_n(&parked.ready, __ATOMIC_ACQUIRE))
        skua_yield();
    skua_wake(parked.waker); /* too early: a wake without its condition */
    skua_yield();
    __atomic_store_n(&parked.go, 1, __ATOMIC_RELEASE);
    skua_wake(parked.waker);
    skua_wake(parked.waker);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 5);
    skua_wake(parked.waker); /* after the end: nothing, also if its slot is another task's by now */
    CHECK_OK(skua_spawn(&task, sleeps_for_ever, NULL));
    skua_wake(parked.waker);
    skua_cancel(task);
    CHECK_OK(skua_join(task, NULL));
    skua_wake((skua_waker){ .task = NULL });
    return 0;
}
TEST(wakers_before_during_and_after) { run_everywhere(wakers, NULL); }

struct outside {
    skua_runtime *rt;
    int64_t sum;
};

static void *from_outside(void *arg)
{
    struct outside *outside = arg;
    skua_spawn_attr attr = { .runtime = outside->rt };
    for (int i = 0; i < 50; i++) {
        skua_task *task;
        int64_t result;
        CHECK_OK(skua_spawn_with(&task, &attr, forty_two, NULL));
        CHECK_OK(skua_join(task, &result));
        __atomic_fetch_add(&outside->sum, result + skua_block_on(outside->rt, yields_then_returns, (void *)1),
                           __ATOMIC_RELAXED);
    }
    return NULL;
}

TEST(threads_outside_spawn_join_and_block_on)
{
    skua_runtime *rt;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 3 }));
    struct outside outside = { .rt = rt };
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, from_outside, &outside), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(outside.sum, 6 * 50 * 43);
    CHECK_OK(skua_runtime_destroy(rt));
}

TEST(outside_of_a_task)
{
    CHECK(skua_self() == NULL);
    CHECK(skua_runtime_self() == NULL);
    CHECK(!skua_interrupted());
    CHECK_EQ(skua_go(forty_two, NULL), -EINVAL);
    CHECK_EQ(skua_park(), -EPERM);
    {
        SKUA_SHIELD(); /* nothing can be cancelled here: does nothing */
        CHECK_EQ(skua_interrupted(), 0);
    }
    CHECK_STR(skua_version(), "0.1.0");
    CHECK_EQ(skua_self_set_name("x"), -EPERM);
    CHECK_EQ(skua_local_set(&key, &key), -EPERM);
    CHECK_EQ(skua_yield(), 0);
    uint64_t before = skua_now();
    CHECK_EQ(skua_sleep(SKUA_US), 0);
    CHECK(skua_now() >= before + SKUA_US);
    CHECK_EQ(skua_sleep(0), 0);
}


/* A thread-local read through its own function on each side of a wait that may change the thread. */
static _Thread_local long where;
static __attribute__((noinline)) long *my_where(void)
{
    __asm__ volatile("" ::: "memory");
    if (where == 0)
        where = syscall(SYS_gettid);
    return &where;
}

static int migrates(void *arg)
{
    int *migrations = arg;
    for (int i = 0; i < 200; i++) {
        long *before = my_where();
        errno = 0; /* its address is known to the compiler from here on */
        skua_yield();
        CHECK(close(-1) == -1 && skua_errno() == EBADF);
        long *after = my_where();
        CHECK_EQ(*after, syscall(SYS_gettid));
        if (before != after)
            __atomic_fetch_add(migrations, 1, __ATOMIC_RELAXED);
        skua_task *self = skua_self(); /* the runtime's own thread-local must never be stale */
        CHECK(self != NULL && skua_runtime_self() != NULL);
    }
    return 0;
}

static int migrating(void *arg)
{
    (void)arg;
    skua_task *tasks[16];
    int migrations = 0;
    for (int i = 0; i < 16; i++)
        CHECK_OK(skua_spawn(&tasks[i], migrates, &migrations));
    for (int i = 0; i < 16; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}
TEST(thread_locals_across_migration)
{
    run_everywhere(migrating, NULL);
}

static int wakers_and_ops(void *arg)
{
    (void)arg;
    skua_task *task;
    skua_sleep_op sleep;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&task, sleeps_for_ever, NULL));
    skua_waker waker = skua_task_waker(task);
    skua_yield();
    CHECK_EQ(skua_try_join(task, &result), -EAGAIN);
    skua_waker_cancel(waker);
    while (skua_try_join(task, &result) == -EAGAIN)
        skua_yield();
    CHECK_EQ(result, -ECANCELED);
    skua_waker_cancel(waker); /* stale: whoever has the slot now is left alone */
    CHECK_OK(skua_spawn(&task, yields_then_returns, (void *)3));
    skua_waker_cancel(waker);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 3);

    skua_op *op = skua_sleep_start(&sleep, SKUA_NEVER - 1);
    CHECK(!skua_op_is_done(op));
    CHECK_EQ(skua_await(skua_op_cancel(op)), -ECANCELED);
    op = skua_sleep_start(&sleep, 1000);
    skua_sleep(100000);
    CHECK(skua_await(skua_op_cancel(op)) <= 0);
    CHECK_EQ(skua_after(SKUA_NEVER), SKUA_NEVER);
    CHECK_EQ(skua_after(SKUA_NEVER - 5), SKUA_NEVER);
    return 0;
}
TEST(wakers_that_cancel_and_ops_that_end_early) { run_everywhere(wakers_and_ops, NULL); }

static int sleep_order(void *arg)
{
    (void)arg;
    uint64_t start = skua_now();
    for (uint64_t pause = 1; pause < 3000000; pause *= 7) {
        uint64_t before = skua_now();
        CHECK_EQ(skua_sleep(pause), 0);
        CHECK(skua_now() >= before + pause); /* never early */
    }
    CHECK_EQ(skua_sleep_until(start), 0); /* long past */
    CHECK_EQ(skua_sleep(0), 0);
    return 0;
}
TEST(sleep_is_never_early) { run_everywhere(sleep_order, NULL); }

static __attribute__((noinline)) int without_end(int depth)
{
    volatile char frame[500];
    frame[0] = (char)depth;
    return depth < 0 ? 0 : without_end(depth + 1) + frame[0];
}

static int overflows(void *arg)
{
    (void)arg;
    skua_self_set_name("deep one");
    return without_end(1);
}

static void overflow_on_workers(void *arg) { run_on(2, overflows, arg); }
static void overflow_in_simulation(void *arg) { run_seeded(1, 2, overflows, arg); }

TEST(overflow_names_the_fiber)
{
    if (test_under_asan() || test_under_tsan())
        TEST_SKIP("the sanitizers report stack overflows themselves");
    test_expect_abort(overflow_on_workers, NULL, "fiber \"deep one\" overflowed its stack of 65536 bytes");
    test_expect_abort(overflow_in_simulation, NULL, "fiber \"deep one\" overflowed its stack of 65536 bytes");
}

/* Callers allocate these: their sizes are part of the binary interface. */
TEST(sizes)
{
    CHECK_EQ(sizeof(skua_op), 64);
    CHECK_EQ(sizeof(skua_join_op), 72);
    CHECK_EQ(sizeof(skua_sleep_op), 80);
    CHECK_EQ(sizeof(skua_frame), 32);
    CHECK_EQ(sizeof(skua_scope), 112);
    CHECK_EQ(sizeof(skua_child), 176);
    CHECK_EQ(sizeof(skua_set), 120);
    CHECK_EQ(sizeof(skua_spawn_attr), 56);
    CHECK_EQ(sizeof(skua_waker), 16);
    CHECK_EQ(sizeof(skua_local), 16);
    CHECK_EQ(sizeof(skua_config), 160);
    CHECK_EQ(sizeof(skua_stats), 400);
    CHECK_EQ(sizeof(skua_worker_stats), 320);
}
