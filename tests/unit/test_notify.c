/* Notifications: one for one, kept if nobody waits, never lost; and all for who waits now. */
#include <errno.h>

#include "skua/notify.h"
#include "support/crowd.h"

static int one_by_one(void *arg)
{
    (void)arg;
    skua_notify n = SKUA_NOTIFY_INIT;
    CHECK_EQ(skua_notify_try_wait(&n), -EAGAIN);
    skua_notify_one(&n);
    skua_notify_one(&n); /* two are one */
    CHECK_EQ(skua_notify_wait(&n), 0);
    CHECK_EQ(skua_notify_try_wait(&n), -EAGAIN);
    CHECK_EQ(skua_notify_wait_until(&n, skua_after(SKUA_MS)), -ETIMEDOUT);
    skua_notify_all(&n); /* nobody waits */
    CHECK_EQ(skua_notify_wait_until(&n, 0), -ETIMEDOUT);
    skua_notify_one(&n);
    CHECK_EQ(skua_notify_wait_until(&n, 0), 0);
    skua_notify_init(&n);
    skua_notify_one(&n);
    skua_cancel(skua_self());
    CHECK_EQ(skua_notify_wait(&n), -ECANCELED);
    CHECK_EQ(skua_notify_try_wait(&n), 0); /* it was left */
    return 0;
}
TEST(one_is_kept) { run_everywhere(one_by_one, NULL); }

/* Started, looked, and awaited, or not. */
static int starts(void *arg)
{
    (void)arg;
    skua_notify n = SKUA_NOTIFY_INIT;
    skua_op op, second;
    skua_notify_wait_start(&op, &n);
    CHECK(!skua_op_is_done(&op));
    skua_notify_all(&n);
    CHECK_EQ(skua_await(&op), 0);
    skua_notify_wait_start(&op, &n);
    CHECK_EQ(skua_await(skua_op_cancel(&op)), -ECANCELED);
    skua_notify_one(&n);
    CHECK_EQ(skua_await(skua_op_cancel(skua_notify_wait_start(&op, &n))), 0); /* it was there */
    skua_notify_wait_start(&op, &n);
    skua_notify_wait_start(&second, &n);
    skua_notify_one(&n);
    CHECK(skua_op_is_done(&op) && !skua_op_is_done(&second)); /* in order */
    CHECK_EQ(skua_await(&op), 0);
    CHECK_EQ(skua_await_until(&second, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK(n.waiters.first == NULL);
    return 0;
}
TEST(a_wait_counts_from_its_start) { run_everywhere(starts, NULL); }

struct shared {
    skua_notify n;
    int done;
};
static int waits(void *arg)
{
    struct shared *shared = arg;
    int rc = skua_notify_wait(&shared->n);
    __atomic_add_fetch(&shared->done, rc == 0, __ATOMIC_RELAXED);
    return rc;
}
static int all(void *arg)
{
    (void)arg;
    struct shared shared = { .n = SKUA_NOTIFY_INIT };
    skua_task *tasks[6];
    for (int i = 0; i < 6; i++)
        CHECK_OK(skua_spawn(&tasks[i], waits, &shared));
    crowd_until(&shared.n.lock, &shared.n.waiters, 6);
    skua_notify_one(&shared.n);
    crowd_until(&shared.n.lock, &shared.n.waiters, 5);
    skua_cancel(tasks[5]);
    crowd_until(&shared.n.lock, &shared.n.waiters, 4);
    skua_notify_all(&shared.n);
    crowd_join(tasks, 6);
    CHECK_EQ(shared.done, 5);
    CHECK_EQ(skua_notify_try_wait(&shared.n), -EAGAIN);
    return 0;
}
TEST(all_who_wait) { run_everywhere(all, NULL); }

static int arms(void *arg)
{
    (void)arg;
    skua_notify a = SKUA_NOTIFY_INIT, b = SKUA_NOTIFY_INIT;
    skua_op wait_a, wait_b;
    skua_op *both[] = { skua_notify_wait_prepare(&wait_a, &a), skua_notify_wait_prepare(&wait_b, &b) };
    CHECK_EQ(skua_select_try(both, 2), -EAGAIN);
    skua_notify_one(&a);
    skua_notify_one(&b);
    CHECK_EQ(skua_select_biased(both, 2), 0);
    CHECK_EQ(skua_select(both, 2), 1); /* the other one was kept */
    CHECK_EQ(skua_select_until(both, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK(a.waiters.first == NULL && b.waiters.first == NULL);
    return 0;
}
TEST(waits_as_arms) { run_everywhere(arms, NULL); }

struct waits {
    SKUA_FRAME;
    struct {
        skua_notify *n;
    } in;
    skua_op wait;
};
SKUA_ASYNC(waits)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_notify_wait_start(&self->wait, self->in.n));
    SKUA_END(self->wait.result);
}
static int in_futures(void *arg)
{
    (void)arg;
    skua_notify n = SKUA_NOTIFY_INIT;
    struct waits f[3];
    skua_child kids[3];
    skua_task *task;
    int64_t result;
    CHECK_OK(SKUA_SPAWN(&task, waits, .n = &n));
    crowd_until(&n.lock, &n.waiters, 1);
    skua_notify_one(&n);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    skua_notify_one(&n);
    for (int i = 0; i < 3; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&f[i], waits, .n = &n));
    int64_t first = skua_race(kids, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(kids[i].result, i == first ? 0 : -ECANCELED);
    CHECK_EQ(skua_notify_try_wait(&n), -EAGAIN);
    return 0;
}
TEST(in_futures_and_sets) { run_everywhere(in_futures, NULL); }

/* A queue's worth: what notify is for. Each item is worked on, or somebody sleeps for ever. */
struct items {
    skua_notify more, drained;
    int64_t items; /* __atomic */
    uint64_t rounds, worked;
    int closed;
};
static bool take_item(struct items *t)
{
    int64_t items = __atomic_load_n(&t->items, __ATOMIC_RELAXED);
    while (items > 0)
        if (__atomic_compare_exchange_n(&t->items, &items, items - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    return false;
}
static void works(void *arg, unsigned who)
{
    struct items *t = arg;
    if (who == 0) {
        for (uint64_t i = 0; i < t->rounds; i++) {
            __atomic_add_fetch(&t->items, 1, __ATOMIC_RELAXED);
            skua_notify_one(&t->more);
            if (i % 7 == 0)
                skua_yield();
        }
        while (__atomic_load_n(&t->worked, __ATOMIC_RELAXED) < t->rounds)
            CHECK_EQ(skua_notify_wait(&t->drained), 0);
        __atomic_store_n(&t->closed, 1, __ATOMIC_RELAXED);
        skua_notify_all(&t->more);
        return;
    }
    for (;;) {
        while (take_item(t)) {
            /* More may be there, for others: a notification that was kept was one for several. */
            if (__atomic_load_n(&t->items, __ATOMIC_RELAXED) > 0)
                skua_notify_one(&t->more);
            if (__atomic_add_fetch(&t->worked, 1, __ATOMIC_RELAXED) == t->rounds)
                skua_notify_one(&t->drained);
        }
        skua_op wait;
        skua_notify_wait_start(&wait, &t->more);
        if (__atomic_load_n(&t->closed, __ATOMIC_RELAXED)) {
            (void)skua_await(skua_op_cancel(&wait));
            return;
        }
        if (who % 2)
            (void)skua_await(&wait);
        else
            (void)skua_await_until(&wait, skua_after(5000));
    }
}
static int work(void *arg)
{
    (void)arg;
    struct items t = { .more = SKUA_NOTIFY_INIT, .drained = SKUA_NOTIFY_INIT, .rounds = test_scaled(200) };
    crowd_of_fibers(5, works, &t);
    CHECK_EQ(t.worked, t.rounds);
    return 0;
}
TEST(no_item_is_left) { run_everywhere(work, NULL); }
TEST(no_item_is_left_with_plain_threads)
{
    struct items t = { .more = SKUA_NOTIFY_INIT, .drained = SKUA_NOTIFY_INIT, .rounds = test_scaled(5000) };
    crowd_of_all(2, 4, 3, works, &t);
    CHECK_EQ(t.worked, t.rounds);
}
