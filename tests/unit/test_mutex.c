/* Mutexes: one at a time, by fibers, jobs, futures, sets, selects and plain threads, cancelled or late. */
#include <errno.h>
#include <pthread.h>

#include "skua/mutex.h"
#include "support/with_runtime.h"

static int forms(void *arg)
{
    (void)arg;
    skua_mutex mutex = SKUA_MUTEX_INIT;
    skua_op op;
    CHECK(!skua_mutex_is_locked(&mutex));
    CHECK_EQ(skua_mutex_lock(&mutex), 0);
    CHECK(skua_mutex_is_locked(&mutex));
    skua_mutex_assert_held(&mutex);
    CHECK_EQ(skua_mutex_try_lock(&mutex), -EAGAIN);
    skua_mutex_unlock(&mutex);
    CHECK_EQ(skua_mutex_try_lock(&mutex), 0);
    skua_mutex_unlock(&mutex);
    CHECK_EQ(skua_mutex_lock_until(&mutex, skua_after(SKUA_S)), 0);
    skua_mutex_unlock(&mutex);
    CHECK_EQ(skua_mutex_lock_until(&mutex, 1), 0); /* need not wait */
    skua_mutex_unlock(&mutex);
    skua_mutex_lock_shielded(&mutex);
    skua_mutex_unlock(&mutex);
    CHECK_EQ(skua_await(skua_mutex_lock_start(&op, &mutex)), 0);
    skua_mutex_unlock(&mutex);
    CHECK_EQ(SKUA_SELECT(skua_mutex_lock_prepare(&op, &mutex)), 0);
    CHECK(skua_mutex_is_locked(&mutex));
    skua_mutex_unlock(&mutex);
    skua_mutex_fini(&mutex);
    return 0;
}
TEST(each_form) { run_everywhere(forms, NULL); }

struct late {
    skua_mutex mutex;
    int in_time; /* __atomic: it has been late in all ways */
};

static int takes_late(void *arg)
{
    struct late *late = arg;
    CHECK_EQ(skua_mutex_lock_until(&late->mutex, skua_after(SKUA_MS)), -ETIMEDOUT);
    {
        SKUA_DEADLINE(1000);
        CHECK_EQ(skua_mutex_lock(&late->mutex), -ETIMEDOUT);
    }
    __atomic_store_n(&late->in_time, 1, __ATOMIC_RELEASE);
    return skua_mutex_lock(&late->mutex); /* until it is cancelled */
}

static int when_interrupted(void *arg)
{
    (void)arg;
    struct late late = { .mutex = SKUA_MUTEX_INIT };
    skua_task *task;
    int64_t result;
    CHECK_EQ(skua_mutex_lock(&late.mutex), 0);
    CHECK_OK(skua_spawn(&task, takes_late, &late));
    while (!__atomic_load_n(&late.in_time, __ATOMIC_ACQUIRE))
        CHECK_OK(skua_sleep(100000));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK(late.mutex.waiters.first == NULL);
    skua_cancel(skua_self());
    skua_mutex_unlock(&late.mutex); /* never fails */
    CHECK_EQ(skua_mutex_lock(&late.mutex), -ECANCELED);
    CHECK(!skua_mutex_is_locked(&late.mutex));
    CHECK_EQ(skua_mutex_try_lock(&late.mutex), 0);
    skua_mutex_unlock(&late.mutex);
    skua_mutex_lock_shielded(&late.mutex);
    skua_mutex_unlock(&late.mutex);
    skua_mutex_fini(&late.mutex);
    return 0;
}
TEST(cancelled_and_late) { run_everywhere(when_interrupted, NULL); }

/* ---- counting ---------------------------------------------------------------------------------------------------- */

struct shared {
    skua_mutex mutex;
    int64_t counter, inside; /* plain */
    int64_t canceled, failed; /* __atomic */
    uint64_t rounds;
};

static void section(struct shared *s, bool yields)
{
    CHECK_EQ(s->inside++, 0);
    s->counter++;
    if (yields)
        (void)skua_yield();
    s->inside--;
}

static int counts(void *arg)
{
    struct shared *s = arg;
    for (uint64_t i = 0; i < s->rounds; i++) {
        int rc = skua_mutex_lock(&s->mutex);
        if (rc != 0) {
            CHECK_EQ(rc, -ECANCELED);
            __atomic_fetch_add(&s->canceled, 1, __ATOMIC_RELAXED);
            skua_mutex_lock_shielded(&s->mutex);
        }
        section(s, i % 16 == 3);
        skua_mutex_unlock(&s->mutex);
    }
    return 0;
}

static int counts_by_deadline(void *arg)
{
    struct shared *s = arg;
    for (uint64_t i = 0; i < s->rounds; i++) {
        int rc;
        while ((rc = skua_mutex_lock_until(&s->mutex, skua_after((i % 5) * 2000))) != 0) {
            CHECK(rc == -ETIMEDOUT || rc == -ECANCELED);
            __atomic_fetch_add(&s->failed, 1, __ATOMIC_RELAXED);
            if (rc == -ECANCELED) {
                skua_mutex_lock_shielded(&s->mutex);
                break;
            }
        }
        section(s, i % 16 == 5);
        skua_mutex_unlock(&s->mutex);
    }
    return 0;
}

struct counter {
    SKUA_FRAME;
    struct {
        struct shared *s;
    } in;
    uint64_t i;
    skua_op op;
    skua_scope shield;
};
SKUA_ASYNC(counter)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < self->in.s->rounds; self->i++) {
        SKUA_AWAIT(skua_mutex_lock_start(&self->op, &self->in.s->mutex));
        if (self->op.result == -ECANCELED) {
            __atomic_fetch_add(&self->in.s->canceled, 1, __ATOMIC_RELAXED);
            skua_shield_enter(&self->shield);
            SKUA_AWAIT(skua_mutex_lock_start(&self->op, &self->in.s->mutex));
            skua_scope_leave(&self->shield);
        }
        CHECK_EQ(self->op.result, 0);
        CHECK_EQ(self->in.s->inside++, 0);
        self->in.s->counter++;
        if (self->i % 16 == 3)
            SKUA_YIELD();
        self->in.s->inside--;
        skua_mutex_unlock(&self->in.s->mutex);
    }
    SKUA_END(0);
}

static int selects(void *arg)
{
    struct shared *s = arg;
    skua_op op;
    skua_sleep_op nap;
    skua_op *arms[] = { skua_mutex_lock_prepare(&op, &s->mutex), NULL };
    for (uint64_t i = 0; i < s->rounds;) {
        arms[1] = skua_sleep_prepare(&nap, (i % 3) * 1000);
        int64_t arm = skua_select(arms, 2);
        if (arm == -ECANCELED) {
            __atomic_fetch_add(&s->canceled, 1, __ATOMIC_RELAXED);
            skua_mutex_lock_shielded(&s->mutex);
        } else if (arm == 1) {
            __atomic_fetch_add(&s->failed, 1, __ATOMIC_RELAXED);
            continue;
        }
        section(s, i % 16 == 7);
        skua_mutex_unlock(&s->mutex);
        i++;
    }
    return 0;
}

/* All kinds of waiters at one mutex; half of them are cancelled somewhere on the way, and none loses a lock for it. */
static int mixed(void *arg)
{
    (void)arg;
    enum { EACH = 4 };
    struct shared s = { .mutex = SKUA_MUTEX_INIT, .rounds = test_scaled(200) };
    skua_task *tasks[4][EACH];
    for (int i = 0; i < EACH; i++) {
        CHECK_OK(skua_spawn(&tasks[0][i], counts, &s));
        CHECK_OK(SKUA_SPAWN(&tasks[1][i], counter, .s = &s));
        CHECK_OK(skua_spawn(&tasks[2][i], selects, &s));
        CHECK_OK(skua_spawn(&tasks[3][i], counts_by_deadline, &s));
    }
    for (int i = 0; i < EACH; i += 2)
        for (int kind = 0; kind < 4; kind++) {
            (void)skua_sleep(20000);
            skua_cancel(tasks[kind][i]);
        }
    for (int kind = 0; kind < 4; kind++)
        for (int i = 0; i < EACH; i++)
            CHECK_OK(skua_join(tasks[kind][i], NULL));
    CHECK_EQ(s.counter, 4 * EACH * (int64_t)s.rounds);
    CHECK_EQ(s.mutex.state.raw, 0);
    skua_mutex_fini(&s.mutex);
    return 0;
}
TEST(mutual_exclusion_is_exact) { run_everywhere(mixed, NULL); }

/* Children of one set are as different as tasks are. */
static int in_sets(void *arg)
{
    (void)arg;
    struct shared s = { .mutex = SKUA_MUTEX_INIT, .rounds = 200 };
    struct counter f[5];
    skua_child kids[5];
    for (int i = 0; i < 5; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&f[i], counter, .s = &s));
    CHECK_EQ(skua_join_all(kids, 5), 0);
    CHECK_EQ(s.counter, 1000);
    for (int i = 0; i < 5; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&f[i], counter, .s = &s));
    CHECK(skua_race(kids, 5) >= 0); /* the losers are cancelled, and count on in shields */
    CHECK_EQ(s.counter, 2000);
    CHECK_EQ(s.mutex.state.raw, 0);
    return 0;
}
TEST(children_of_a_set) { run_everywhere(in_sets, NULL); }

SKUA_PARALLEL(int, counts_in_jobs, struct shared *, s, int, n)
{
    if (n == 0)
        return 0;
    SKUA_FORK(other, counts_in_jobs, s, n - 1);
    CHECK_EQ(skua_mutex_lock(&s->mutex), 0);
    section(s, n % 8 == 0);
    skua_mutex_unlock(&s->mutex);
    return SKUA_JOIN(counts_in_jobs, other) + 1;
}
static int jobs(void *arg)
{
    (void)arg;
    struct shared s = { .mutex = SKUA_MUTEX_INIT };
    CHECK_EQ(SKUA_RUN(counts_in_jobs, &s, 50), 50);
    CHECK_EQ(s.counter, 50);
    return 0;
}
TEST(in_jobs) { run_everywhere(jobs, NULL); }

/* ---- plain threads ----------------------------------------------------------------------------------------------- */

static void *counts_as_thread(void *arg)
{
    counts(arg);
    return NULL;
}
static void *counts_late_as_thread(void *arg)
{
    counts_by_deadline(arg);
    return NULL;
}

static int with_tasks(void *arg)
{
    struct shared *s = arg;
    skua_task *tasks[8];
    for (int i = 0; i < 8; i++)
        CHECK_OK(i % 2 ? skua_spawn(&tasks[i], counts, s) : SKUA_SPAWN(&tasks[i], counter, .s = s));
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}

TEST(threads_and_tasks_at_one_mutex)
{
    struct shared s = { .mutex = SKUA_MUTEX_INIT, .rounds = test_scaled(3000) };
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, i < 2 ? counts_as_thread : counts_late_as_thread, &s), 0);
    CHECK_EQ(run_on(4, with_tasks, &s), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(s.counter, 12 * (int64_t)s.rounds);
    CHECK_EQ(s.mutex.state.raw, 0);
}

/* ---- fairness, counted ------------------------------------------------------------------------------------------- */

struct race {
    skua_mutex mutex;
    int64_t locks; /* written under the mutex; looked at without */
    uint64_t ended;
    int stop; /* __atomic */
};

static int hogs(void *arg)
{
    struct race *race = arg;
    while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
        CHECK_EQ(skua_mutex_lock(&race->mutex), 0);
        __atomic_store_n(&race->locks, race->locks + 1, __ATOMIC_RELAXED);
        skua_mutex_unlock(&race->mutex);
    }
    return 0;
}

static int waits_its_turn(void *arg)
{
    struct race *race = arg;
    for (int i = 0; i < 50; i++) {
        skua_op op;
        CHECK_EQ(skua_await(skua_mutex_lock_start(&op, &race->mutex)), 0);
        skua_mutex_unlock(&race->mutex);
        (void)skua_yield();
    }
    return 0;
}

/* Whoever is told to come may be overtaken until he comes, and then no more: all have their turns, however greedy some
 * are, who never leave off before. */
static int beside_the_greedy(void *arg)
{
    (void)arg;
    enum { HOGS = 5, PATIENT = 3 };
    struct race race = { .mutex = SKUA_MUTEX_INIT };
    skua_task *hog[HOGS], *patient[PATIENT];
    for (int i = 0; i < HOGS; i++)
        CHECK_OK(skua_spawn(&hog[i], hogs, &race));
    for (int i = 0; i < PATIENT; i++)
        CHECK_OK(skua_spawn(&patient[i], waits_its_turn, &race));
    for (int i = 0; i < PATIENT; i++)
        CHECK_OK(skua_join(patient[i], NULL));
    __atomic_store_n(&race.stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < HOGS; i++)
        CHECK_OK(skua_join(hog[i], NULL));
    return 0;
}
TEST(nobody_starves_beside_the_greedy) { run_everywhere(beside_the_greedy, NULL); }

/* A task that takes it in a loop for ever does not keep the others of its worker from running, nor holds it while it
 * yields. */
static int greedy(void *arg)
{
    (void)arg;
    struct race race = { .mutex = SKUA_MUTEX_INIT };
    skua_task *hog;
    CHECK_OK(skua_spawn(&hog, hogs, &race));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(skua_yield());
        if (skua_mutex_try_lock(&race.mutex) == 0)
            skua_mutex_unlock(&race.mutex);
        else
            race.ended++;
    }
    __atomic_store_n(&race.stop, 1, __ATOMIC_RELAXED);
    CHECK_OK(skua_join(hog, NULL));
    return (int)race.ended; /* on one worker, where nobody else runs while we do */
}
TEST(nobody_yields_with_the_lock) { CHECK_EQ(run_on(1, greedy, NULL), 0); }

struct greedy_future {
    SKUA_FRAME;
    struct {
        struct race *race;
    } in;
    skua_op op;
};
SKUA_ASYNC(greedy_future)
{
    SKUA_BEGIN(self);
    while (!__atomic_load_n(&self->in.race->stop, __ATOMIC_RELAXED)) {
        SKUA_AWAIT(skua_mutex_lock_start(&self->op, &self->in.race->mutex));
        skua_mutex_unlock(&self->in.race->mutex);
    }
    SKUA_END(0);
}
static int greedy_in_future(void *arg)
{
    (void)arg;
    struct race race = { .mutex = SKUA_MUTEX_INIT };
    skua_task *hog;
    CHECK_OK(SKUA_SPAWN(&hog, greedy_future, .race = &race));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(skua_yield());
        race.ended += skua_mutex_is_locked(&race.mutex);
    }
    __atomic_store_n(&race.stop, 1, __ATOMIC_RELAXED);
    CHECK_OK(skua_join(hog, NULL));
    return (int)race.ended;
}
TEST(no_future_yields_with_the_lock) { CHECK_EQ(run_on(1, greedy_in_future, NULL), 0); }

/* ---- misuse ------------------------------------------------------------------------------------------------------ */

static void unlocks_too_often(void *arg)
{
    (void)arg;
    skua_mutex mutex = SKUA_MUTEX_INIT;
    skua_mutex_unlock(&mutex);
}
static void fini_while_held(void *arg)
{
    (void)arg;
    skua_mutex mutex = SKUA_MUTEX_INIT;
    CHECK_EQ(skua_mutex_lock(&mutex), 0);
    skua_mutex_fini(&mutex);
}
TEST(misuse)
{
    test_expect_abort(unlocks_too_often, NULL, "skua_mutex_unlock");
    test_expect_abort(fini_while_held, NULL, "skua_mutex_fini");
}
