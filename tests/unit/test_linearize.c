/* The checker of linearizability (support/linearize.h), tried on histories of which it is known what they are, and
 * against trying all orders.
 */
#include "support/linearize.h"

#include <errno.h>
#include <stdio.h>

#include "support/test.h"

#define OP(begin_, end_, who_, what_, arg_, result_) \
    { .begin = (begin_), .end = (end_), .who = (who_), .what = (what_), .arg = (arg_), .result = (result_) }
#define VERDICT(spec, params, ...)                                       \
    lin_check((spec), (params), (const struct lin_op[]){ __VA_ARGS__ },  \
              sizeof((const struct lin_op[]){ __VA_ARGS__ }) / sizeof(struct lin_op))

TEST(channels)
{
    struct lin_channel two = { 2 }, none = { 0 };
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 2, 0, LIN_SEND, 7, 0), OP(3, 4, 1, LIN_RECEIVE, 0, 7)), LIN_HOLDS);
    /* received before it was sent */
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(3, 4, 0, LIN_SEND, 7, 0), OP(1, 2, 1, LIN_RECEIVE, 0, 7)), LIN_BROKEN);
    /* out of order; but not if the sends overlap */
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 2, 0, LIN_SEND, 7, 0), OP(3, 4, 0, LIN_SEND, 8, 0),
                     OP(5, 6, 1, LIN_RECEIVE, 0, 8)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 4, 0, LIN_SEND, 7, 0), OP(2, 3, 1, LIN_SEND, 8, 0),
                     OP(5, 6, 1, LIN_RECEIVE, 0, 8)), LIN_HOLDS);
    /* one value twice; one too many; a full one that says it is not */
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 9, 0, LIN_SEND, 7, 0), OP(2, 8, 1, LIN_RECEIVE, 0, 7),
                     OP(3, 7, 2, LIN_RECEIVE, 0, 7)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 2, 0, LIN_SEND, 1, 0), OP(3, 4, 0, LIN_SEND, 2, 0),
                     OP(5, 6, 0, LIN_SEND, 3, 0)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 2, 0, LIN_SEND, 1, 0), OP(3, 4, 0, LIN_SEND, 2, -EAGAIN)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 2, 0, LIN_SEND, 1, 0), OP(3, 4, 0, LIN_RECEIVE, 0, -EAGAIN)),
             LIN_BROKEN);
    /* closed */
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 2, 0, LIN_SEND, 1, 0), OP(3, 4, 0, LIN_CLOSE, 0, 0),
                     OP(5, 6, 0, LIN_SEND, 2, -EPIPE), OP(7, 8, 1, LIN_RECEIVE, 0, 1),
                     OP(9, 10, 1, LIN_RECEIVE, 0, -EPIPE)), LIN_HOLDS);
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 2, 0, LIN_SEND, 1, 0), OP(3, 4, 0, LIN_CLOSE, 0, 0),
                     OP(5, 6, 1, LIN_RECEIVE, 0, -EPIPE)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 2, 0, LIN_CLOSE, 0, 0), OP(3, 4, 0, LIN_SEND, 1, 0)), LIN_BROKEN);
    /* without a buffer: who has sent has been received from */
    CHECK_EQ(VERDICT(&lin_channel, &none, OP(1, 3, 0, LIN_SEND, 7, 0), OP(2, 4, 1, LIN_RECEIVE, 0, 7)), LIN_HOLDS);
    CHECK_EQ(VERDICT(&lin_channel, &none, OP(1, 2, 0, LIN_SEND, 7, 0), OP(3, 4, 1, LIN_RECEIVE, 0, 7)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_channel, &none, OP(1, 2, 0, LIN_SEND, 7, 0)), LIN_BROKEN);
    /* not ended: it has sent or not */
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 0, 0, LIN_SEND, 7, 0), OP(3, 4, 1, LIN_RECEIVE, 0, 7)), LIN_HOLDS);
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(1, 0, 0, LIN_SEND, 7, 0), OP(3, 4, 1, LIN_RECEIVE, 0, -EAGAIN)), LIN_HOLDS);
    CHECK_EQ(VERDICT(&lin_channel, &two, OP(5, 0, 0, LIN_SEND, 7, 0), OP(3, 4, 1, LIN_RECEIVE, 0, 7)), LIN_BROKEN);
}

TEST(locks)
{
    struct lin_semaphore permits = { .permits = 3 };
    CHECK_EQ(VERDICT(&lin_mutex, NULL, OP(1, 2, 0, LIN_LOCK, 0, 0), OP(3, 7, 1, LIN_LOCK, 0, 0),
                     OP(4, 5, 0, LIN_UNLOCK, 0, 0)), LIN_HOLDS);
    CHECK_EQ(VERDICT(&lin_mutex, NULL, OP(1, 2, 0, LIN_LOCK, 0, 0), OP(3, 4, 1, LIN_LOCK, 0, 0),
                     OP(5, 6, 0, LIN_UNLOCK, 0, 0)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_mutex, NULL, OP(1, 2, 0, LIN_LOCK, 0, -EAGAIN)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_mutex, NULL, OP(1, 2, 0, LIN_LOCK, 0, 0), OP(3, 4, 1, LIN_UNLOCK, 0, 0)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_semaphore, &permits, OP(1, 2, 0, LIN_ACQUIRE, 2, 0), OP(3, 6, 1, LIN_ACQUIRE, 2, 0),
                     OP(4, 5, 0, LIN_RELEASE, 2, 0)), LIN_HOLDS);
    CHECK_EQ(VERDICT(&lin_semaphore, &permits, OP(1, 2, 0, LIN_ACQUIRE, 2, 0), OP(3, 4, 1, LIN_ACQUIRE, 2, 0),
                     OP(5, 6, 0, LIN_RELEASE, 2, 0)), LIN_BROKEN);
    CHECK_EQ(VERDICT(&lin_semaphore, &permits, OP(1, 2, 0, LIN_ACQUIRE, 1, -EAGAIN)), LIN_BROKEN);
    permits.is_fair = true;
    CHECK_EQ(VERDICT(&lin_semaphore, &permits, OP(1, 2, 0, LIN_ACQUIRE, 1, -EAGAIN)), LIN_HOLDS);
    CHECK_EQ(VERDICT(&lin_auto_event, NULL, OP(1, 2, 0, LIN_SET, 0, 0), OP(3, 6, 1, LIN_WAIT, 0, 0),
                     OP(4, 5, 2, LIN_WAIT, 0, 0)), LIN_BROKEN); /* one set, two waiters */
    CHECK_EQ(VERDICT(&lin_auto_event, NULL, OP(1, 2, 0, LIN_SET, 0, 0), OP(3, 4, 0, LIN_RESET, 0, 1),
                     OP(5, 6, 2, LIN_WAIT, 0, -EAGAIN)), LIN_HOLDS);
}

/* ---- against all orders ------------------------------------------------------------------------------------------ */

enum { FEW = 6 };

static bool any_order(const struct lin_spec *spec, const void *params, const struct lin_op *ops, uint32_t count,
                      uint32_t done, const void *state)
{
    unsigned char after[LIN_STATE_MAX];
    if (done == (1u << count) - 1)
        return spec->may_end == NULL || spec->may_end(state, params);
    for (uint32_t i = 0; i < count; i++) {
        bool is_next = !(done >> i & 1);
        for (uint32_t j = 0; j < count; j++)
            is_next = is_next && ((done >> j & 1) || ops[j].end > ops[i].begin);
        if (!is_next)
            continue;
        for (size_t b = 0; b < spec->state_bytes; b++)
            after[b] = ((const unsigned char *)state)[b];
        if (spec->step(after, params, &ops[i]) && any_order(spec, params, ops, count, done | 1u << i, after))
            return true;
    }
    return false;
}

/* Operations with any results, most of which make no sense, at moments that are all different. */
static void make_history(uint64_t *random, struct lin_op ops[FEW])
{
    uint64_t moments[2 * FEW];
    for (uint64_t i = 0; i < 2 * FEW; i++) {
        uint64_t at = test_rand(random) % (i + 1);
        moments[i] = moments[at];
        moments[at] = i + 1;
    }
    for (int i = 0; i < FEW; i++) {
        uint64_t a = moments[2 * i], b = moments[2 * i + 1], what = test_rand(random) % 9;
        static const int results[] = { 0, 0, 0, -EAGAIN, -EPIPE };
        ops[i] = (struct lin_op){ .begin = a < b ? a : b, .end = a < b ? b : a, .who = (uint32_t)i,
                                  .what = what < 4 ? LIN_SEND : what < 8 ? LIN_RECEIVE : LIN_CLOSE };
        ops[i].arg = (int64_t)(test_rand(random) % 3);
        ops[i].result = results[test_rand(random) % 5];
        if (ops[i].what == LIN_RECEIVE && ops[i].result == 0)
            ops[i].result = (int64_t)(test_rand(random) % 3);
    }
}

TEST(agrees_with_trying_all_orders)
{
    uint64_t random = test_seed(), verdicts[2] = { 0, 0 };
    for (uint64_t round = test_scaled(200000); round > 0; round--) {
        struct lin_channel params = { (uint32_t)(round % 3) };
        struct lin_op ops[FEW];
        unsigned char state[LIN_STATE_MAX];
        uint32_t count = 2 + (uint32_t)(test_rand(&random) % (FEW - 1));
        make_history(&random, ops);
        lin_channel.init(state, &params);
        bool holds = any_order(&lin_channel, &params, ops, count, 0, state);
        verdicts[holds]++;
        CHECK_EQ(lin_check(&lin_channel, &params, ops, count), holds ? LIN_HOLDS : LIN_BROKEN);
    }
    printf("  %llu hold, %llu do not\n", (unsigned long long)verdicts[1], (unsigned long long)verdicts[0]);
    CHECK(verdicts[0] != 0 && verdicts[1] != 0);
}

/* A long one, all of whose operations overlap with some: made by doing them in order, each stretched a little. */
TEST(long_histories)
{
    static struct lin_history history;
    struct lin_channel params = { 4 };
    uint64_t random = test_seed();
    for (uint64_t round = test_scaled(50); round > 0; round--) {
        int64_t sent = 0, received = 0;
        for (uint32_t i = 0; i < LIN_OPS_MAX; i++) {
            bool sends = sent - received < 4 && (sent == received || test_rand(&random) % 2);
            uint64_t at = 1000 + 10 * (uint64_t)i;
            history.ops[i] = (struct lin_op)OP(at - test_rand(&random) % 30, at + 1 + test_rand(&random) % 30, i % 4,
                                               sends ? LIN_SEND : LIN_RECEIVE, sent, sends ? 0 : received);
            sent += sends;
            received += !sends;
        }
        history.count = LIN_OPS_MAX;
        lin_must_hold(&lin_channel, &params, &history);
        /* the last value that is received was never sent */
        for (uint32_t i = LIN_OPS_MAX; i-- > 0;)
            if (history.ops[i].what == LIN_RECEIVE) {
                history.ops[i].result = 1000000;
                break;
            }
        CHECK_EQ(lin_check(&lin_channel, &params, history.ops, history.count), LIN_BROKEN);
    }
}
