/* Read-write locks: writers alone, readers together, in every form; nobody overtakes who waits. */
#include <errno.h>
#include <pthread.h>

#include "skua/rwlock.h"
#include "support/with_runtime.h"

static int forms(void *arg)
{
    (void)arg;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    skua_op op, other;
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), 0);
    CHECK_EQ(skua_rwlock_try_read_lock(&rwlock), 0);
    CHECK_EQ(skua_rwlock_try_write_lock(&rwlock), -EAGAIN);
    skua_rwlock_assert_read_held(&rwlock);
    CHECK(skua_rwlock_is_locked(&rwlock) && !skua_rwlock_is_write_locked(&rwlock));
    skua_rwlock_read_unlock(&rwlock);
    skua_rwlock_read_unlock(&rwlock);
    CHECK_EQ(skua_rwlock_write_lock(&rwlock), 0);
    CHECK_EQ(skua_rwlock_try_write_lock(&rwlock), -EAGAIN);
    CHECK_EQ(skua_rwlock_try_read_lock(&rwlock), -EAGAIN);
    skua_rwlock_assert_write_held(&rwlock);
    CHECK(skua_rwlock_is_write_locked(&rwlock));
    skua_rwlock_downgrade(&rwlock);
    CHECK_EQ(skua_rwlock_try_read_lock(&rwlock), 0);
    skua_rwlock_read_unlock(&rwlock);
    skua_rwlock_read_unlock(&rwlock);
    CHECK_EQ(skua_rwlock_read_lock_until(&rwlock, 1), 0);
    skua_rwlock_read_unlock(&rwlock);
    CHECK_EQ(skua_rwlock_write_lock_until(&rwlock, 1), 0);
    skua_rwlock_write_unlock(&rwlock);
    skua_rwlock_read_lock_shielded(&rwlock);
    skua_rwlock_read_unlock(&rwlock);
    skua_rwlock_write_lock_shielded(&rwlock);
    skua_rwlock_write_unlock(&rwlock);
    CHECK_EQ(skua_await(skua_rwlock_read_lock_start(&op, &rwlock)), 0);
    skua_rwlock_read_unlock(&rwlock);
    CHECK_EQ(skua_await(skua_rwlock_write_lock_start(&op, &rwlock)), 0);
    skua_rwlock_write_unlock(&rwlock);
    int64_t arm = SKUA_SELECT(skua_rwlock_read_lock_prepare(&op, &rwlock),
                              skua_rwlock_write_lock_prepare(&other, &rwlock));
    CHECK(arm == 0 || arm == 1);
    CHECK(skua_rwlock_is_write_locked(&rwlock) == (arm == 1));
    if (arm == 0)
        skua_rwlock_read_unlock(&rwlock);
    else
        skua_rwlock_write_unlock(&rwlock);
    skua_rwlock_fini(&rwlock);
    return 0;
}
TEST(each_form) { run_everywhere(forms, NULL); }

static int was_late; /* __atomic */
static int takes_late(void *arg)
{
    skua_rwlock *rwlock = arg;
    CHECK_EQ(skua_rwlock_read_lock_until(rwlock, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(skua_rwlock_write_lock_until(rwlock, skua_after(SKUA_MS)), -ETIMEDOUT);
    __atomic_store_n(&was_late, 1, __ATOMIC_RELEASE);
    return skua_rwlock_write_lock(rwlock); /* until it is cancelled */
}

static int reads_behind(void *arg)
{
    CHECK_EQ(skua_rwlock_read_lock(arg), 0);
    skua_rwlock_read_unlock(arg);
    return 0;
}

static int when_interrupted(void *arg)
{
    (void)arg;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    skua_task *writer, *reader;
    int64_t result;
    __atomic_store_n(&was_late, 0, __ATOMIC_RELAXED);
    CHECK_EQ(skua_rwlock_write_lock(&rwlock), 0);
    CHECK_OK(skua_spawn(&writer, takes_late, &rwlock));
    while (!__atomic_load_n(&was_late, __ATOMIC_ACQUIRE))
        CHECK_OK(skua_sleep(100000));
    skua_rwlock_downgrade(&rwlock);
    while (skua_rwlock_try_read_lock(&rwlock) == 0) { /* the writer waits */
        skua_rwlock_read_unlock(&rwlock);
        CHECK_OK(skua_yield());
    }
    CHECK_OK(skua_spawn(&reader, reads_behind, &rwlock));
    CHECK_OK(skua_sleep(SKUA_MS));
    skua_cancel(writer);
    CHECK_OK(skua_join(writer, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(skua_join(reader, NULL)); /* let in when the writer gave up, while we read */
    skua_rwlock_read_unlock(&rwlock);
    skua_cancel(skua_self());
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), -ECANCELED);
    CHECK_EQ(skua_rwlock_write_lock(&rwlock), -ECANCELED);
    skua_rwlock_fini(&rwlock);
    return 0;
}
TEST(cancelled_and_late) { run_everywhere(when_interrupted, NULL); }

/* ---- counting ---------------------------------------------------------------------------------------------------- */

struct shared {
    skua_rwlock rwlock;
    int64_t a, b;                               /* plain: equal, but inside of a write */
    int64_t readers, reads, writes, interrupted; /* __atomic */
    uint64_t rounds;
};

static void reads(struct shared *s, bool yields)
{
    __atomic_fetch_add(&s->readers, 1, __ATOMIC_RELAXED);
    CHECK_EQ(s->a, s->b);
    if (yields)
        (void)skua_yield();
    CHECK_EQ(s->a, s->b);
    __atomic_fetch_sub(&s->readers, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->reads, 1, __ATOMIC_RELAXED);
}
static void writes(struct shared *s, bool yields)
{
    CHECK_EQ(__atomic_load_n(&s->readers, __ATOMIC_RELAXED), 0);
    CHECK_EQ(s->a, s->b);
    s->a++;
    if (yields)
        (void)skua_yield();
    s->b++;
}

static int uses(void *arg)
{
    struct shared *s = arg;
    for (uint64_t i = 0; i < s->rounds; i++) {
        bool wants_write = i % 4 == 1, yields = i % 8 < 2;
        uint64_t until = i % 3 == 2 ? skua_after(i % 5 * 1000) : SKUA_NEVER;
        int rc = wants_write ? skua_rwlock_write_lock_until(&s->rwlock, until)
                             : skua_rwlock_read_lock_until(&s->rwlock, until);
        if (rc != 0) {
            CHECK(rc == -ECANCELED || rc == -ETIMEDOUT);
            __atomic_fetch_add(&s->interrupted, 1, __ATOMIC_RELAXED);
            wants_write ? skua_rwlock_write_lock_shielded(&s->rwlock) : skua_rwlock_read_lock_shielded(&s->rwlock);
        }
        if (!wants_write) {
            reads(s, yields);
            skua_rwlock_read_unlock(&s->rwlock);
            continue;
        }
        writes(s, yields);
        if (i % 8 == 1) {
            skua_rwlock_write_unlock(&s->rwlock);
            continue;
        }
        skua_rwlock_downgrade(&s->rwlock);
        reads(s, yields);
        skua_rwlock_read_unlock(&s->rwlock);
    }
    return 0;
}

struct user {
    SKUA_FRAME;
    struct {
        struct shared *s;
    } in;
    uint64_t i;
    skua_op op;
    skua_scope shield;
};
SKUA_ASYNC(user)
{
    SKUA_BEGIN(self);
    skua_shield_enter(&self->shield);
    for (self->i = 0; self->i < self->in.s->rounds; self->i++) {
        if (self->i % 4 != 1) {
            SKUA_AWAIT(skua_rwlock_read_lock_start(&self->op, &self->in.s->rwlock));
            CHECK_EQ(self->op.result, 0);
            reads(self->in.s, false);
            if (self->i % 8 == 2)
                SKUA_YIELD();
            skua_rwlock_read_unlock(&self->in.s->rwlock);
        } else {
            SKUA_AWAIT(skua_rwlock_write_lock_start(&self->op, &self->in.s->rwlock));
            CHECK_EQ(self->op.result, 0);
            self->in.s->a++;
            if (self->i % 8 == 1)
                SKUA_YIELD();
            self->in.s->b++;
            skua_rwlock_write_unlock(&self->in.s->rwlock);
        }
    }
    skua_scope_leave(&self->shield);
    SKUA_END(0);
}

static int selects(void *arg)
{
    struct shared *s = arg;
    skua_op read, write;
    skua_sleep_op nap;
    for (uint64_t i = 0; i < s->rounds; i++) {
        switch (SKUA_SELECT(skua_rwlock_read_lock_prepare(&read, &s->rwlock),
                            skua_rwlock_write_lock_prepare(&write, &s->rwlock),
                            skua_sleep_prepare(&nap, i % 3 * 1000))) {
        case 0:
            reads(s, i % 8 == 0);
            skua_rwlock_read_unlock(&s->rwlock);
            break;
        case 1:
            writes(s, i % 8 == 1);
            skua_rwlock_write_unlock(&s->rwlock);
            break;
        default:
            __atomic_fetch_add(&s->interrupted, 1, __ATOMIC_RELAXED);
        }
    }
    return 0;
}

static int mixed(void *arg)
{
    struct shared local = { .rwlock = SKUA_RWLOCK_INIT, .rounds = test_scaled(200) };
    struct shared *s = arg != NULL ? arg : &local;
    enum { EACH = 4 };
    skua_task *tasks[3][EACH];
    for (int i = 0; i < EACH; i++) {
        CHECK_OK(skua_spawn(&tasks[0][i], uses, s));
        CHECK_OK(SKUA_SPAWN(&tasks[1][i], user, .s = s));
        CHECK_OK(skua_spawn(&tasks[2][i], selects, s));
    }
    for (int i = 0; i < EACH; i += 2)
        for (int kind = 0; kind < 3; kind++) {
            (void)skua_sleep(20000);
            skua_cancel(tasks[kind][i]);
        }
    for (int kind = 0; kind < 3; kind++)
        for (int i = 0; i < EACH; i++)
            CHECK_OK(skua_join(tasks[kind][i], NULL));
    if (arg == NULL) {
        CHECK_EQ(s->a, s->b);
        CHECK_EQ(s->rwlock.state.raw, 0);
        skua_rwlock_fini(&s->rwlock);
    }
    return 0;
}
TEST(exclusion_is_exact) { run_everywhere(mixed, NULL); }

static void *uses_as_thread(void *arg)
{
    uses(arg);
    return NULL;
}
TEST(threads_and_tasks_at_one_lock)
{
    struct shared s = { .rwlock = SKUA_RWLOCK_INIT, .rounds = test_scaled(1000) };
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, uses_as_thread, &s), 0);
    CHECK_EQ(run_on(4, mixed, &s), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(s.a, s.b);
    CHECK_EQ(s.rwlock.state.raw, 0);
}

/* ---- fairness, counted ------------------------------------------------------------------------------------------- */

struct race {
    skua_rwlock rwlock;
    int64_t writes, reads; /* __atomic: how many have had it */
    int64_t worst_of_writer, worst_of_reader;
    int stop; /* __atomic */
};

static int streams_reads(void *arg)
{
    struct race *race = arg;
    while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
        CHECK_EQ(skua_rwlock_read_lock(&race->rwlock), 0);
        __atomic_fetch_add(&race->reads, 1, __ATOMIC_RELAXED);
        (void)skua_yield(); /* so that there always is a reader inside */
        skua_rwlock_read_unlock(&race->rwlock);
    }
    return 0;
}
static int streams_writes(void *arg)
{
    struct race *race = arg;
    while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
        CHECK_EQ(skua_rwlock_write_lock(&race->rwlock), 0);
        __atomic_fetch_add(&race->writes, 1, __ATOMIC_RELAXED);
        (void)skua_yield();
        skua_rwlock_write_unlock(&race->rwlock);
    }
    return 0;
}

/* Queued is counted from: its op is started, and others have had it in between. */
static int wants_both(void *arg)
{
    struct race *race = arg;
    for (int i = 0; i < 30; i++) {
        skua_op op;
        skua_rwlock_write_lock_start(&op, &race->rwlock);
        int64_t before = __atomic_load_n(&race->reads, __ATOMIC_RELAXED);
        CHECK_EQ(skua_await(&op), 0);
        int64_t others = __atomic_load_n(&race->reads, __ATOMIC_RELAXED) - before;
        race->worst_of_writer = others > race->worst_of_writer ? others : race->worst_of_writer;
        skua_rwlock_write_unlock(&race->rwlock);
        skua_rwlock_read_lock_start(&op, &race->rwlock);
        before = __atomic_load_n(&race->writes, __ATOMIC_RELAXED);
        CHECK_EQ(skua_await(&op), 0);
        others = __atomic_load_n(&race->writes, __ATOMIC_RELAXED) - before;
        race->worst_of_reader = others > race->worst_of_reader ? others : race->worst_of_reader;
        skua_rwlock_read_unlock(&race->rwlock);
    }
    return 0;
}

static int starving(void *arg)
{
    enum { STREAMS = 4 };
    skua_fiber_fn *streams[2] = { streams_reads, streams_writes };
    struct race race = { .rwlock = SKUA_RWLOCK_INIT };
    skua_task *tasks[2 * STREAMS], *patient;
    int kinds = *(int *)arg;
    for (int i = 0; i < 2 * STREAMS; i++)
        CHECK_OK(skua_spawn(&tasks[i], streams[kinds == 2 ? i % 2 : kinds], &race));
    CHECK_OK(skua_spawn(&patient, wants_both, &race));
    CHECK_OK(skua_join(patient, NULL));
    __atomic_store_n(&race.stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2 * STREAMS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    /* A writer: those that are inside, and a lot of readers for each writer ahead. A reader: one writer may be inside,
     * and one ahead; but whoever has had it counts it a moment later. */
    CHECK(race.worst_of_writer <= 2 * STREAMS * (2 * STREAMS + 2));
    CHECK(race.worst_of_reader <= 4);
    return 0;
}
TEST(a_stream_of_readers) { run_everywhere(starving, &(int){ 0 }); }
TEST(a_stream_of_writers) { run_everywhere(starving, &(int){ 1 }); }
TEST(streams_of_both) { run_everywhere(starving, &(int){ 2 }); }

static void unlocks_too_often(void *arg)
{
    (void)arg;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    skua_rwlock_read_unlock(&rwlock);
}
static void unlocks_otherwise(void *arg)
{
    (void)arg;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), 0);
    skua_rwlock_write_unlock(&rwlock);
}
static void fini_while_held(void *arg)
{
    (void)arg;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    CHECK_EQ(skua_rwlock_read_lock(&rwlock), 0);
    skua_rwlock_fini(&rwlock);
}
TEST(misuse)
{
    test_expect_abort(unlocks_too_often, NULL, "skua_rwlock_read_unlock");
    test_expect_abort(unlocks_otherwise, NULL, "skua_rwlock_write_unlock");
    test_expect_abort(fini_while_held, NULL, "skua_rwlock_fini");
}
