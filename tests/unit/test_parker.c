/* Parking. Threads: tokens, deadlines, interruptions, ping-pong, waiting for a word. Tasks: futures, alone and as
 * children of a set, woken and cancelled; wakes that come while the task runs.
 */
#define _GNU_SOURCE
#include "sched/parker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "support/parks.h"
#include "support/with_runtime.h"

static uint32_t token_of(const struct skuai_parker *parker) { return skuai_load_32(&parker->token, SKUAI_RELAXED); }

TEST(a_token_given_before_is_taken_without_sleeping)
{
    struct skuai_parker parker = { .sim_index = 0 };
    CHECK(!skuai_unpark_real(&parker)); /* nobody sleeps: no kernel wake-up */
    CHECK_EQ(token_of(&parker), SKUAI_PARKER_TOKEN);
    CHECK(skuai_park_real(&parker, SKUA_NEVER));
    CHECK_EQ(token_of(&parker), SKUAI_PARKER_EMPTY);
}

TEST(tokens_do_not_add_up)
{
    struct skuai_parker parker = { .sim_index = 0 };
    for (int i = 0; i < 3; i++)
        CHECK(!skuai_unpark_real(&parker));
    CHECK(skuai_park_real(&parker, SKUA_NEVER));
    CHECK(!skuai_park_real(&parker, 0));
    CHECK_EQ(token_of(&parker), SKUAI_PARKER_EMPTY);
}

TEST(the_steps_of_a_sleep)
{
    struct skuai_parker parker = { .sim_index = 0 };
    CHECK(!skuai_parker_begin(&parker, SKUAI_PARKER_PARKED));
    CHECK_EQ(token_of(&parker), SKUAI_PARKER_PARKED);
    CHECK(!skuai_parker_end(&parker)); /* awake for another reason */
    CHECK_EQ(token_of(&parker), SKUAI_PARKER_EMPTY);
    CHECK(!skuai_parker_begin(&parker, SKUAI_PARKER_PARKED));
    CHECK_EQ(skuai_parker_give(&parker), SKUAI_PARKER_PARKED); /* needs a kernel wake-up … */
    CHECK_EQ(skuai_parker_give(&parker), SKUAI_PARKER_TOKEN); /* … once */
    CHECK(skuai_parker_end(&parker));
    CHECK_EQ(skuai_parker_give(&parker), SKUAI_PARKER_EMPTY);
    CHECK(skuai_parker_begin(&parker, SKUAI_PARKER_PARKED)); /* nothing to sleep for */
    CHECK_EQ(token_of(&parker), SKUAI_PARKER_EMPTY);
}

/* Without a token a park may return false before its deadline, but then it has slept for another reason; with the
 * deadline passed it returns false; and it never claims a token that nobody gave. */
TEST(a_deadline_ends_a_park)
{
    struct skuai_parker parker = { .sim_index = 0 };
    CHECK(!skuai_park_real(&parker, 0));
    CHECK(!skuai_park_real(&parker, skuai_clock_now()));
    for (uint64_t pause = SKUA_US; pause < 5 * SKUA_MS; pause *= 3) {
        uint64_t until = skuai_clock_now() + pause;
        while (skuai_clock_now() < until)
            CHECK(!skuai_park_real(&parker, until));
        CHECK_EQ(token_of(&parker), SKUAI_PARKER_EMPTY);
    }
    CHECK(!skuai_unpark_real(&parker));
    CHECK(skuai_park_real(&parker, 0)); /* a token counts, deadline or not */
}

/* ---- ping-pong ----------------------------------------------------------------------------------------------- */

struct table {
    struct skuai_parker parkers[2];
    uint64_t ball; /* plain: goes back and forth with the tokens */
    uint64_t rounds;
    uint64_t wakes[2];
};

struct player {
    struct table *table;
    uint32_t side;
};

static void *player_main(void *arg)
{
    const struct player *self = arg;
    struct table *table = self->table;
    for (uint64_t round = 0; round < table->rounds; round++) {
        if (round != 0 || self->side != 0)
            while (!skuai_park_real(&table->parkers[self->side], SKUA_NEVER))
                ;
        CHECK_EQ(table->ball, 2 * round + self->side);
        table->ball++;
        table->wakes[self->side] += skuai_unpark_real(&table->parkers[1 - self->side]);
    }
    return NULL;
}

TEST(ping_pong)
{
    struct table table = { .rounds = test_scaled(10000) };
    struct player players[2] = { { &table, 0 }, { &table, 1 } };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, player_main, &players[i]), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(table.ball, 2 * table.rounds);
    CHECK(table.wakes[0] <= table.rounds && table.wakes[1] <= table.rounds);
    CHECK_EQ(token_of(&table.parkers[0]), SKUAI_PARKER_TOKEN); /* the last pass: its receiver was done */
    CHECK_EQ(token_of(&table.parkers[1]), SKUAI_PARKER_EMPTY);
}

/* ---- many givers --------------------------------------------------------------------------------------------- */

enum { GIVERS = 3 };

struct crowd {
    struct skuai_parker parker;
    skua_word64 done[GIVERS]; /* relaxed: only the token carries them */
    uint64_t rounds;
};

struct giver {
    struct crowd *crowd;
    uint32_t index;
};

static void *giver_main(void *arg)
{
    const struct giver *self = arg;
    for (uint64_t i = 1; i <= self->crowd->rounds; i++) {
        skuai_store_64(&self->crowd->done[self->index], i, SKUAI_RELAXED);
        skuai_unpark_real(&self->crowd->parker);
        if (i % 64 == self->index)
            sched_yield();
    }
    return NULL;
}

/* Each giver's last token comes after all its work: who parks until all work is seen never sleeps for ever. */
TEST(no_token_is_lost_among_many_givers)
{
    struct crowd crowd = { .rounds = test_scaled(20000) };
    struct giver givers[GIVERS];
    pthread_t threads[GIVERS];
    for (uint32_t i = 0; i < GIVERS; i++) {
        givers[i] = (struct giver){ &crowd, i };
        CHECK_EQ(pthread_create(&threads[i], NULL, giver_main, &givers[i]), 0);
    }
    uint64_t seen;
    do {
        while (!skuai_park_real(&crowd.parker, SKUA_NEVER))
            ;
        seen = 0;
        for (uint32_t i = 0; i < GIVERS; i++)
            seen += skuai_load_64(&crowd.done[i], SKUAI_RELAXED);
    } while (seen != GIVERS * crowd.rounds);
    for (uint32_t i = 0; i < GIVERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

/* ---- interruptions ------------------------------------------------------------------------------------------- */

static void on_signal(int number) { (void)number; }

struct sleeper {
    struct skuai_parker parker;
    skua_word32 told;
    uint32_t early;
};

static void *sleeper_main(void *arg)
{
    struct sleeper *sleeper = arg;
    while (!skuai_park_real(&sleeper->parker, SKUA_NEVER))
        sleeper->early++;
    CHECK_EQ(skuai_load_32(&sleeper->told, SKUAI_RELAXED), 1); /* the token carries it */
    return NULL;
}

TEST(a_signal_is_no_token)
{
    struct sigaction action = { .sa_handler = on_signal }, before;
    struct sleeper sleeper = { .early = 0 };
    pthread_t thread;
    CHECK_EQ(sigaction(SIGUSR1, &action, &before), 0);
    CHECK_EQ(pthread_create(&thread, NULL, sleeper_main, &sleeper), 0);
    for (int i = 0; i < 20; i++) {
        while (token_of(&sleeper.parker) != SKUAI_PARKER_PARKED)
            sched_yield();
        CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
    }
    skuai_store_32(&sleeper.told, 1, SKUAI_RELAXED);
    skuai_unpark_real(&sleeper.parker);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(sleeper.early <= 20);
    CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
}

/* ---- words --------------------------------------------------------------------------------------------------- */

struct countdown {
    skua_word32 word;
    uint32_t steps;
};

static void *counts_down(void *arg)
{
    struct countdown *countdown = arg;
    for (uint32_t i = 0; i < countdown->steps; i++) {
        skuai_sub_32(&countdown->word, 1, SKUAI_RELEASE);
        skuai_word_wake_real(&countdown->word);
    }
    return NULL;
}

TEST(a_word_is_waited_for)
{
    struct countdown countdown = { .steps = (uint32_t)test_scaled(5000) };
    pthread_t thread;
    skuai_store_32(&countdown.word, countdown.steps, SKUAI_RELAXED);
    skuai_word_wait_real(&countdown.word, countdown.steps + 1, SKUA_NEVER); /* it has another value */
    skuai_word_wait_real(&countdown.word, countdown.steps, 0);              /* the time has come */
    CHECK_EQ(pthread_create(&thread, NULL, counts_down, &countdown), 0);
    uint32_t seen;
    while ((seen = skuai_load_32(&countdown.word, SKUAI_ACQUIRE)) != 0)
        skuai_word_wait_real(&countdown.word, seen, SKUA_NEVER);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* ---- tasks --------------------------------------------------------------------------------------------------- */

static int park_futures(void *arg)
{
    (void)arg;
    for (int cancel = 0; cancel < 2; cancel++) {
        struct stage stage = { .go = { 0 } };
        skua_task *task;
        int64_t result = 0;
        CHECK_OK(SKUA_SPAWN(&task, parks, .stage = &stage));
        wait_until_ready(&stage, 1);
        if (cancel)
            skua_cancel(task);
        else
            go(&stage);
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, cancel ? -ECANCELED : RESULT);
        skua_wake(stage.waker); /* stale */
        skua_waker_cancel(stage.waker);
    }
    skua_wake((skua_waker){ .task = NULL });
    skua_waker_cancel((skua_waker){ .task = NULL });
    return 0;
}
TEST(futures_park_until_woken_or_cancelled) { run_everywhere(park_futures, NULL); }

/* The task's one waker is for all children that are parked. */
static int three(void *arg)
{
    struct parks futures[3];
    skua_child children[3];
    for (int i = 0; i < 3; i++)
        skua_child_future(&children[i], SKUA_FUTURE(&futures[i], parks, .stage = arg));
    int64_t result = skua_join_all(children, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(children[i].result, result < 0 ? result : RESULT);
    return (int)result;
}

static int park_children(void *arg)
{
    (void)arg;
    for (int cancel = 0; cancel < 2; cancel++) {
        struct stage stage = { .go = { 0 } };
        skua_task *task;
        int64_t result = 1;
        CHECK_OK(skua_spawn(&task, three, &stage));
        wait_until_ready(&stage, 3);
        if (cancel)
            skua_cancel(task);
        else
            go(&stage);
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, cancel ? -ECANCELED : 0);
    }
    return 0;
}
TEST(children_of_a_set_park) { run_everywhere(park_children, NULL); }

/* A wake of a task that runs makes its next park return at once; so it may wake itself. */
struct wakes_itself {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    int left;
};

SKUA_ASYNC(wakes_itself)
{
    SKUA_BEGIN(self);
    for (self->left = 20; self->left > 0; self->left--) {
        skua_wake(skua_waker_self());
        skua_wake(skua_waker_self());
        SKUA_PARK();
    }
    skua_cancel(skua_self());
    for (self->left = 20; self->left > 0; self->left--)
        SKUA_PARK(); /* does not wait any more */
    SKUA_END(RESULT);
}

static int self_wakes(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = 0;
    for (int i = 0; i < 20; i++) {
        skua_wake(skua_waker_self());
        skua_wake(skua_waker_self());
        CHECK_EQ(skua_park(), 0);
    }
    CHECK_OK(SKUA_SPAWN(&task, wakes_itself));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, RESULT);
    return 0;
}
TEST(a_task_wakes_itself) { run_everywhere(self_wakes, NULL); }
