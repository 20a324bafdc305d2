/* Channels: each form of each call, in fibers, futures and plain threads. */
#include "skua/channel.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "support/with_runtime.h"

static skua_channel *channel_of(size_t value_size, size_t capacity)
{
    skua_channel *channel;
    CHECK_OK(skua_channel_create(&channel, value_size, capacity));
    return channel;
}

static void destroy(skua_channel *channel) { CHECK_OK(skua_channel_destroy(channel)); }

static int bounded(void *arg)
{
    (void)arg;
    skua_channel *channel = channel_of(sizeof(int), 3);
    int value = 0;
    CHECK_EQ(skua_channel_capacity(channel), 3);
    CHECK_EQ(skua_channel_value_size(channel), sizeof(int));
    CHECK_EQ(skua_try_receive(channel, &value), -EAGAIN);
    for (int round = 0; round < 5; round++) { /* around the ring, from different places */
        CHECK_OK(skua_send(channel, &(int){ 1 }));
        CHECK_OK(skua_try_send(channel, &(int){ 2 }));
        CHECK_OK(skua_send_until(channel, &(int){ 3 }, 1));
        CHECK_EQ(skua_channel_length(channel), 3);
        CHECK_EQ(skua_try_send(channel, &(int){ 4 }), -EAGAIN);
        CHECK_EQ(skua_send_until(channel, &(int){ 4 }, skua_after(SKUA_US)), -ETIMEDOUT);
        CHECK_EQ(skua_receive(channel, &value), 1);
        CHECK_EQ(value, 1);
        CHECK_OK(skua_send(channel, &(int){ 4 }));
        for (int i = 2; i <= 4; i++) {
            CHECK_EQ(i == 3 ? skua_try_receive(channel, &value) : skua_receive_until(channel, &value, 1), 1);
            CHECK_EQ(value, i);
        }
        CHECK_EQ(skua_try_receive(channel, &value), -EAGAIN);
        CHECK_EQ(skua_receive_until(channel, &value, skua_after(SKUA_US)), -ETIMEDOUT);
        CHECK_EQ(value, 4);
    }
    CHECK_OK(skua_send(channel, &(int){ 5 }));
    CHECK(!skua_channel_is_closed(channel));
    skua_channel_close(channel);
    skua_channel_close(channel);
    CHECK(skua_channel_is_closed(channel));
    CHECK_EQ(skua_send(channel, &(int){ 6 }), -EPIPE);
    CHECK_EQ(skua_try_send(channel, &(int){ 6 }), -EPIPE);
    CHECK_EQ(skua_send_until(channel, &(int){ 6 }, SKUA_NEVER), -EPIPE);
    CHECK_EQ(skua_receive(channel, &value), 1);
    CHECK_EQ(value, 5);
    CHECK_EQ(skua_receive(channel, &value), 0);
    CHECK_EQ(skua_try_receive(channel, &value), 0);
    CHECK_EQ(skua_receive_until(channel, &value, SKUA_NEVER), 0);
    CHECK_EQ(value, 5);
    destroy(channel);
    return 0;
}
TEST(bounded_channel) { run_everywhere(bounded, NULL); }
TEST(bounded_channel_in_a_plain_thread) { CHECK_EQ(bounded(NULL), 0); }

TEST(create_and_destroy)
{
    skua_channel *channel;
    CHECK_EQ(skua_channel_create(&channel, SIZE_MAX / 2, 3), -ENOMEM);
    CHECK_EQ(skua_channel_create(&channel, 1, SIZE_MAX - 1), -ENOMEM);
    CHECK_EQ(skua_channel_create(&channel, SIZE_MAX - 8, 1), -ENOMEM);
    destroy(NULL);
    destroy(channel_of(1, 0));
    destroy(channel_of(0, 7));
    destroy(channel_of(7, SKUA_UNBOUNDED));
}

/* Every byte of values of any size, over the ends of rings and segments, by one and by many. */
static void bytes_of(unsigned char *value, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        value[i] = (unsigned char)(test_rand(&seed) >> 32);
}

static void check_sizes(size_t size, size_t capacity)
{
    enum { MANY = 100 };
    skua_channel *channel = channel_of(size, capacity);
    unsigned char *sent = malloc(size * MANY + 1), *got = malloc(size * MANY + 1);
    size_t ahead = capacity < MANY ? capacity : MANY;
    bytes_of(sent, size * MANY, size + 1);
    for (size_t round = 0; round < 7; round++) {
        size_t next = 0, taken = 0;
        memset(got, 0, size * MANY);
        while (taken < MANY) {
            size_t want = MANY - next < 7 + round ? MANY - next : 7 + round;
            int64_t n = round % 2 ? skua_try_send_many(channel, sent + next * size, want)
                                  : want == 0 ? 0 : 1 + skua_try_send(channel, sent + next * size);
            CHECK(n == (int64_t)want || n == 1 || n == -EAGAIN || n == 1 - EAGAIN || next + (size_t)n - taken == ahead);
            next += n > 0 ? (size_t)n : 0;
            CHECK_EQ(skua_channel_length(channel), next - taken);
            if (n > 0 && next < MANY && (next + round) % 5 != 0)
                continue;
            n = round % 3 ? skua_receive_many(channel, got + taken * size, 5 + round)
                          : skua_receive(channel, got + taken * size);
            CHECK(n > 0);
            taken += (size_t)n;
        }
        CHECK_EQ(next, MANY);
        CHECK_EQ(memcmp(sent, got, size * MANY), 0);
    }
    free(sent);
    free(got);
    destroy(channel);
}

TEST(sizes)
{
    static const size_t sizes[] = { 0, 1, 3, 4, 8, 12, 16, 24, 100, 300, 4096, 5000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_sizes(sizes[i], 1);
        check_sizes(sizes[i], 13);
        check_sizes(sizes[i], SKUA_UNBOUNDED);
    }
}

TEST(an_unbounded_channel_grows_and_shrinks)
{
    skua_channel *channel = channel_of(sizeof(uint64_t), SKUA_UNBOUNDED);
    uint64_t many = test_scaled(100000), value;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < many; i++)
            CHECK_OK(skua_send(channel, &i));
        CHECK_EQ(skua_channel_length(channel), many);
        for (uint64_t i = 0; i < many; i++) {
            CHECK_EQ(skua_receive(channel, &value), 1);
            CHECK_EQ(value, i);
        }
    }
    CHECK_OK(skua_send(channel, &many));
    destroy(channel); /* with a value in it; and nothing stays on the heap */
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

struct ends {
    skua_channel *there, *back;
    uint64_t rounds;
};

static int echoes(void *arg)
{
    struct ends *ends = arg;
    uint64_t value;
    int rc, echoed = 0;
    SKUA_RECEIVE_EACH(rc, ends->there, &value) {
        CHECK_OK(skua_send(ends->back, &value));
        echoed++;
    }
    CHECK_EQ(rc, 0);
    skua_channel_close(ends->back);
    return echoed;
}

static void ping(struct ends *ends)
{
    uint64_t value = 0;
    for (uint64_t i = 1; i <= ends->rounds; i++) {
        CHECK_OK(skua_send(ends->there, &i));
        CHECK_EQ(skua_receive(ends->back, &value), 1);
        CHECK_EQ(value, i);
    }
    skua_channel_close(ends->there);
    CHECK_EQ(skua_receive(ends->back, &value), 0);
}

static int ping_pong(void *arg)
{
    (void)arg;
    for (size_t capacity = 0; capacity < 3; capacity++) {
        struct ends ends = { channel_of(8, capacity), channel_of(8, capacity), test_scaled(300) };
        skua_task *task;
        int64_t echoed;
        CHECK_OK(skua_spawn(&task, echoes, &ends));
        ping(&ends);
        CHECK_OK(skua_join(task, &echoed));
        CHECK_EQ(echoed, ends.rounds);
        destroy(ends.there);
        destroy(ends.back);
    }
    return 0;
}
TEST(ping_and_pong) { run_everywhere(ping_pong, NULL); }

static void *echoes_in_thread(void *arg)
{
    echoes(arg);
    return NULL;
}

static int ping_fiber(void *arg)
{
    ping(arg);
    return 0;
}

TEST(ping_and_pong_with_a_plain_thread)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        struct ends ends = { channel_of(8, capacity), channel_of(8, capacity), test_scaled(500) };
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, echoes_in_thread, &ends), 0);
        CHECK_EQ(run_on(2, ping_fiber, &ends), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        destroy(ends.there);
        destroy(ends.back);
    }
}

static int sends_one(void *arg) { return skua_send(arg, &(uint64_t){ 77 }); }
static int receives_one(void *arg)
{
    uint64_t value = 0;
    int rc = skua_receive(arg, &value);
    return rc == 1 ? (int)value : rc;
}

/* Likely, the others wait by then; what is checked holds if they do not, too. */
static void let_others_run(void)
{
    for (int i = 0; i < 50; i++)
        skua_yield();
}

/* Whoever waits when it is closed, or is cancelled, is told, and keeps or leaves what it had. */
static int close_and_cancel(void *arg)
{
    (void)arg;
    for (int cancel = 0; cancel < 2; cancel++)
        for (size_t capacity = 0; capacity < 2; capacity++) {
            skua_channel *full = channel_of(8, capacity), *empty = channel_of(8, capacity);
            skua_task *senders[3], *receivers[3];
            int64_t result;
            uint64_t value = 0;
            if (capacity == 1)
                CHECK_OK(skua_send(full, &(uint64_t){ 5 }));
            for (int i = 0; i < 3; i++) {
                CHECK_OK(skua_spawn(&senders[i], sends_one, full));
                CHECK_OK(skua_spawn(&receivers[i], receives_one, empty));
            }
            let_others_run();
            for (int i = 0; i < 3 && cancel; i++) {
                skua_cancel(senders[i]);
                skua_cancel(receivers[i]);
            }
            if (!cancel) {
                skua_channel_close(full);
                skua_channel_close(empty);
            }
            for (int i = 0; i < 3; i++) {
                CHECK_OK(skua_join(senders[i], &result));
                CHECK_EQ(result, cancel ? -ECANCELED : -EPIPE);
                CHECK_OK(skua_join(receivers[i], &result));
                CHECK_EQ(result, cancel ? -ECANCELED : 0);
            }
            CHECK_EQ(skua_channel_length(full), capacity);
            CHECK_EQ(skua_try_receive(full, &value), capacity == 1 ? 1 : cancel ? -EAGAIN : 0);
            CHECK_EQ(skua_try_receive(full, &value), cancel ? -EAGAIN : 0);
            destroy(full);
            destroy(empty);
        }
    return 0;
}
TEST(waiters_are_told) { run_everywhere(close_and_cancel, NULL); }

/* Each await tests cancellation, also where it need not wait. */
static int cancelled_at_entry(void *arg)
{
    skua_channel *channel = arg;
    uint64_t value;
    skua_channel_op op;
    skua_cancel(skua_self());
    CHECK_EQ(skua_send(channel, &(uint64_t){ 9 }), -ECANCELED);
    CHECK_EQ(skua_receive(channel, &value), -ECANCELED);
    CHECK_EQ(skua_send_many(channel, &(uint64_t){ 9 }, 1), -ECANCELED);
    CHECK_EQ(skua_receive_many(channel, &value, 1), -ECANCELED);
    CHECK_EQ(skua_await(skua_send_start(&op, channel, &(uint64_t){ 9 })), -ECANCELED);
    CHECK_EQ(skua_await(skua_receive_start(&op, channel, &value)), -ECANCELED);
    CHECK_EQ(skua_try_receive(channel, &value), 1); /* what does not wait is no await */
    CHECK_EQ(value, 4);
    CHECK_OK(skua_try_send(channel, &value));
    return 0;
}

static int cancelled(void *arg)
{
    (void)arg;
    skua_channel *channel = channel_of(8, 4);
    skua_task *task;
    int64_t result;
    CHECK_OK(skua_send(channel, &(uint64_t){ 4 }));
    CHECK_OK(skua_spawn(&task, cancelled_at_entry, channel));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    CHECK_EQ(skua_channel_length(channel), 1);
    {
        SKUA_DEADLINE(0);
        uint64_t value = 0;
        CHECK_EQ(skua_send(channel, &value), -ETIMEDOUT);
        CHECK_EQ(skua_receive(channel, &value), -ETIMEDOUT);
    }
    CHECK_EQ(skua_channel_length(channel), 1);
    destroy(channel);
    return 0;
}
TEST(cancellation_comes_first) { run_everywhere(cancelled, NULL); }

/* A waiting sender's value goes into the store as soon as there is room, behind those that came before. */
static int in_order(void *arg)
{
    (void)arg;
    skua_channel *channel = channel_of(8, 2);
    skua_channel_op ops[3];
    uint64_t values[5] = { 1, 2, 3, 4, 5 }, value;
    CHECK_OK(skua_send(channel, &values[0]));
    CHECK_OK(skua_send(channel, &values[1]));
    for (int i = 0; i < 3; i++)
        CHECK(!skua_op_is_done(skua_send_start(&ops[i], channel, &values[2 + i])));
    CHECK_EQ(skua_await(skua_op_cancel(&ops[1].op)), -ECANCELED);
    CHECK_EQ(skua_receive(channel, &value), 1);
    CHECK_EQ(value, 1);
    CHECK(skua_op_is_done(&ops[0].op));
    CHECK(!skua_op_is_done(&ops[2].op));
    CHECK_EQ(skua_await(&ops[0].op), 0);
    CHECK_EQ(skua_channel_length(channel), 2);
    static const uint64_t rest[] = { 2, 3, 5 };
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(skua_receive(channel, &value), 1);
        CHECK_EQ(value, rest[i]);
    }
    CHECK_EQ(skua_await(&ops[2].op), 0);
    for (int i = 0; i < 3; i++)
        CHECK(!skua_op_is_done(skua_receive_start(&ops[i], channel, &values[i])));
    for (uint64_t i = 10; i < 13; i++)
        CHECK_OK(skua_send(channel, &i));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(skua_await(&ops[i].op), 1);
        CHECK_EQ(values[i], 10 + i);
    }
    CHECK_EQ(skua_channel_length(channel), 0);
    destroy(channel);
    return 0;
}
TEST(waiters_are_served_in_order) { run_everywhere(in_order, NULL); }

/* ---- many -------------------------------------------------------------------------------------------------------- */

struct batch {
    skua_channel *channel;
    uint64_t count, wrong;
};

static int receives_many(void *arg)
{
    struct batch *batch = arg;
    uint64_t values[50], next = 0;
    int64_t n;
    while ((n = skua_receive_many(batch->channel, values, 1 + next % 50)) > 0)
        for (int64_t i = 0; i < n; i++)
            batch->wrong += values[i] != next++;
    CHECK_EQ(n, 0);
    batch->count = next;
    return 0;
}

static int many(void *arg)
{
    (void)arg;
    static const size_t capacities[] = { 0, 1, 7, 64, 1000, SKUA_UNBOUNDED };
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        struct batch batch = { .channel = channel_of(8, capacities[c]) };
        uint64_t values[500];
        skua_task *task;
        CHECK_OK(skua_spawn(&task, receives_many, &batch));
        for (uint64_t next = 0; next < 2000;) {
            uint64_t n = 1 + next % 499;
            for (uint64_t i = 0; i < n; i++)
                values[i] = next + i;
            CHECK_EQ(skua_send_many(batch.channel, values, n), n);
            next += n;
            batch.count = next;
        }
        uint64_t sent = batch.count;
        skua_channel_close(batch.channel);
        CHECK_OK(skua_join(task, NULL));
        CHECK_EQ(batch.count, sent);
        CHECK_EQ(batch.wrong, 0);
        CHECK_EQ(skua_send_many(batch.channel, values, 1), -EPIPE);
        CHECK_EQ(skua_try_send_many(batch.channel, values, 1), -EPIPE);
        CHECK_EQ(skua_try_receive_many(batch.channel, values, 1), 0);
        destroy(batch.channel);
    }
    return 0;
}
TEST(many_at_once) { run_everywhere(many, NULL); }

struct half {
    skua_channel *channel;
    bool cancel;
};
static int sends_too_many(void *arg)
{
    struct half *half = arg;
    uint64_t values[5] = { 0, 1, 2, 3, 4 };
    int64_t sent = skua_send_many(half->channel, values, 5);
    CHECK_EQ(skua_send_many(half->channel, values, 5), half->cancel ? -ECANCELED : -EPIPE);
    return (int)sent;
}

/* What was interrupted says how many went. */
static int halves(void *arg)
{
    (void)arg;
    for (int cancel = 0; cancel < 2; cancel++) {
        struct half half = { channel_of(8, 2), cancel };
        uint64_t values[6];
        skua_task *task;
        int64_t sent;
        CHECK_EQ(skua_try_receive_many(half.channel, values, 6), -EAGAIN);
        CHECK_OK(skua_spawn(&task, sends_too_many, &half));
        CHECK_EQ(skua_receive(half.channel, values), 1);
        let_others_run();
        if (cancel)
            skua_cancel(task);
        else
            skua_channel_close(half.channel);
        CHECK_OK(skua_join(task, &sent));
        CHECK(sent >= 1 && sent <= 3);
        CHECK_EQ(skua_channel_length(half.channel), (size_t)sent - 1);
        for (int64_t i = 1; i < sent; i++) {
            CHECK_EQ(skua_try_receive_many(half.channel, values, 1), 1);
            CHECK_EQ(values[0], i);
        }
        if (cancel) {
            CHECK_EQ(skua_try_send_many(half.channel, (uint64_t[]){ 1, 2, 3 }, 3), 2);
            CHECK_EQ(skua_try_send_many(half.channel, (uint64_t[]){ 3 }, 1), -EAGAIN);
        }
        destroy(half.channel);
    }
    return 0;
}
TEST(batches_that_are_interrupted) { run_everywhere(halves, NULL); }

static int waits_with_a_value(void *arg)
{
    struct half *half = arg;
    return skua_send(half->channel, &(uint64_t){ 3 });
}

/* A batch is for those who wait for single values, too, and from them. */
static int many_and_one(void *arg)
{
    (void)arg;
    struct half half = { channel_of(8, 0), false };
    skua_task *tasks[4];
    uint64_t values[8];
    int64_t n, sum = 0;
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_spawn(&tasks[i], waits_with_a_value, &half));
    for (int got = 0; got < 4; got += (int)n)
        CHECK((n = skua_receive_many(half.channel, values, 8)) > 0);
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_spawn(&tasks[i], receives_one, half.channel));
    CHECK_EQ(skua_send_many(half.channel, (uint64_t[]){ 1, 2, 3, 4 }, 4), 4);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(skua_join(tasks[i], &n));
        sum += n;
    }
    CHECK_EQ(sum, 10);
    skua_channel *signals = channel_of(0, 100);
    CHECK_EQ(skua_send_many(signals, NULL, 100), 100);
    CHECK_EQ(skua_try_send(signals, NULL), -EAGAIN);
    CHECK_EQ(skua_receive_many(signals, NULL, 70), 70);
    CHECK_EQ(skua_receive(signals, NULL), 1);
    CHECK_EQ(skua_receive_many(signals, NULL, 70), 29);
    destroy(signals);
    destroy(half.channel);
    return 0;
}
TEST(batches_and_single_values) { run_everywhere(many_and_one, NULL); }

/* ---- futures ----------------------------------------------------------------------------------------------------- */

struct doubles {
    SKUA_FRAME;
    struct {
        skua_channel *from, *to;
    } in;
    skua_channel_op op;
    uint64_t value;
};
SKUA_ASYNC(doubles)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_receive_start(&self->op, self->in.from, &self->value));
        if (self->op.result != 1)
            break;
        self->value *= 2;
        SKUA_AWAIT(skua_send_start(&self->op, self->in.to, &self->value));
        if (self->op.result < 0)
            break;
    }
    skua_channel_close(self->in.to);
    SKUA_END(self->op.result);
}

static int feeds(void *arg)
{
    struct ends *ends = arg;
    for (uint64_t i = 0; i < ends->rounds; i++)
        CHECK_OK(skua_send(ends->there, &i));
    skua_channel_close(ends->there);
    return 0;
}

static int in_futures(void *arg)
{
    (void)arg;
    enum { STAGES = 5 };
    skua_channel *channels[STAGES + 1];
    skua_task *tasks[STAGES], *feeder;
    struct ends ends = { .rounds = test_scaled(200) };
    uint64_t value = 0, next = 0;
    int64_t result;
    for (size_t i = 0; i <= STAGES; i++)
        channels[i] = channel_of(8, i % 3);
    for (int i = 0; i < STAGES; i++)
        CHECK_OK(SKUA_SPAWN(&tasks[i], doubles, .from = channels[i], .to = channels[i + 1]));
    ends.there = channels[0];
    CHECK_OK(skua_spawn(&feeder, feeds, &ends));
    while (skua_receive(channels[STAGES], &value) == 1)
        CHECK_EQ(value, next++ << STAGES);
    CHECK_EQ(next, ends.rounds);
    CHECK_OK(skua_join(feeder, NULL));
    for (int i = 0; i < STAGES; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, 0);
    }
    for (size_t i = 0; i <= STAGES; i++)
        destroy(channels[i]);
    skua_channel *empty = channel_of(8, 0);
    CHECK_OK(SKUA_SPAWN(&tasks[0], doubles, .from = empty, .to = empty));
    let_others_run();
    skua_cancel(tasks[0]);
    CHECK_OK(skua_join(tasks[0], &result));
    CHECK_EQ(result, -ECANCELED);
    destroy(empty);
    return 0;
}
TEST(pipeline_of_futures) { run_everywhere(in_futures, NULL); }

/* ---- how long it is, by who does not use it ---------------------------------------------------------------------- */

static void *sends_in_thread(void *channel)
{
    while (skua_send(channel, &(int){ 1 }) == 0)
        ;
    return NULL;
}

static void *receives_in_thread(void *channel)
{
    int value;
    while (skua_receive(channel, &value) == 1)
        ;
    return NULL;
}

/* Who is preempted between reading how many came and how many went must not take what went meanwhile for what is
 * there. */
TEST(never_longer_than_its_capacity)
{
    skua_channel *channel = channel_of(sizeof(int), 4);
    pthread_t ends[2];
    CHECK_EQ(pthread_create(&ends[0], NULL, sends_in_thread, channel), 0);
    CHECK_EQ(pthread_create(&ends[1], NULL, receives_in_thread, channel), 0);
    size_t most = 0;
    for (int i = 0; i < 5000000 && most <= 4; i++) {
        size_t length = skua_channel_length(channel);
        most = length > most ? length : most;
    }
    skua_channel_close(channel);
    CHECK_EQ(pthread_join(ends[0], NULL), 0);
    CHECK_EQ(pthread_join(ends[1], NULL), 0);
    CHECK(most <= 4);
    destroy(channel);
}

/* ---- misuse ------------------------------------------------------------------------------------------------------ */

struct receives_in_future {
    SKUA_FRAME;
    struct {
        skua_channel *channel;
    } in;
};
SKUA_ASYNC(receives_in_future)
{
    SKUA_BEGIN(self);
    SKUA_END(skua_receive(self->in.channel, &(int){ 0 }));
}

static int misuses_future(void *arg)
{
    skua_task *task;
    CHECK_OK(SKUA_SPAWN(&task, receives_in_future, .channel = arg));
    return skua_join(task, NULL);
}

static void receive_in_a_future(void *arg) { run_on(1, misuses_future, arg); }

static int destroys_used(void *arg)
{
    skua_channel_op op;
    uint64_t value;
    skua_receive_start(&op, arg, &value);
    return skua_channel_destroy(arg);
}
static void destroy_used(void *arg) { run_on(1, destroys_used, arg); }

TEST(misuse)
{
    skua_channel *channel = channel_of(4, 1);
    test_expect_abort(receive_in_a_future, channel, "skua_receive was called inside a future's body");
    test_expect_abort(destroy_used, channel, "skua_channel_destroy was given a channel that somebody waits in");
    destroy(channel);
}
