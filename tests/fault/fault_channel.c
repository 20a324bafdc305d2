/* Channels that cannot get memory: they are not made; or an unbounded one does not grow, and the sender keeps its
 * value. What was sent before is received. */
#include "skua/channel.h"

#include <errno.h>

#include "support/faults.h"
#include "support/test.h"

enum { VALUES = 1000, SIZE = 24 };

static void create_bounded(void *arg)
{
    (void)arg;
    skua_channel *channel;
    if (faults_done(skua_channel_create(&channel, SIZE, 100)))
        CHECK_OK(skua_channel_destroy(channel));
}

static int64_t send_somehow(skua_channel *channel, uint64_t i, uint64_t (*values)[SIZE / 8])
{
    skua_channel_op op;
    values[0][0] = i;
    values[1][0] = i + 1;
    switch (i % 4) {
    case 0:
        return skua_send(channel, values[0]);
    case 1:
        return skua_try_send(channel, values[0]);
    case 2:
        return skua_await(skua_send_start(&op, channel, values[0]));
    default: {
        int64_t n = skua_send_many(channel, values, 2);
        return n > 0 ? n - 1 : n;
    }
    }
}

static void grow(void *arg)
{
    (void)arg;
    skua_channel *channel;
    uint64_t values[2][SIZE / 8] = { { 0 } }, sent = 0, received = 0;
    if (!faults_done(skua_channel_create(&channel, SIZE, SKUA_UNBOUNDED)))
        return;
    for (uint64_t i = 0; i < VALUES; i++) {
        int64_t rc = send_somehow(channel, sent, values);
        if (rc >= 0)
            sent += 1 + (uint64_t)rc;
        else
            CHECK(!faults_done(rc) && rc == -ENOMEM);
        if (i % 3 != 0)
            continue;
        rc = skua_try_receive(channel, values[0]);
        CHECK(rc == 1 || (rc == -EAGAIN && sent == received));
        if (rc == 1)
            CHECK_EQ(values[0][0], received++);
    }
    CHECK_EQ(skua_channel_length(channel), sent - received);
    skua_channel_close(channel);
    while (skua_receive(channel, values[0]) == 1)
        CHECK_EQ(values[0][0], received++);
    CHECK_EQ(received, sent);
    CHECK_OK(skua_channel_destroy(channel));
}

TEST(without_memory_for_a_channel) { FAULTS_EACH(create_bounded, NULL, FAULT_malloc, FAULT_aligned_alloc); }
TEST(without_memory_to_grow) { FAULTS_EACH(grow, NULL, FAULT_malloc, FAULT_aligned_alloc); }
