/* Channels in selects: exactly one arm moves a value, whoever is at the other end. */
#include "skua/channel.h"

#include <errno.h>
#include <pthread.h>

#include "support/with_runtime.h"

static skua_channel *channel_of(size_t capacity)
{
    skua_channel *channel;
    CHECK_OK(skua_channel_create(&channel, sizeof(uint64_t), capacity));
    return channel;
}

static void destroy(skua_channel *channel) { CHECK_OK(skua_channel_destroy(channel)); }

static int one_by_one(void *arg)
{
    (void)arg;
    skua_channel *a = channel_of(1), *b = channel_of(0), *unbounded = channel_of(SKUA_UNBOUNDED);
    skua_channel_op send_a, receive_a, send_b, receive_b, send_u, receive_u;
    uint64_t out = 7, in = 0;
    skua_op *arms[] = { skua_receive_prepare(&receive_a, a, &in), skua_send_prepare(&send_a, a, &out),
                        skua_receive_prepare(&receive_b, b, &in), skua_send_prepare(&send_b, b, &out) };
    CHECK_EQ(skua_select_try(arms, 1), -EAGAIN);
    CHECK_EQ(skua_select_try(&arms[2], 2), -EAGAIN); /* the ends of one select do not meet */
    CHECK_EQ(skua_select_until(&arms[2], 2, skua_after(SKUA_US)), -ETIMEDOUT);
    CHECK_EQ(skua_select(arms, 4), 1);
    CHECK_EQ(send_a.result, 0);
    CHECK_EQ(skua_select(arms, 4), 0);
    CHECK_EQ(receive_a.result, 1);
    CHECK_EQ(in, 7);
    CHECK_EQ(skua_channel_length(a), 0);
    out = 8;
    CHECK_EQ(SKUA_SELECT(skua_receive_prepare(&receive_u, unbounded, &in), skua_send_prepare(&send_u, unbounded, &out)),
             1);
    CHECK_EQ(SKUA_SELECT(&receive_u.op, &receive_a.op), 0);
    CHECK_EQ(in, 8);
    skua_channel_close(b);
    int64_t arm = skua_select(&arms[2], 2);
    CHECK(arm == 0 || arm == 1);
    CHECK_EQ(arm == 0 ? receive_b.result : send_b.result, arm == 0 ? 0 : -EPIPE);
    destroy(a);
    destroy(b);
    destroy(unbounded);
    return 0;
}
TEST(arms_one_by_one) { run_everywhere(one_by_one, NULL); }
TEST(arms_of_a_plain_thread) { CHECK_EQ(one_by_one(NULL), 0); }

/* A task's own arms wait at both ends of one channel; others come to each. */
static int sends_in(void *arg) { return skua_send(arg, &(uint64_t){ 5 }); }
static int receives_from(void *arg)
{
    uint64_t value = 0;
    return skua_receive(arg, &value) == 1 ? (int)value : -1;
}

static int both_ends(void *arg)
{
    (void)arg;
    skua_channel *channel = channel_of(0);
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t out = 9, in = 0;
        int64_t result;
        skua_channel_op send, receive;
        skua_task *task;
        CHECK_OK(skua_spawn(&task, i % 2 ? sends_in : receives_from, channel));
        int64_t arm = SKUA_SELECT(skua_send_prepare(&send, channel, &out),
                                  skua_receive_prepare(&receive, channel, &in));
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(arm, i % 2);
        CHECK_EQ(result, i % 2 ? 0 : 9);
        CHECK_EQ(in, i % 2 ? 5 : 0);
    }
    destroy(channel);
    return 0;
}
TEST(a_select_at_both_ends) { run_everywhere(both_ends, NULL); }

/* ---- selects against selects: each value that is sent is received, once ------------------------------------------ */

enum { CHANNELS = 3, TASKS = 4 };

struct market {
    skua_channel *channels[CHANNELS];
    uint64_t rounds;
    uint64_t sent, received, sum_sent, sum_received; /* __atomic */
};

static void count(uint64_t *what, uint64_t by) { __atomic_add_fetch(what, by, __ATOMIC_RELAXED); }

/* Sends and receives at all channels at once. Until there have been enough rounds, or all is closed. */
static void trade(struct market *market, uint64_t id)
{
    skua_channel_op ops[2 * CHANNELS];
    skua_op *arms[2 * CHANNELS];
    uint64_t in[CHANNELS], out = 0;
    for (size_t i = 0; i < CHANNELS; i++) {
        arms[i] = skua_send_prepare(&ops[i], market->channels[i], &out);
        arms[CHANNELS + i] = skua_receive_prepare(&ops[CHANNELS + i], market->channels[i], &in[i]);
    }
    for (uint64_t i = 0; i < market->rounds; i++) {
        out = id << 32 | i;
        int64_t arm = i % 5 == 0 ? skua_select_until(arms, 2 * CHANNELS, skua_after(20 * SKUA_US))
                                 : skua_select(arms, 2 * CHANNELS);
        if (arm == -ETIMEDOUT)
            continue;
        CHECK(arm >= 0);
        int64_t result = ops[arm].result;
        if (arm < CHANNELS) {
            if (result == -EPIPE)
                return;
            CHECK_EQ(result, 0);
            count(&market->sent, 1);
            count(&market->sum_sent, out);
        } else {
            if (result == 0)
                return;
            CHECK_EQ(result, 1);
            count(&market->received, 1);
            count(&market->sum_received, in[arm - CHANNELS]);
        }
    }
    /* who leaves first would leave the others waiting */
    for (size_t i = 0; i < CHANNELS; i++)
        skua_channel_close(market->channels[i]);
}

struct trader {
    struct market *market;
    uint64_t id;
};

static int trades(void *arg)
{
    struct trader *trader = arg;
    trade(trader->market, trader->id);
    return 0;
}

static void *trades_in_thread(void *arg)
{
    trades(arg);
    return NULL;
}

static void open_market(struct market *market, size_t capacity, uint64_t rounds)
{
    *market = (struct market){ .rounds = rounds };
    for (size_t i = 0; i < CHANNELS; i++)
        market->channels[i] = channel_of(capacity);
}

/* What is left in the channels counts as received. */
static void close_market(struct market *market)
{
    uint64_t value;
    for (size_t i = 0; i < CHANNELS; i++) {
        while (skua_try_receive(market->channels[i], &value) == 1) {
            count(&market->received, 1);
            count(&market->sum_received, value);
        }
        destroy(market->channels[i]);
    }
    CHECK_EQ(market->sent, market->received);
    CHECK_EQ(market->sum_sent, market->sum_received);
}

static int traders(void *arg)
{
    (void)arg;
    for (size_t capacity = 0; capacity < 2; capacity++) {
        struct market market;
        struct trader trader[TASKS];
        skua_task *tasks[TASKS];
        open_market(&market, capacity, test_scaled(600));
        for (size_t i = 0; i < TASKS; i++) {
            trader[i] = (struct trader){ &market, i };
            CHECK_OK(skua_spawn(&tasks[i], trades, &trader[i]));
        }
        for (size_t i = 0; i < TASKS; i++)
            CHECK_OK(skua_join(tasks[i], NULL));
        close_market(&market);
    }
    return 0;
}
TEST(selects_meet_selects) { run_everywhere(traders, NULL); }

static int trades_fibers(void *arg)
{
    struct trader *trader = arg;
    skua_task *tasks[2];
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn(&tasks[i], trades, &trader[i]));
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}

TEST(plain_threads_meet_fibers)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        struct market market;
        struct trader trader[TASKS];
        pthread_t threads[2];
        open_market(&market, capacity, test_scaled(2000));
        for (size_t i = 0; i < TASKS; i++)
            trader[i] = (struct trader){ &market, i };
        for (int i = 0; i < 2; i++)
            CHECK_EQ(pthread_create(&threads[i], NULL, trades_in_thread, &trader[2 + i]), 0);
        CHECK_EQ(run_on(2, trades_fibers, trader), 0);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
        close_market(&market);
    }
}

/* ---- in futures -------------------------------------------------------------------------------------------------- */

struct merges {
    SKUA_FRAME;
    struct {
        skua_channel *a, *b, *to;
    } in;
    skua_channel_op ops[3];
    skua_op *arms[2];
    skua_selection selection;
    uint64_t values[2];
};
SKUA_ASYNC(merges)
{
    SKUA_BEGIN(self);
    self->arms[0] = skua_receive_prepare(&self->ops[0], self->in.a, &self->values[0]);
    self->arms[1] = skua_receive_prepare(&self->ops[1], self->in.b, &self->values[1]);
    for (;;) {
        SKUA_AWAIT(skua_select_start(&self->selection, self->arms, 2));
        if (SKUA_RESULT(&self->selection) < 0 || self->ops[SKUA_RESULT(&self->selection)].result != 1)
            break;
        SKUA_AWAIT(skua_send_start(&self->ops[2], self->in.to, &self->values[SKUA_RESULT(&self->selection)]));
    }
    SKUA_END(SKUA_RESULT(&self->selection));
}

struct numbers {
    skua_channel *to;
    uint64_t first, count;
};
static int sends_numbers(void *arg)
{
    struct numbers *numbers = arg;
    for (uint64_t i = 0; i < numbers->count; i++)
        CHECK_OK(skua_send(numbers->to, &(uint64_t){ numbers->first + i }));
    return 0;
}

static int merging(void *arg)
{
    (void)arg;
    uint64_t rounds = test_scaled(300);
    skua_channel *a = channel_of(0), *b = channel_of(2), *merged = channel_of(1);
    struct numbers numbers[2] = { { a, 0, rounds }, { b, 1u << 20, rounds } };
    uint64_t next[2] = { 0, 1u << 20 }, value;
    skua_task *tasks[2], *merger;
    int64_t result;
    CHECK_OK(SKUA_SPAWN(&merger, merges, .a = a, .b = b, .to = merged));
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn(&tasks[i], sends_numbers, &numbers[i]));
    for (uint64_t i = 0; i < 2 * rounds; i++) {
        CHECK_EQ(skua_receive(merged, &value), 1);
        CHECK_EQ(value, next[value >> 20]++);
    }
    skua_cancel(merger);
    CHECK_OK(skua_join(merger, &result));
    CHECK_EQ(result, -ECANCELED);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    destroy(a);
    destroy(b);
    destroy(merged);
    return 0;
}
TEST(a_future_selects) { run_everywhere(merging, NULL); }
