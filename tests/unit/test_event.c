/* Events: manual ones let everybody go on, automatic ones one at a time, and none is lost. */
#include <errno.h>
#include <string.h>

#include "skua/event.h"
#include "support/crowd.h"

static int kinds(void *arg)
{
    (void)arg;
    skua_event m = SKUA_EVENT_INIT(SKUA_EVENT_MANUAL), a;
    skua_event_init(&a, SKUA_EVENT_AUTO);
    CHECK(!skua_event_is_set(&m) && !skua_event_is_set(&a));
    CHECK_EQ(skua_event_try_wait(&m), -EAGAIN);
    CHECK_EQ(skua_event_try_wait(&a), -EAGAIN);
    CHECK_EQ(skua_event_wait_until(&m, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(skua_event_wait_until(&a, 0), -ETIMEDOUT);
    CHECK(m.waiters.first == NULL && a.waiters.first == NULL);
    skua_event_set(&m);
    skua_event_set(&m);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(skua_event_wait(&m), 0);
        CHECK_EQ(skua_event_try_wait(&m), 0);
        CHECK_EQ(skua_event_wait_until(&m, 0), 0);
    }
    CHECK(skua_event_reset(&m));
    CHECK(!skua_event_reset(&m));
    CHECK_EQ(skua_event_try_wait(&m), -EAGAIN);
    skua_event_set(&a);
    skua_event_set(&a); /* two are one */
    CHECK_EQ(skua_event_wait(&a), 0);
    CHECK_EQ(skua_event_try_wait(&a), -EAGAIN);
    skua_event_set(&a);
    CHECK(skua_event_reset(&a));
    CHECK_EQ(skua_event_try_wait(&a), -EAGAIN);
    skua_event_set(&a);
    skua_cancel(skua_self());
    CHECK_EQ(skua_event_wait(&a), -ECANCELED);
    CHECK(skua_event_is_set(&a));
    return 0;
}
TEST(both_kinds) { run_everywhere(kinds, NULL); }

struct shared {
    skua_event event;
    int done;
};
static int waits(void *arg)
{
    struct shared *shared = arg;
    int rc = skua_event_wait(&shared->event);
    if (rc == 0)
        __atomic_add_fetch(&shared->done, 1, __ATOMIC_RELAXED);
    return rc;
}

static int waiters(void *arg)
{
    (void)arg;
    for (int kind = SKUA_EVENT_MANUAL; kind <= SKUA_EVENT_AUTO; kind++) {
        struct shared shared = { .event = SKUA_EVENT_INIT((enum skua_event_kind)kind) };
        skua_task *tasks[5];
        int64_t result;
        for (int i = 0; i < 5; i++)
            CHECK_OK(skua_spawn(&tasks[i], waits, &shared));
        crowd_until(&shared.event.lock, &shared.event.waiters, 5);
        skua_cancel(tasks[2]);
        CHECK_OK(skua_join(tasks[2], &result));
        CHECK_EQ(result, -ECANCELED);
        tasks[2] = tasks[4];
        for (int i = 0; i < (kind == SKUA_EVENT_AUTO ? 4 : 1); i++)
            skua_event_set(&shared.event);
        crowd_join(tasks, 4);
        CHECK_EQ(shared.done, 4);
        CHECK_EQ(skua_event_is_set(&shared.event), kind == SKUA_EVENT_MANUAL);
    }
    return 0;
}
TEST(many_waiters) { run_everywhere(waiters, NULL); }

struct waits {
    SKUA_FRAME;
    struct {
        skua_event *event;
    } in;
    skua_op wait;
};
SKUA_ASYNC(waits)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_event_wait_start(&self->wait, self->in.event));
    SKUA_END(self->wait.result);
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_event event = SKUA_EVENT_INIT(SKUA_EVENT_AUTO);
    skua_task *task;
    int64_t result;
    struct waits f[2];
    skua_child kids[2];
    CHECK_OK(SKUA_SPAWN(&task, waits, .event = &event));
    crowd_until(&event.lock, &event.waiters, 1);
    skua_event_set(&event);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    CHECK_OK(SKUA_SPAWN(&task, waits, .event = &event));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    skua_event_set(&event);
    for (int i = 0; i < 2; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&f[i], waits, .event = &event));
    int64_t first = skua_race(kids, 2);
    CHECK(first == 0 || first == 1);
    CHECK_EQ(kids[first].result, 0);
    CHECK_EQ(kids[1 - first].result, -ECANCELED);
    CHECK(event.waiters.first == NULL);
    return 0;
}
TEST(in_futures_and_sets) { run_everywhere(in_futures, NULL); }

/* The waiter's own stack has the event: it goes as soon as it has waited. */
struct errand {
    skua_event done;
    skua_event *starts;
};
static int runs_errands(void *arg)
{
    struct errand **post = arg; /* one at a time, __atomic */
    for (struct errand *errand; (errand = __atomic_exchange_n(post, NULL, __ATOMIC_ACQUIRE)) != (void *)post;)
        errand != NULL ? skua_event_set(&errand->done) : (void)skua_yield();
    return 0;
}
static int errands(void *arg)
{
    (void)arg;
    struct errand *post = NULL;
    skua_task *runner;
    CHECK_OK(skua_spawn(&runner, runs_errands, &post));
    for (uint64_t i = 0; i < test_scaled(2000); i++) {
        struct errand errand = { SKUA_EVENT_INIT(i % 2 ? SKUA_EVENT_MANUAL : SKUA_EVENT_AUTO), NULL };
        __atomic_store_n(&post, &errand, __ATOMIC_RELEASE);
        if (i % 4 < 2)
            CHECK_EQ(skua_event_wait(&errand.done), 0);
        else
            while (skua_event_try_wait(&errand.done) != 0)
                skua_yield();
        CHECK_EQ(errand.done.lock.raw, 0);
        memset(&errand, 0xff, sizeof errand);
    }
    __atomic_store_n(&post, (struct errand *)(void *)&post, __ATOMIC_RELEASE);
    return skua_join(runner, NULL);
}
TEST(the_memory_goes_with_the_wait) { run_everywhere(errands, NULL); }

/* Each set of an automatic event is waited for by somebody before the next. */
struct turns {
    skua_event go, gone;
    uint64_t rounds, left;
    uint64_t got;
};
static void takes_turns(void *arg, unsigned who)
{
    struct turns *turns = arg;
    if (who == 0) {
        for (uint64_t i = 0; i < turns->rounds; i++) {
            skua_event_set(&turns->go);
            CHECK_EQ(skua_event_wait(&turns->gone), 0);
        }
        __atomic_store_n(&turns->left, 0, __ATOMIC_RELAXED);
        return;
    }
    while (__atomic_load_n(&turns->left, __ATOMIC_RELAXED) != 0) {
        skua_op op;
        skua_sleep_op nap;
        int rc = skua_event_wait_until(&turns->go, skua_after(who * 20 * SKUA_US));
        if (rc == -ETIMEDOUT && SKUA_SELECT(skua_event_wait_prepare(&op, &turns->go), skua_sleep_prepare(&nap, 5)) == 0)
            rc = 0;
        if (rc == 0) {
            __atomic_add_fetch(&turns->got, 1, __ATOMIC_RELAXED);
            skua_event_set(&turns->gone);
        }
    }
}
static int turns(void *arg)
{
    (void)arg;
    struct turns t = { SKUA_EVENT_INIT(SKUA_EVENT_AUTO), SKUA_EVENT_INIT(SKUA_EVENT_AUTO), test_scaled(100), 1, 0 };
    crowd_of_fibers(4, takes_turns, &t);
    CHECK_EQ(t.got, t.rounds);
    return 0;
}
TEST(each_set_lets_one_go_on) { run_everywhere(turns, NULL); }

TEST(with_plain_threads)
{
    struct turns t = { SKUA_EVENT_INIT(SKUA_EVENT_AUTO), SKUA_EVENT_INIT(SKUA_EVENT_AUTO), test_scaled(2000), 1, 0 };
    crowd_of_all(2, 4, 3, takes_turns, &t);
    CHECK_EQ(t.got, t.rounds);
}
