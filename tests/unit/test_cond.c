/* Condition variables: with one mutex, by fibers, futures, sets and plain threads; interrupted, none takes a signal
 * with him, and each comes out with the mutex. */
#include <errno.h>
#include <pthread.h>

#include "skua/cond.h"
#include "support/with_runtime.h"

/* A stock of items; who waits for one. */
struct stock {
    skua_mutex mutex;
    skua_cond filled;
    int64_t items, taken, canceled, inside; /* all guarded */
    uint64_t rounds;
    bool closed;
};
#define STOCK_INIT { .mutex = SKUA_MUTEX_INIT, .filled = SKUA_COND_INIT }

static int forms(void *arg)
{
    (void)arg;
    skua_mutex mutex = SKUA_MUTEX_INIT;
    skua_cond cond = SKUA_COND_INIT;
    skua_cond_signal(&cond); /* nobody is there, and it is not kept */
    skua_cond_broadcast(&cond);
    CHECK_EQ(skua_mutex_lock(&mutex), 0);
    CHECK_EQ(skua_cond_wait_until(&cond, &mutex, skua_after(1000)), -ETIMEDOUT);
    CHECK(skua_mutex_is_locked(&mutex));
    CHECK_EQ(skua_cond_wait_until(&cond, &mutex, 1), -ETIMEDOUT);
    CHECK(skua_mutex_is_locked(&mutex));
    {
        SKUA_DEADLINE(1000);
        CHECK_EQ(skua_cond_wait(&cond, &mutex), -ETIMEDOUT);
        CHECK(skua_mutex_is_locked(&mutex));
        CHECK_EQ(skua_cond_wait(&cond, &mutex), -ETIMEDOUT); /* on entry */
        CHECK(skua_mutex_is_locked(&mutex));
    }
    skua_cancel(skua_self());
    CHECK_EQ(skua_cond_wait(&cond, &mutex), -ECANCELED);
    CHECK(skua_mutex_is_locked(&mutex));
    skua_mutex_unlock(&mutex);
    skua_cond_fini(&cond);
    skua_mutex_fini(&mutex);
    return 0;
}
TEST(each_form) { run_everywhere(forms, NULL); }

static int takes(void *arg)
{
    struct stock *s = arg;
    int taken = 0;
    skua_mutex_lock_shielded(&s->mutex);
    for (;;) {
        int rc = 0;
        while (s->items == 0 && !s->closed && rc == 0)
            rc = skua_cond_wait(&s->filled, &s->mutex);
        CHECK_EQ(s->inside++, 0);
        s->inside--;
        if (rc != 0) {
            CHECK_EQ(rc, -ECANCELED);
            s->canceled++;
        }
        if (rc != 0 || s->items == 0)
            break;
        s->items--;
        s->taken++;
        taken++;
    }
    skua_mutex_unlock(&s->mutex);
    return taken;
}

struct taker {
    SKUA_FRAME;
    struct {
        struct stock *s;
    } in;
    skua_op op;
    skua_cond_waiting wait;
    int64_t rc;
    skua_scope shield;
};
SKUA_ASYNC(taker)
{
    SKUA_BEGIN(self);
    struct stock *s;
    skua_shield_enter(&self->shield);
    SKUA_AWAIT(skua_mutex_lock_start(&self->op, &self->in.s->mutex));
    skua_scope_leave(&self->shield);
    for (self->rc = 0;;) {
        while (self->in.s->items == 0 && !self->in.s->closed && self->rc == 0) {
            SKUA_AWAIT(skua_cond_wait_start(&self->wait, &self->in.s->filled, &self->in.s->mutex));
            self->rc = SKUA_RESULT(&self->wait);
        }
        s = self->in.s;
        CHECK_EQ(s->inside++, 0);
        s->inside--;
        if (self->rc != 0) {
            CHECK_EQ(self->rc, -ECANCELED);
            s->canceled++;
        }
        if (self->rc != 0 || s->items == 0)
            break;
        s->items--;
        s->taken++;
    }
    skua_mutex_unlock(&self->in.s->mutex);
    SKUA_END(0);
}

static void put(struct stock *s, uint64_t i)
{
    skua_mutex_lock_shielded(&s->mutex);
    s->items++;
    if (i % 3 == 0)
        skua_cond_signal(&s->filled);
    skua_mutex_unlock(&s->mutex);
    if (i % 3 != 0)
        skua_cond_signal(&s->filled);
}

static int puts_all(void *arg)
{
    struct stock *s = arg;
    for (uint64_t i = 0; i < s->rounds; i++) {
        put(s, i);
        if (i % 7 == 0)
            (void)skua_yield();
    }
    return 0;
}

static void close_stock(struct stock *s)
{
    skua_mutex_lock_shielded(&s->mutex);
    s->closed = true;
    skua_cond_broadcast(&s->filled);
    skua_mutex_unlock(&s->mutex);
}

static int closes(void *arg)
{
    (void)skua_sleep(20000);
    close_stock(arg);
    return 0;
}

static bool is_empty(struct stock *s)
{
    skua_mutex_lock_shielded(&s->mutex);
    bool is = s->items == 0;
    skua_mutex_unlock(&s->mutex);
    return is;
}

/* Takers that are cancelled leave the signals to the others, who take all there is before anybody closes. */
static int all_are_taken(void *arg)
{
    (void)arg;
    enum { TAKERS = 8 };
    struct stock s = STOCK_INIT;
    skua_task *takers[TAKERS], *putter;
    s.rounds = test_scaled(500);
    for (int i = 0; i < TAKERS; i++)
        CHECK_OK(i % 4 < 2 ? skua_spawn(&takers[i], takes, &s) : SKUA_SPAWN(&takers[i], taker, .s = &s));
    CHECK_OK(skua_spawn(&putter, puts_all, &s));
    for (int i = 0; i < TAKERS; i += 2) {
        (void)skua_sleep(20000);
        skua_cancel(takers[i]);
    }
    CHECK_OK(skua_join(putter, NULL));
    while (!is_empty(&s)) /* for ever, if a signal was lost */
        (void)skua_sleep(10000);
    close_stock(&s);
    for (int i = 0; i < TAKERS; i++)
        CHECK_OK(skua_join(takers[i], NULL));
    CHECK_EQ(s.taken, (int64_t)s.rounds);
    CHECK(s.filled.waiters.first == NULL);
    CHECK_EQ(s.mutex.state.raw, 0);
    skua_cond_fini(&s.filled);
    return 0;
}
TEST(no_signal_is_lost) { run_everywhere(all_are_taken, NULL); }

static int broadcasts(void *arg)
{
    (void)arg;
    struct stock s = STOCK_INIT;
    struct taker f[4];
    skua_child kids[4];
    skua_task *closer;
    for (int round = 0; round < 10; round++) {
        s.closed = false;
        s.items = 2;
        for (int i = 0; i < 4; i++)
            skua_child_future(&kids[i], SKUA_FUTURE(&f[i], taker, .s = &s));
        CHECK_OK(skua_spawn(&closer, closes, &s));
        CHECK_EQ(skua_all_settled(kids, 4), 4);
        CHECK_OK(skua_join(closer, NULL));
        CHECK_EQ(s.items, 0);
    }
    CHECK_EQ(s.taken, 20);
    return 0;
}
TEST(children_of_a_set) { run_everywhere(broadcasts, NULL); }

static void *takes_as_thread(void *arg)
{
    return (void *)(intptr_t)takes(arg);
}
static void *waits_late(void *arg)
{
    struct stock *s = arg;
    skua_mutex_lock_shielded(&s->mutex);
    while (!s->closed) {
        int rc = skua_cond_wait_until(&s->filled, &s->mutex, skua_after(50000));
        CHECK(rc == 0 || rc == -ETIMEDOUT);
        CHECK_EQ(s->inside++, 0);
        s->inside--;
        if (rc == 0) /* what we were signalled for is for others, too */
            skua_cond_signal(&s->filled);
    }
    skua_mutex_unlock(&s->mutex);
    return NULL;
}

static int puts_and_takes(void *arg)
{
    struct stock *s = arg;
    skua_task *takers[4];
    for (int i = 0; i < 4; i++)
        CHECK_OK(i % 2 ? skua_spawn(&takers[i], takes, s) : SKUA_SPAWN(&takers[i], taker, .s = s));
    CHECK_EQ(puts_all(s), 0);
    while (!is_empty(s))
        (void)skua_sleep(10000);
    close_stock(s);
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_join(takers[i], NULL));
    return 0;
}
TEST(threads_and_tasks)
{
    struct stock s = STOCK_INIT;
    pthread_t threads[4];
    s.rounds = test_scaled(2000);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, i < 3 ? takes_as_thread : waits_late, &s), 0);
    CHECK_EQ(run_on(4, puts_and_takes, &s), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(s.taken, (int64_t)s.rounds);
    CHECK_EQ(s.mutex.state.raw, 0);
}
