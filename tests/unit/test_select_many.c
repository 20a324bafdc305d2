/* Selects over hundreds of arms of three kinds, whose set changes: each value, each setting of an event and each end
 * comes once, and by the arm that it is for.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "support/with_runtime.h"

enum { CHANNELS = 200, EVENTS = 60, TASKS = 40, ALL = CHANNELS + EVENTS + TASKS, EACH = 3 };

struct crowd {
    skua_channel *channels[CHANNELS];
    skua_event events[EVENTS];
    skua_task *tasks[TASKS];
};

/* What a selecter has: the arms that are not over lie at the front, in an order that changes. */
struct chooser {
    struct crowd *crowd;
    skua_op ops[ALL];
    skua_channel_op receives[CHANNELS];
    skua_join_op joins[TASKS];
    uint32_t values[CHANNELS];
    skua_op *arms[ALL];
    uint32_t what[ALL]; /* of arms[i]: a channel, an event, a task, one after the other */
    uint32_t count;
    uint32_t received[CHANNELS];
    uint32_t ends, sets, joined;
};


static int sends(void *arg)
{
    struct crowd *crowd = arg;
    for (uint32_t round = 0; round < EACH; round++)
        for (uint32_t i = 0; i < CHANNELS; i++) {
            uint32_t value = i * EACH + round;
            CHECK_OK(skua_send(crowd->channels[i], &value));
            if (skua_random() % 16 == 0)
                CHECK_OK(skua_yield());
        }
    for (uint32_t i = CHANNELS; i-- > 0;)
        skua_channel_close(crowd->channels[i]);
    return 0;
}

static int sets(void *arg)
{
    struct crowd *crowd = arg;
    for (uint32_t i = 0; i < EVENTS; i++) {
        CHECK_OK(skua_sleep(skua_random() % (20 * SKUA_US)));
        skua_event_set(&crowd->events[i * 7 % EVENTS]);
    }
    return 0;
}

static int naps(void *arg)
{
    (void)arg;
    CHECK_OK(skua_sleep(skua_random() % (200 * SKUA_US)));
    return 42;
}

static void begin(struct chooser *c, struct crowd *crowd)
{
    memset(c, 0, sizeof *c);
    c->crowd = crowd;
    for (uint32_t i = 0; i < ALL; i++) {
        c->what[i] = i;
        if (i < CHANNELS)
            c->arms[i] = skua_receive_prepare(&c->receives[i], crowd->channels[i], &c->values[i]);
        else if (i < CHANNELS + EVENTS)
            c->arms[i] = skua_event_wait_prepare(&c->ops[i], &crowd->events[i - CHANNELS]);
        else
            c->arms[i] = skua_join_prepare(&c->joins[i - CHANNELS - EVENTS], crowd->tasks[i - CHANNELS - EVENTS]);
    }
    c->count = ALL;
}

/* The arm has taken effect: once, as it should, and it goes unless more is to come of it. */
static void take(struct chooser *c, int64_t arm)
{
    CHECK(arm >= 0 && arm < c->count);
    uint32_t what = c->what[arm];
    bool is_over = true;
    if (what < CHANNELS) {
        int64_t result = c->receives[what].result;
        CHECK(result == 0 || result == 1);
        if (result == 1) {
            CHECK_EQ(c->values[what], what * EACH + c->received[what]++);
            is_over = false;
        } else {
            CHECK_EQ(c->received[what], EACH);
            c->ends++;
        }
    } else if (what < CHANNELS + EVENTS) {
        CHECK(!skua_event_is_set(&c->crowd->events[what - CHANNELS]));
        c->sets++;
    } else {
        CHECK_EQ(c->joins[what - CHANNELS - EVENTS].value, 42);
        c->joined++;
    }
    if (is_over) {
        c->count--;
        c->arms[arm] = c->arms[c->count];
        c->what[arm] = c->what[c->count];
    }
}

static void end(const struct chooser *c)
{
    CHECK_EQ(c->ends, CHANNELS);
    CHECK_EQ(c->sets, EVENTS);
    CHECK_EQ(c->joined, TASKS);
}

/* ---- who selects ------------------------------------------------------------------------------------------------ */

static int fiber_selects(void *arg)
{
    struct chooser *c = arg;
    while (c->count > 0)
        take(c, skua_random() % 2 == 0 ? skua_select(c->arms, c->count) : skua_select_biased(c->arms, c->count));
    return 0;
}

struct select_all {
    SKUA_FRAME;
    struct {
        struct chooser *chooser;
    } in;
    skua_selection selection;
};
SKUA_ASYNC(select_all)
{
    SKUA_BEGIN(self);
    while (self->in.chooser->count > 0) {
        SKUA_AWAIT(skua_select_start(&self->selection, self->in.chooser->arms, self->in.chooser->count));
        take(self->in.chooser, SKUA_RESULT(&self->selection));
    }
    SKUA_END(0);
}

static void *thread_selects(void *arg)
{
    struct chooser *c = arg;
    while (c->count > 0)
        take(c, skua_select(c->arms, c->count));
    return NULL;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static void make(struct crowd *crowd)
{
    for (int i = 0; i < CHANNELS; i++)
        CHECK_OK(skua_channel_create(&crowd->channels[i], sizeof(uint32_t), 1));
    for (int i = 0; i < EVENTS; i++)
        skua_event_init(&crowd->events[i], SKUA_EVENT_AUTO);
    for (int i = 0; i < TASKS; i++)
        CHECK_OK(skua_spawn(&crowd->tasks[i], naps, NULL));
}

static void destroy(struct crowd *crowd)
{
    for (int i = 0; i < CHANNELS; i++)
        CHECK_OK(skua_channel_destroy(crowd->channels[i]));
}

enum selecter { FIBER, FUTURE, THREAD };

static int select_by(enum selecter who)
{
    struct crowd *crowd = malloc(sizeof *crowd);
    struct chooser *chooser = malloc(sizeof *chooser);
    skua_task *sender, *setter, *selecter = NULL;
    pthread_t thread;
    int64_t result;
    CHECK(crowd != NULL && chooser != NULL);
    make(crowd);
    begin(chooser, crowd);
    if (who == FIBER)
        CHECK_OK(skua_spawn(&selecter, fiber_selects, chooser));
    else if (who == FUTURE)
        CHECK_OK(SKUA_SPAWN(&selecter, select_all, .chooser = chooser));
    else
        CHECK_EQ(pthread_create(&thread, NULL, thread_selects, chooser), 0);
    CHECK_OK(skua_spawn(&sender, sends, crowd));
    CHECK_OK(skua_spawn(&setter, sets, crowd));
    CHECK_OK(skua_join(sender, &result));
    CHECK_OK(skua_join(setter, &result));
    if (who == THREAD)
        CHECK_EQ(pthread_join(thread, NULL), 0);
    else
        CHECK_OK(skua_join(selecter, &result));
    end(chooser);
    destroy(crowd);
    free(chooser);
    free(crowd);
    return 0;
}

static int by_fiber(void *arg) { return (void)arg, select_by(FIBER); }
static int by_future(void *arg) { return (void)arg, select_by(FUTURE); }
static int by_thread(void *arg) { return (void)arg, select_by(THREAD); }

TEST(a_fiber_selects_among_300) { run_everywhere(by_fiber, NULL); }
TEST(a_future_selects_among_300) { run_everywhere(by_future, NULL); }
TEST(a_plain_thread_selects_among_300) { CHECK_EQ(run_on(4, by_thread, NULL), 0); }
