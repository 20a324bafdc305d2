/* Select: exactly one arm, in fibers, futures, sets and plain threads. */
#include <errno.h>
#include <pthread.h>

#include "support/with_runtime.h"

static int events(void *arg)
{
    (void)arg;
    skua_event a = SKUA_EVENT_INIT(SKUA_EVENT_AUTO), b = SKUA_EVENT_INIT(SKUA_EVENT_AUTO);
    skua_op wait_a, wait_b;
    skua_sleep_op nap;
    skua_op *arms[] = { skua_event_wait_prepare(&wait_a, &a), skua_event_wait_prepare(&wait_b, &b),
                        skua_sleep_prepare(&nap, SKUA_MS) };
    CHECK_EQ(skua_select_try(arms, 2), -EAGAIN);
    skua_event_set(&b);
    CHECK_EQ(skua_select(arms, 2), 1);
    CHECK_EQ(wait_b.result, 0);
    CHECK(!skua_event_is_set(&b));
    skua_event_set(&a);
    skua_event_set(&b);
    CHECK_EQ(skua_select_biased(arms, 3), 0);
    CHECK(!skua_event_is_set(&a));
    CHECK(skua_event_is_set(&b)); /* the others have had no effect */
    CHECK_EQ(skua_select_try(arms, 2), 1);
    CHECK_EQ(skua_select(arms, 3), 2); /* the time is over */
    CHECK_EQ(skua_select_until(arms, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK(a.waiters.first == NULL && b.waiters.first == NULL);
    skua_event_set(&a);
    CHECK_EQ(SKUA_SELECT(skua_event_wait_prepare(&wait_a, &a), skua_sleep_prepare(&nap, SKUA_S)), 0);
    CHECK_EQ(skua_select(NULL, 0), -EINVAL);
    return 0;
}
TEST(arms_one_by_one) { run_everywhere(events, NULL); }

struct setter {
    skua_event events[8];
    uint32_t rounds;
};

static int sets_events(void *arg)
{
    struct setter *s = arg;
    for (uint32_t i = 0; i < s->rounds; i++) {
        skua_event_set(&s->events[i % 8]);
        if (i % 3 == 0)
            skua_yield();
        while (skua_event_is_set(&s->events[i % 8]))
            skua_yield();
    }
    return 0;
}

/* Each set is taken by exactly one of the selecters, else the setter or they wait for ever. */
static int selects(void *arg)
{
    struct setter *s = arg;
    skua_op ops[8], *arms[8];
    int taken = 0;
    for (int i = 0; i < 8; i++)
        arms[i] = skua_event_wait_prepare(&ops[i], &s->events[i]);
    for (;;) {
        int64_t arm = skua_select(arms, 8);
        if (arm == -ECANCELED)
            return taken;
        CHECK(arm >= 0 && arm < 8);
        taken++;
    }
}

static int exact(void *arg)
{
    (void)arg;
    struct setter s = { .rounds = (uint32_t)test_scaled(2000) };
    skua_task *setter, *takers[3];
    int64_t sum = 0, taken;
    for (int i = 0; i < 8; i++)
        skua_event_init(&s.events[i], SKUA_EVENT_AUTO);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn(&takers[i], selects, &s));
    CHECK_OK(skua_spawn(&setter, sets_events, &s));
    CHECK_OK(skua_join(setter, NULL));
    for (int i = 0; i < 3; i++) {
        skua_cancel(takers[i]);
        CHECK_OK(skua_join(takers[i], &taken));
        sum += taken;
    }
    CHECK_EQ(sum, s.rounds);
    return 0;
}
TEST(each_set_is_taken_once) { run_everywhere(exact, NULL); }

struct selects {
    SKUA_FRAME;
    struct {
        skua_event *event;
        uint64_t for_ns;
    } in;
    skua_selection selection;
    skua_op wait;
    skua_sleep_op nap;
    skua_op *arms[2];
};
SKUA_ASYNC(selects)
{
    SKUA_BEGIN(self);
    self->arms[0] = skua_event_wait_prepare(&self->wait, self->in.event);
    self->arms[1] = skua_sleep_prepare(&self->nap, self->in.for_ns);
    SKUA_AWAIT(skua_select_start(&self->selection, self->arms, 2));
    SKUA_END(SKUA_RESULT(&self->selection));
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_event event = SKUA_EVENT_INIT(SKUA_EVENT_MANUAL);
    struct selects f[3];
    skua_child kids[3];
    skua_task *task;
    int64_t result;
    CHECK_OK(SKUA_SPAWN(&task, selects, .event = &event, .for_ns = SKUA_MS));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 1);
    CHECK_OK(SKUA_SPAWN(&task, selects, .event = &event, .for_ns = SKUA_S));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    for (int i = 0; i < 3; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&f[i], selects, .event = &event,
                                                .for_ns = (uint64_t)(i + 1) * SKUA_MS));
    CHECK_EQ(skua_race(kids, 3), 0);
    CHECK_EQ(kids[0].result, 1);
    CHECK(kids[1].result == -ECANCELED || kids[1].result == 1);
    CHECK_OK(SKUA_SPAWN(&task, selects, .event = &event, .for_ns = SKUA_S));
    skua_sleep(1000);
    skua_event_set(&event);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    CHECK(event.waiters.first == NULL);
    return 0;
}
TEST(selects_in_futures_and_sets) { run_everywhere(in_futures, NULL); }

static int naps(void *arg)
{
    (void)skua_sleep(*(uint64_t *)arg);
    return 7;
}

static int joins(void *arg)
{
    (void)arg;
    uint64_t soon = SKUA_MS, late = 2 * SKUA_MS;
    skua_task *tasks[2];
    skua_join_op joins[2];
    CHECK_OK(skua_spawn(&tasks[0], naps, &late));
    CHECK_OK(skua_spawn(&tasks[1], naps, &soon));
    skua_op *arms[] = { skua_join_prepare(&joins[0], tasks[0]), skua_join_prepare(&joins[1], tasks[1]) };
    int64_t first = skua_select(arms, 2); /* 1, unless the machine is so busy that both have ended */
    CHECK(first == 0 || first == 1);
    CHECK_EQ(joins[first].value, 7);
    CHECK_EQ(skua_select(&arms[1 - first], 1), 0); /* that handle was kept */
    CHECK_EQ(joins[1 - first].value, 7);
    return 0;
}
TEST(joins_as_arms) { run_everywhere(joins, NULL); }

static void *sets_from_outside(void *arg)
{
    struct setter *s = arg;
    for (uint32_t i = 0; i < s->rounds; i++) {
        skua_event_set(&s->events[i % 8]);
        while (skua_event_is_set(&s->events[i % 8]))
            skua_yield();
    }
    return NULL;
}

TEST(a_plain_thread_selects)
{
    struct setter s = { .rounds = (uint32_t)test_scaled(20000) };
    skua_op ops[8];
    skua_op *arms[9];
    skua_sleep_op nap;
    pthread_t thread;
    for (int i = 0; i < 8; i++) {
        skua_event_init(&s.events[i], SKUA_EVENT_AUTO);
        arms[i] = skua_event_wait_prepare(&ops[i], &s.events[i]);
    }
    arms[8] = skua_sleep_prepare(&nap, SKUA_MS);
    CHECK_EQ(skua_select_try(arms, 8), -EAGAIN);
    CHECK_EQ(skua_select(arms, 9), 8);
    CHECK_EQ(skua_select_until(arms, 8, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(pthread_create(&thread, NULL, sets_from_outside, &s), 0);
    for (uint32_t i = 0; i < s.rounds; i++)
        CHECK_EQ(skua_select(arms, 8), i % 8);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 8; i++)
        CHECK(s.events[i].waiters.first == NULL);
}
