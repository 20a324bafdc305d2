/* What debug builds see of locks. Each thing that is wrong is reported once, with its places; what is right is not. */
#define SKUA_DEBUG 1
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "skua/cond.h"
#include "skua/guarded.h"
#include "support/with_runtime.h"

/* What was reported: the runtime's hooks take it. */
static struct {
    int misuses, warnings; /* __atomic */
    char misuse[512], warning[512];
} told;

static void take_misuse(void *context, const char *text)
{
    (void)context;
    __atomic_fetch_add(&told.misuses, 1, __ATOMIC_RELAXED);
    snprintf(told.misuse, sizeof told.misuse, "%s", text);
}
static void take_log(void *context, enum skua_log_level level, const char *text)
{
    (void)context;
    if (level > SKUA_LOG_WARN)
        return;
    __atomic_fetch_add(&told.warnings, 1, __ATOMIC_RELAXED);
    snprintf(told.warning, sizeof told.warning, "%s", text);
}

#if defined(SKUAI_DEBUG)
enum { SEES = 1 };
#else
enum { SEES = 0 };
#endif

static void run_told(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (int i = 0; SEES && i < 3; i++) {
        memset(&told, 0, sizeof told);
        skua_config config = { .workers = workers[i], .ignore_environment = true, .on_misuse = take_misuse,
                               .log = take_log };
        CHECK_EQ(run_in(config, body, NULL), 0);
    }
    for (uint64_t seed = test_seed(); SEES && seed < test_seed() + 5; seed++) {
        memset(&told, 0, sizeof told);
        test_at_seed(seed);
        skua_config config = { .workers = 1 + (uint32_t)(seed % 4), .ignore_environment = true, .simulate = true,
                               .sim_seed = seed, .on_misuse = take_misuse, .log = take_log };
        CHECK_EQ(run_in(config, body, NULL), 0);
        test_at_no_seed();
    }
}

/* Exactly one misuse so far, which says this; then none. */
static void expect_misuse(const char *call, const char *what)
{
    CHECK_EQ(__atomic_load_n(&told.misuses, __ATOMIC_RELAXED), 1);
    if (strstr(told.misuse, call) == NULL || strstr(told.misuse, what) == NULL)
        test_fail(__FILE__, __LINE__, "'%s' and '%s' are not in: %s", call, what, told.misuse);
    told.misuses = 0;
}

static int relocks(void *arg)
{
    (void)arg;
    skua_mutex mutex = SKUA_MUTEX_INIT;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    skua_op op;
    CHECK_EQ(skua_mutex_lock(&mutex), 0);
    CHECK_EQ(skua_mutex_try_lock(&mutex), -EAGAIN); /* a question */
    CHECK_EQ(told.misuses, 0);
    CHECK_EQ(skua_mutex_lock(&mutex), -EDEADLK);
    expect_misuse("skua_mutex_lock", "test_lock_debug.c:");
    CHECK_EQ(skua_await(skua_mutex_lock_start(&op, &mutex)), -EDEADLK);
    expect_misuse("skua_mutex_lock", "would wait for itself");
    CHECK_EQ(SKUA_SELECT(skua_mutex_lock_prepare(&op, &mutex)), 0);
    CHECK_EQ(op.result, -EDEADLK);
    expect_misuse("skua_mutex_lock", "would wait for itself");
    skua_mutex_unlock(&mutex);
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), 0);
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), 0);
    CHECK_EQ(skua_rwlock_write_lock(&rwlock), -EDEADLK);
    expect_misuse("skua_rwlock_write_lock", "test_lock_debug.c:");
    skua_rwlock_read_unlock(&rwlock);
    skua_rwlock_read_unlock(&rwlock);
    CHECK_EQ(skua_rwlock_write_lock(&rwlock), 0);
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), -EDEADLK);
    expect_misuse("skua_rwlock_read_lock", "would wait for itself");
    skua_rwlock_downgrade(&rwlock);
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), 0);
    skua_rwlock_read_unlock(&rwlock);
    skua_rwlock_read_unlock(&rwlock);
    CHECK_EQ(told.misuses + told.warnings, 0);
    return 0;
}
TEST(taken_again_by_its_holder) { run_told(relocks); }

static int unlocks(void *arg)
{
    skua_mutex_unlock(arg);
    return 0;
}
static int write_unlocks(void *arg)
{
    skua_rwlock_write_unlock(arg);
    return 0;
}
struct unlocker {
    SKUA_FRAME;
    struct {
        skua_mutex *mutex;
    } in;
};
SKUA_ASYNC(unlocker)
{
    SKUA_BEGIN(self);
    skua_mutex_unlock(self->in.mutex);
    SKUA_END(0);
}
static void *unlocks_as_thread(void *arg)
{
    unlocks(arg);
    return NULL;
}

static int strangers(void *arg)
{
    (void)arg;
    skua_mutex mutex = SKUA_MUTEX_INIT;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    skua_cond cond = SKUA_COND_INIT;
    skua_task *task;
    CHECK_EQ(skua_mutex_lock(&mutex), 0);
    CHECK_OK(skua_spawn(&task, unlocks, &mutex));
    CHECK_OK(skua_join(task, NULL));
    expect_misuse("skua_mutex_unlock", "test_lock_debug.c:");
    CHECK_OK(SKUA_SPAWN(&task, unlocker, .mutex = &mutex));
    CHECK_OK(skua_join(task, NULL));
    expect_misuse("skua_mutex_unlock", "who does not hold");
    CHECK(skua_mutex_is_locked(&mutex)); /* nothing was done */
    CHECK_OK(skua_yield());              /* maybe to another thread */
    skua_mutex_assert_held(&mutex);
    skua_mutex_unlock(&mutex);
    CHECK_EQ(skua_cond_wait(&cond, &mutex), -EPERM);
    expect_misuse("skua_cond_wait", "does not hold");
    CHECK_EQ(skua_rwlock_write_lock(&rwlock), 0);
    CHECK_OK(skua_spawn(&task, write_unlocks, &rwlock));
    CHECK_OK(skua_join(task, NULL));
    expect_misuse("skua_rwlock_write_unlock", "who does not hold");
    skua_rwlock_write_unlock(&rwlock);
    CHECK_EQ(told.misuses + told.warnings, 0);
    return 0;
}
TEST(left_by_a_stranger) { run_told(strangers); }

/* A child of a set is another than its siblings. */
struct holder {
    SKUA_FRAME;
    struct {
        skua_mutex *mutex;
    } in;
    skua_op op;
    skua_sleep_op nap;
};
SKUA_ASYNC(holder)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_mutex_lock_start(&self->op, self->in.mutex));
    SKUA_AWAIT(skua_sleep_start(&self->nap, 100000));
    SKUA_END(0); /* and holds it */
}
static int holds(void *arg)
{
    return skua_mutex_lock(arg);
}

static int held_at_end(void *arg)
{
    (void)arg;
    skua_mutex mutexes[3] = { SKUA_MUTEX_INIT, SKUA_MUTEX_INIT, SKUA_MUTEX_INIT };
    skua_task *task;
    struct holder f;
    skua_child kid;
    CHECK_OK(skua_spawn(&task, holds, &mutexes[0]));
    CHECK_OK(skua_join(task, NULL));
    expect_misuse("the end of a task", "test_lock_debug.c:");
    CHECK_OK(SKUA_SPAWN(&task, holder, .mutex = &mutexes[1]));
    CHECK_OK(skua_join(task, NULL));
    expect_misuse("the end of a task", "test_lock_debug.c:");
    skua_child_future(&kid, SKUA_FUTURE(&f, holder, .mutex = &mutexes[2]));
    CHECK_EQ(skua_join_all(&kid, 1), 0);
    expect_misuse("the end of a task", "test_lock_debug.c:");
    return 0;
}
TEST(held_at_the_end) { run_told(held_at_end); }

static int destroyed(void *arg)
{
    (void)arg;
    skua_mutex mutex = SKUA_MUTEX_INIT;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    CHECK_EQ(skua_mutex_lock(&mutex), 0);
    skua_mutex_fini(&mutex);
    expect_misuse("skua_mutex_fini", "locked at");
    skua_mutex_unlock(&mutex);
    skua_mutex_fini(&mutex);
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), 0);
    skua_rwlock_fini(&rwlock);
    expect_misuse("skua_rwlock_fini", "test_lock_debug.c:");
    skua_rwlock_read_unlock(&rwlock);
    return 0;
}
TEST(destroyed_while_held) { run_told(destroyed); }

/* ---- order ------------------------------------------------------------------------------------------------------- */

struct two {
    skua_mutex *first, *second;
};
static int nests(void *arg)
{
    struct two *two = arg;
    CHECK_EQ(skua_mutex_lock(two->first), 0);
    CHECK_OK(skua_yield());
    CHECK_EQ(skua_mutex_lock(two->second), 0);
    skua_mutex_unlock(two->second);
    skua_mutex_unlock(two->first);
    return 0;
}
static void nest(skua_mutex *first, skua_mutex *second)
{
    struct two two = { first, second };
    skua_task *task;
    CHECK_OK(skua_spawn(&task, nests, &two));
    CHECK_OK(skua_join(task, NULL));
}

static int orders(void *arg)
{
    (void)arg;
    skua_mutex a = SKUA_MUTEX_INIT, b = SKUA_MUTEX_INIT, c = SKUA_MUTEX_INIT;
    for (int i = 0; i < 3; i++) {
        nest(&a, &b);
        nest(&b, &c);
    }
    nest(&a, &c);
    CHECK_EQ(told.warnings, 0);
    nest(&c, &a); /* though it never met the others */
    CHECK_EQ(told.warnings, 1);
    CHECK(strstr(told.warning, "lock-order inversion: skua_mutex_lock at ") != NULL);
    CHECK(strstr(told.warning, "test_lock_debug.c:") != NULL);
    nest(&c, &a); /* is known */
    CHECK_EQ(told.warnings, 1);
    skua_mutex_init(&a); /* another mutex in the same memory */
    skua_mutex_init(&b);
    nest(&b, &a);
    CHECK_EQ(told.warnings, 1);
    CHECK_EQ(skua_mutex_lock(&a), 0); /* a try does not wait */
    CHECK_EQ(skua_mutex_try_lock(&b), 0);
    skua_mutex_unlock(&b);
    skua_mutex_unlock(&a);
    CHECK_EQ(told.warnings, 1);
    CHECK_EQ(told.misuses, 0);
    return 0;
}
TEST(order_is_inverted) { run_told(orders); }

/* Arms of one select, granted by others while the next ones are started: they are not held together. */
struct locks {
    skua_rwlock rwlock;
    skua_mutex a, b;
};
static int selects_one(void *arg)
{
    struct locks *locks = arg;
    skua_op first, second;
    uint64_t rounds = test_scaled(1000);
    for (uint64_t i = 0; i < rounds; i++) {
        if (SKUA_SELECT(skua_mutex_lock_prepare(&first, &locks->a), skua_mutex_lock_prepare(&second, &locks->b)) == 0) {
            (void)skua_yield();
            skua_mutex_unlock(&locks->a);
        } else {
            (void)skua_yield();
            skua_mutex_unlock(&locks->b);
        }
        if (SKUA_SELECT(skua_rwlock_read_lock_prepare(&first, &locks->rwlock),
                        skua_rwlock_write_lock_prepare(&second, &locks->rwlock)) == 0) {
            (void)skua_yield();
            skua_rwlock_read_unlock(&locks->rwlock);
        } else {
            (void)skua_yield();
            skua_rwlock_write_unlock(&locks->rwlock);
        }
    }
    return 0;
}
static int selects(void *arg)
{
    (void)arg;
    struct locks locks = { SKUA_RWLOCK_INIT, SKUA_MUTEX_INIT, SKUA_MUTEX_INIT };
    skua_task *tasks[16];
    for (int i = 0; i < 16; i++)
        CHECK_OK(skua_spawn(&tasks[i], selects_one, &locks));
    for (int i = 0; i < 16; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    CHECK_EQ(__atomic_load_n(&told.misuses, __ATOMIC_RELAXED), 0);
    CHECK_EQ(__atomic_load_n(&told.warnings, __ATOMIC_RELAXED), 0);
    return 0;
}
TEST(arms_of_one_select) { run_told(selects); }

/* More pairs than the graph has room for: the oldest are forgotten, and nothing is said that is not so. */
static int many(void *arg)
{
    (void)arg;
    enum { LOCKS = 120 };
    static skua_mutex mutexes[LOCKS];
    for (int i = 0; i < LOCKS; i++)
        skua_mutex_init(&mutexes[i]);
    for (int i = 0; i < LOCKS; i++) {
        CHECK_EQ(skua_mutex_lock(&mutexes[i]), 0);
        for (int k = i + 1; k < LOCKS; k++) {
            CHECK_EQ(skua_mutex_lock(&mutexes[k]), 0);
            skua_mutex_unlock(&mutexes[k]);
        }
        skua_mutex_unlock(&mutexes[i]);
    }
    CHECK_EQ(told.warnings + told.misuses, 0);
    nest(&mutexes[LOCKS - 1], &mutexes[LOCKS - 2]); /* the newest are not */
    CHECK_EQ(told.warnings, 1);
    for (int i = 0; i < LOCKS; i++) /* more at once than a flow has room for */
        CHECK_EQ(skua_mutex_try_lock(&mutexes[i]), 0);
    for (int i = 0; i < LOCKS; i++)
        skua_mutex_unlock(&mutexes[i]);
    CHECK_EQ(told.misuses, 0);
    return 0;
}
TEST(memory_is_bounded) { run_told(many); }

/* Outside of any runtime misuse ends the process. */
static void unlocks_from_another_thread(void *arg)
{
    (void)arg;
    skua_mutex mutex = SKUA_MUTEX_INIT;
    pthread_t thread;
    CHECK_EQ(skua_mutex_lock(&mutex), 0);
    skua_mutex_assert_held(&mutex);
    CHECK_EQ(pthread_create(&thread, NULL, unlocks_as_thread, &mutex), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}
TEST(a_plain_thread)
{
    if (SEES)
        test_expect_abort(unlocks_from_another_thread, NULL, "who does not hold the lock");
}
