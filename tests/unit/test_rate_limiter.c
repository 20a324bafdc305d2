/* Rate limiters: never faster than the rate and a burst, in order, and nobody waits for who has given up. */
#include <errno.h>

#include "skua/rate_limiter.h"
#include "support/crowd.h"

static int basics(void *arg)
{
    (void)arg;
    skua_rate_limiter l;
    CHECK_EQ(skua_rate_limiter_init(&l, 0, SKUA_S, 1), -EINVAL);
    CHECK_EQ(skua_rate_limiter_init(&l, 1, 0, 1), -EINVAL);
    CHECK_EQ(skua_rate_limiter_init(&l, 1, SKUA_S, 0), -EINVAL);
    CHECK_EQ(skua_rate_limiter_init(&l, UINT64_MAX, SKUA_S, 1), -EINVAL);
    CHECK_EQ(skua_rate_limiter_init(&l, 1, SKUA_S, UINT64_MAX / 2), -EINVAL);
    CHECK_OK(skua_rate_limiter_init(&l, 1, 3600 * SKUA_S, 5));
    CHECK_EQ(skua_rate_limiter_acquire(&l, 6), -EINVAL);
    CHECK_EQ(skua_rate_limiter_try_acquire(&l, 6), -EINVAL);
    CHECK_EQ(skua_rate_limiter_acquire(&l, 2), 0); /* full at first */
    CHECK_EQ(skua_rate_limiter_try_acquire(&l, 3), 0);
    CHECK_EQ(skua_rate_limiter_try_acquire(&l, 1), -EAGAIN);
    CHECK_EQ(skua_rate_limiter_try_acquire(&l, 0), 0);
    CHECK_EQ(skua_rate_limiter_acquire_until(&l, 1, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK(l.pending == 0 && l.waiters.first == NULL);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_rate_limiter_acquire(&l, 1), -ETIMEDOUT);
    }
    skua_cancel(skua_self());
    CHECK_EQ(skua_rate_limiter_acquire(&l, 1), -ECANCELED);
    return 0;
}
TEST(a_bucket) { run_everywhere(basics, NULL); }

/* Rates that are no whole numbers of nanoseconds add up exactly: 3 in 10 ns for 3 million is 10 ms. */
static int rounds(void *arg)
{
    (void)arg;
    skua_rate_limiter l = SKUA_RATE_LIMITER_INIT(3, 10, 1000);
    uint64_t begin = skua_now(), left = 3000000;
    while (left > 0) {
        uint64_t n = left < 997 ? left : 997;
        CHECK_EQ(skua_rate_limiter_acquire(&l, n), 0);
        left -= n;
    }
    CHECK(skua_now() - begin >= 10 * SKUA_MS - 3334); /* less the burst */
    return 0;
}
TEST(parts_of_nanoseconds_add_up)
{
    CHECK_EQ(run_seeded(test_seed(), 1, rounds, NULL), 0);
    CHECK_EQ(run_on(1, rounds, NULL), 0);
}

/* ---- the pace ---- */

enum { PERIOD_US = 50, BURST = 5, MOST = 4096 };
struct pace {
    skua_rate_limiter l;
    uint64_t begin_ns, rounds;
    uint64_t at[MOST]; /* when each token was had */
    uint64_t tokens;   /* __atomic */
    uint64_t given_up; /* __atomic */
};

static int take(struct pace *p, uint64_t n, uint64_t *random)
{
    skua_rate_limiter_op op;
    skua_sleep_op nap;
    uint64_t patience = test_rand(random) % (8 * PERIOD_US * SKUA_US);
    switch (test_rand(random) % 5) {
    case 0: return skua_rate_limiter_acquire_until(&p->l, n, skua_after(patience));
    case 1: return skua_rate_limiter_try_acquire(&p->l, n);
    case 2: return (int)skua_await(skua_op_cancel(skua_rate_limiter_acquire_start(&op, &p->l, n)));
    case 3: return SKUA_SELECT(skua_sleep_prepare(&nap, patience),
                               skua_rate_limiter_acquire_prepare(&op, &p->l, n)) == 1 ? (int)op.op.result : -ETIMEDOUT;
    default: return skua_rate_limiter_acquire(&p->l, n);
    }
}

static void keeps_pace(void *arg, unsigned who)
{
    struct pace *p = arg;
    uint64_t random = test_seed() + who;
    for (uint64_t i = 0; i < p->rounds; i++) {
        uint64_t n = 1 + test_rand(&random) % BURST;
        int rc = take(p, n, &random);
        CHECK(rc == 0 || rc == -ETIMEDOUT || rc == -EAGAIN || rc == -ECANCELED);
        if (rc != 0) {
            __atomic_add_fetch(&p->given_up, 1, __ATOMIC_RELAXED);
            continue;
        }
        uint64_t now = skua_now(), first = __atomic_fetch_add(&p->tokens, n, __ATOMIC_RELAXED);
        for (uint64_t k = first; k < first + n && k < MOST; k++)
            p->at[k] = now;
    }
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The k-th token was not there before it had filled. */
static void check_pace(struct pace *p)
{
    uint64_t count = p->tokens < MOST ? p->tokens : MOST;
    CHECK(count > 0);
    qsort(p->at, count, sizeof p->at[0], by_time);
    for (uint64_t k = BURST; k < count; k++)
        CHECK(p->at[k] >= p->begin_ns + (k + 1 - BURST) * PERIOD_US * SKUA_US);
    CHECK(p->l.pending == 0 && p->l.waiters.first == NULL);
}

static struct pace *a_pace(uint64_t rounds_each)
{
    struct pace *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    CHECK_OK(skua_rate_limiter_init(&p->l, 1, PERIOD_US * SKUA_US, BURST));
    p->rounds = rounds_each;
    p->begin_ns = skua_now();
    return p;
}

static int paces(void *arg)
{
    (void)arg;
    struct pace *p = a_pace(test_scaled(40));
    crowd_of_fibers(6, keeps_pace, p);
    check_pace(p);
    free(p);
    return 0;
}
TEST(nobody_is_early) { run_everywhere(paces, NULL); }
TEST(nobody_is_early_with_plain_threads)
{
    for (uint32_t workers = 1; workers <= 4; workers *= 2) {
        struct pace *p = a_pace(test_scaled(100));
        crowd_of_all(workers, 5, 3, keeps_pace, p);
        check_pace(p);
        free(p);
    }
}

/* In a simulation the turns are exact. */
static int turns_at(void *arg)
{
    (void)arg;
    skua_rate_limiter l = SKUA_RATE_LIMITER_INIT(1, SKUA_MS, 1);
    uint64_t begin = skua_now();
    for (uint64_t i = 0; i < 50; i++) {
        CHECK_EQ(skua_rate_limiter_acquire(&l, 1), 0);
        CHECK(skua_now() - begin >= i * SKUA_MS && skua_now() - begin < i * SKUA_MS + SKUA_MS / 10);
    }
    skua_sleep(10 * SKUA_MS); /* it does not hold more than the burst */
    CHECK_EQ(skua_rate_limiter_try_acquire(&l, 1), 0);
    CHECK_EQ(skua_rate_limiter_try_acquire(&l, 1), -EAGAIN);
    return 0;
}
TEST(turns_in_virtual_time) { CHECK_EQ(run_seeded(test_seed(), 2, turns_at, NULL), 0); }

/* ---- giving up ----
 * Somebody wants so much that those behind him would wait for hours. When he gives up they do not. */

enum { MUCH = 1000000 };
struct hours {
    skua_rate_limiter l;
    int done; /* __atomic */
};
static struct hours an_hours(void)
{
    struct hours h = { .done = 0 };
    CHECK_OK(skua_rate_limiter_init(&h.l, 1, 20 * SKUA_MS, MUCH));
    CHECK_EQ(skua_rate_limiter_try_acquire(&h.l, MUCH), 0);
    return h;
}
static void until_so_many_wait(struct hours *h, unsigned count) { crowd_until(&h->l.lock, &h->l.waiters, count); }

static int wants_much(void *arg) { return skua_rate_limiter_acquire(&((struct hours *)arg)->l, MUCH); }
static int wants_one(void *arg)
{
    struct hours *h = arg;
    int rc = skua_rate_limiter_acquire(&h->l, 1);
    __atomic_add_fetch(&h->done, rc == 0, __ATOMIC_RELAXED);
    return rc;
}
struct wants_one {
    SKUA_FRAME;
    struct {
        struct hours *h;
    } in;
    skua_rate_limiter_op acquire;
};
SKUA_ASYNC(wants_one)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_rate_limiter_acquire_start(&self->acquire, &self->in.h->l, 1));
    __atomic_add_fetch(&self->in.h->done, self->acquire.result == 0, __ATOMIC_RELAXED);
    SKUA_END(self->acquire.result);
}

static int gives_up(void *arg)
{
    (void)arg;
    struct hours h = an_hours();
    skua_task *much[2], *one[3];
    int64_t result;
    CHECK_OK(skua_spawn(&much[0], wants_much, &h));
    until_so_many_wait(&h, 1);
    CHECK_OK(skua_spawn(&one[0], wants_one, &h));
    until_so_many_wait(&h, 2);
    CHECK_OK(skua_spawn(&much[1], wants_much, &h)); /* in the middle */
    until_so_many_wait(&h, 3);
    CHECK_OK(SKUA_SPAWN(&one[1], wants_one, .h = &h));
    until_so_many_wait(&h, 4);
    CHECK_OK(skua_spawn(&one[2], wants_one, &h));
    until_so_many_wait(&h, 5);
    for (int i = 1; i >= 0; i--) {
        skua_cancel(much[i]);
        CHECK_OK(skua_join(much[i], &result));
        CHECK_EQ(result, -ECANCELED);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_OK(skua_join(one[i], &result));
        CHECK_EQ(result, 0);
    }
    CHECK_EQ(h.done, 3);
    /* And by a select that takes another arm. */
    skua_rate_limiter_op op;
    skua_sleep_op nap;
    CHECK_OK(skua_spawn(&one[0], wants_one, &h));
    CHECK_EQ(SKUA_SELECT(skua_rate_limiter_acquire_prepare(&op, &h.l, MUCH), skua_sleep_prepare(&nap, 1000)), 1);
    CHECK_OK(skua_join(one[0], &result));
    CHECK_EQ(result, 0);
    return 0;
}
TEST(who_gives_up_is_in_nobodys_way) { run_everywhere(gives_up, NULL); }

/* The same across the border of the runtime, both ways. */
static void *plain_gives_up(void *arg)
{
    struct hours *h = arg;
    skua_rate_limiter_op op;
    skua_op *started = skua_rate_limiter_acquire_start(&op, &h->l, MUCH);
    until_so_many_wait(h, 2);
    CHECK_EQ(skua_await(skua_op_cancel(started)), -ECANCELED);
    return NULL;
}
static void *plain_wants_one(void *arg)
{
    CHECK_EQ(wants_one(arg), 0);
    return NULL;
}
static int after_a_plain_thread(void *arg)
{
    until_so_many_wait(arg, 1);
    return wants_one(arg);
}
static int before_a_plain_thread(void *arg)
{
    struct hours *h = arg;
    skua_rate_limiter_op op;
    skua_op *started = skua_rate_limiter_acquire_start(&op, &h->l, MUCH);
    until_so_many_wait(h, 2);
    CHECK_EQ(skua_await(skua_op_cancel(started)), -ECANCELED);
    return 0;
}
TEST(plain_threads_give_up_and_are_moved_up)
{
    for (uint64_t round = 0; round < test_scaled(8); round++) {
        struct hours h = an_hours();
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, plain_gives_up, &h), 0);
        CHECK_EQ(run_on(2, after_a_plain_thread, &h), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);

        h = an_hours();
        skua_runtime *rt;
        skua_config config = { .workers = 1, .ignore_environment = true };
        skua_task *task;
        CHECK_OK(skua_runtime_create(&rt, &config));
        skua_spawn_attr attr = { .runtime = rt };
        CHECK_OK(skua_spawn_with(&task, &attr, before_a_plain_thread, &h));
        until_so_many_wait(&h, 1);
        CHECK_EQ(pthread_create(&thread, NULL, plain_wants_one, &h), 0);
        CHECK_OK(skua_join(task, NULL));
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
        CHECK_OK(skua_runtime_destroy(rt));
    }
}
