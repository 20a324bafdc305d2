/* Broadcasts: everything to everybody, or exactly how much was missed. */
#include <errno.h>
#include <string.h>

#include "skua/broadcast.h"
#include "support/crowd.h"

static int one_receiver(void *arg)
{
    (void)arg;
    skua_broadcast *b;
    skua_broadcast_receiver r, late;
    int out = 0, many[8];
    CHECK_EQ(skua_broadcast_create(&b, 4, 0), -EINVAL);
    CHECK_EQ(skua_broadcast_create(&b, SIZE_MAX, 1), -ENOMEM);
    CHECK_EQ(skua_broadcast_create(&b, 8, SIZE_MAX), -ENOMEM);
    CHECK(b == NULL);
    CHECK_OK(skua_broadcast_create(&b, sizeof out, 3)); /* 4 */
    for (int i = 0; i < 3; i++)
        CHECK_EQ(skua_broadcast_send(b, &i), 0); /* nobody is there */
    skua_broadcast_subscribe(b, &r);
    CHECK_EQ(skua_broadcast_receivers(b), 1);
    CHECK_EQ(skua_broadcast_try_receive(&r, &out), -EAGAIN);
    CHECK_EQ(skua_broadcast_try_receive_many(&r, &out, 1), -EAGAIN);
    CHECK_EQ(skua_broadcast_receive_until(&r, &out, skua_after(SKUA_MS)), -ETIMEDOUT);
    for (int i = 3; i < 6; i++)
        CHECK_EQ(skua_broadcast_send(b, &i), 0);
    CHECK_EQ(skua_broadcast_pending(&r), 3);
    CHECK_EQ(skua_broadcast_receive(&r, &out), 1);
    CHECK_EQ(out, 3);
    CHECK_EQ(skua_broadcast_receive_many(&r, many, 0), -EINVAL);
    CHECK_EQ(skua_broadcast_receive_many(&r, many, 8), 2);
    CHECK(many[0] == 4 && many[1] == 5);
    for (int i = 6; i < 16; i++)
        CHECK_EQ(skua_broadcast_send(b, &i), 0);
    CHECK_EQ(skua_broadcast_pending(&r), 10);
    CHECK_EQ(skua_broadcast_receive(&r, &out), -EOVERFLOW);
    CHECK_EQ(skua_broadcast_missed(&r), 6);
    CHECK_EQ(skua_broadcast_try_receive_many(&r, many, 3), 3);
    CHECK(many[0] == 12 && many[1] == 13 && many[2] == 14);
    skua_broadcast_subscribe(b, &late);
    skua_broadcast_close(b);
    skua_broadcast_close(b);
    CHECK_EQ(skua_broadcast_send(b, &out), -EPIPE);
    CHECK_EQ(skua_broadcast_receive_until(&r, &out, 0), 1);
    CHECK_EQ(out, 15);
    CHECK_EQ(skua_broadcast_receive(&r, &out), 0);
    CHECK_EQ(skua_broadcast_try_receive(&r, &out), 0);
    CHECK_EQ(skua_broadcast_receive_many(&late, many, 8), 0);
    CHECK_EQ(out, 15);
    skua_cancel(skua_self());
    CHECK_EQ(skua_broadcast_receive(&r, &out), -ECANCELED);
    skua_broadcast_unsubscribe(&r);
    skua_broadcast_unsubscribe(&late);
    CHECK_OK(skua_broadcast_destroy(b));
    CHECK_OK(skua_broadcast_destroy(NULL));
    return 0;
}
TEST(one_after_the_other) { run_everywhere(one_receiver, NULL); }

static void destroys(void *b) { (void)skua_broadcast_destroy(b); }
TEST(destroyed_while_subscribed_is_misuse)
{
    skua_broadcast *b;
    skua_broadcast_receiver r;
    CHECK_OK(skua_broadcast_create(&b, 0, 1));
    skua_broadcast_subscribe(b, &r);
    test_expect_abort(destroys, b, "skua_broadcast_destroy");
    skua_broadcast_unsubscribe(&r);
    CHECK_OK(skua_broadcast_destroy(b));
}

/* Odd sizes, and none. */
static int sizes(void *arg)
{
    (void)arg;
    for (size_t size = 0; size <= 33; size++) {
        char in[33], out[34];
        skua_broadcast *b;
        skua_broadcast_receiver r;
        CHECK_OK(skua_broadcast_create(&b, size, 2));
        skua_broadcast_subscribe(b, &r);
        for (int round = 0; round < 3; round++) {
            memset(out, 0x55, sizeof out);
            memset(in, round + 1, sizeof in);
            CHECK_EQ(skua_broadcast_send(b, in), 0);
            CHECK_EQ(skua_broadcast_receive(&r, out), 1);
            CHECK(memcmp(in, out, size) == 0 && out[size] == 0x55);
        }
        skua_broadcast_unsubscribe(&r);
        CHECK_OK(skua_broadcast_destroy(b));
    }
    return 0;
}
TEST(values_of_any_size) { run_everywhere(sizes, NULL); }

/* ---- crowds: several senders, receivers by all ways ---- */

struct value {
    uint64_t sender, number, check;
};
enum { SENDERS = 2 };
struct crowd {
    skua_broadcast *b;
    uint64_t rounds;
    unsigned ready, receivers, sending; /* __atomic */
};

static int64_t receive(skua_broadcast_receiver *r, struct value *values, uint64_t *random)
{
    skua_broadcast_op op;
    skua_sleep_op nap;
    switch (test_rand(random) % 6) {
    case 0: return skua_broadcast_receive_until(r, values, skua_after(test_rand(random) % 20000));
    case 1: return skua_broadcast_try_receive(r, values);
    case 2: return skua_await(skua_op_cancel(skua_broadcast_receive_start(&op, r, values)));
    case 3: return SKUA_SELECT(skua_sleep_prepare(&nap, test_rand(random) % 20000),
                               skua_broadcast_receive_prepare(&op, r, values)) == 1 ? op.result : -ETIMEDOUT;
    case 4: return skua_broadcast_receive_many(r, values, 8);
    default: return skua_broadcast_receive(r, values);
    }
}

static void receives(struct crowd *c, unsigned who)
{
    uint64_t random = test_seed() + who, next[SENDERS] = { 0, 0 }, got = 0, missed = 0;
    struct value values[8];
    skua_broadcast_receiver r;
    skua_broadcast_subscribe(c->b, &r);
    __atomic_add_fetch(&c->ready, 1, __ATOMIC_RELEASE);
    for (;;) {
        int64_t n = receive(&r, values, &random);
        if (n == 0)
            break;
        if (n == -EOVERFLOW) {
            CHECK(skua_broadcast_missed(&r) > 0);
            missed += skua_broadcast_missed(&r);
        } else if (n < 0) {
            CHECK(n == -ETIMEDOUT || n == -EAGAIN || n == -ECANCELED);
        }
        for (int64_t i = 0; i < n; i++) {
            CHECK(values[i].sender < SENDERS && values[i].check == values[i].sender * 1000 + values[i].number);
            CHECK(values[i].number >= next[values[i].sender]);
            next[values[i].sender] = values[i].number + 1;
            got++;
        }
        if (test_rand(&random) % 64 == 0)
            skua_sleep(test_rand(&random) % 50000);
    }
    CHECK_EQ(got + missed, SENDERS * c->rounds);
    skua_broadcast_unsubscribe(&r);
}

static void sends(struct crowd *c, unsigned who)
{
    uint64_t random = test_seed() + who;
    while (__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) < c->receivers)
        skua_yield();
    for (uint64_t i = 0; i < c->rounds; i++) {
        struct value value = { who, i, who * 1000 + i };
        CHECK_EQ(skua_broadcast_send(c->b, &value), 0);
        if (test_rand(&random) % 8 == 0)
            skua_yield();
    }
    if (__atomic_sub_fetch(&c->sending, 1, __ATOMIC_ACQ_REL) == 0)
        skua_broadcast_close(c->b);
}

static void sends_or_receives(void *arg, unsigned who)
{
    who < SENDERS ? sends(arg, who) : receives(arg, who);
}

static int crowds(void *arg)
{
    (void)arg;
    for (size_t capacity = 1; capacity <= 64; capacity *= 8) {
        struct crowd c = { .rounds = test_scaled(200), .receivers = 6, .sending = SENDERS };
        CHECK_OK(skua_broadcast_create(&c.b, sizeof(struct value), capacity));
        crowd_of_fibers(SENDERS + 6, sends_or_receives, &c);
        CHECK_OK(skua_broadcast_destroy(c.b));
    }
    return 0;
}
TEST(everything_is_got_or_missed) { run_everywhere(crowds, NULL); }

TEST(with_plain_threads)
{
    for (size_t capacity = 1; capacity <= 64; capacity *= 8) {
        struct crowd c = { .rounds = test_scaled(3000), .receivers = 5, .sending = SENDERS };
        CHECK_OK(skua_broadcast_create(&c.b, sizeof(struct value), capacity));
        crowd_of_all(2, SENDERS + 3, 2, sends_or_receives, &c);
        CHECK_OK(skua_broadcast_destroy(c.b));
    }
}

/* ---- arms and futures ---- */

struct listens {
    SKUA_FRAME;
    struct {
        skua_broadcast *b;
        unsigned *ready;
    } in;
    skua_broadcast_receiver r;
    skua_broadcast_op op;
    int value, sum;
};
SKUA_ASYNC(listens)
{
    SKUA_BEGIN(self);
    skua_broadcast_subscribe(self->in.b, &self->r);
    self->sum = 0;
    __atomic_add_fetch(self->in.ready, 1, __ATOMIC_RELEASE);
    do {
        SKUA_AWAIT(skua_broadcast_receive_start(&self->op, &self->r, &self->value));
        if (self->op.result == 1)
            self->sum += self->value;
    } while (self->op.result == 1);
    skua_broadcast_unsubscribe(&self->r);
    SKUA_END(self->op.result == 0 ? self->sum : self->op.result);
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_broadcast *b;
    skua_task *tasks[3];
    int64_t result;
    unsigned ready = 0;
    CHECK_OK(skua_broadcast_create(&b, sizeof(int), 16));
    for (int i = 0; i < 3; i++)
        CHECK_OK(SKUA_SPAWN(&tasks[i], listens, .b = b, .ready = &ready));
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < 3)
        skua_yield();
    skua_cancel(tasks[2]);
    CHECK_OK(skua_join(tasks[2], &result));
    CHECK_EQ(result, -ECANCELED);
    for (int i = 1; i <= 5; i++) {
        CHECK_EQ(skua_broadcast_send(b, &i), 0);
        if (i % 2)
            skua_yield();
    }
    skua_broadcast_close(b);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, 15);
    }
    CHECK_OK(skua_broadcast_destroy(b));
    return 0;
}
TEST(in_futures) { run_everywhere(in_futures, NULL); }

static int arms(void *arg)
{
    (void)arg;
    skua_broadcast *b[2];
    skua_broadcast_receiver r[2];
    skua_broadcast_op ops[2];
    skua_op *both[2];
    int out[2] = { 0, 0 }, in = 4;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_broadcast_create(&b[i], sizeof in, 4));
        skua_broadcast_subscribe(b[i], &r[i]);
        both[i] = skua_broadcast_receive_prepare(&ops[i], &r[i], &out[i]);
    }
    CHECK_EQ(skua_select_try(both, 2), -EAGAIN);
    CHECK_EQ(skua_select_until(both, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_OK(skua_broadcast_send(b[0], &in));
    CHECK_OK(skua_broadcast_send(b[1], &in));
    int64_t first = skua_select(both, 2);
    CHECK(out[first] == 4 && out[1 - first] == 0);
    CHECK_EQ(skua_broadcast_pending(&r[1 - first]), 1);
    CHECK_EQ(skua_select(both, 2), 1 - first);
    skua_broadcast_close(b[0]);
    CHECK_EQ(skua_select(both, 2), 0);
    CHECK_EQ(ops[0].result, 0);
    for (int i = 0; i < 2; i++) {
        skua_broadcast_unsubscribe(&r[i]);
        CHECK_OK(skua_broadcast_destroy(b[i]));
    }
    return 0;
}
TEST(receives_as_arms) { run_everywhere(arms, NULL); }
