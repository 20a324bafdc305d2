/* Watches: the latest value, whole, and whoever waits for a later one. */
#include <errno.h>
#include <string.h>

#include "skua/watch.h"
#include "support/crowd.h"

static int versions(void *arg)
{
    (void)arg;
    skua_watch *w;
    int in = 5, out = 0;
    uint64_t seen = 0;
    CHECK_EQ(skua_watch_create(&w, SIZE_MAX, NULL), -ENOMEM);
    CHECK_OK(skua_watch_create(&w, sizeof in, NULL));
    CHECK_EQ(skua_watch_get(w, &out), 0);
    CHECK_EQ(skua_watch_try_changed(w, &seen, &out), -EAGAIN);
    CHECK_EQ(skua_watch_changed_until(w, &seen, &out, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK(seen == 0 && out == 0);
    CHECK_OK(skua_watch_set(w, &in));
    CHECK_EQ(skua_watch_get(w, &out), 1);
    CHECK_EQ(out, 5);
    CHECK_EQ(skua_watch_changed_until(w, &seen, NULL, 0), 1);
    CHECK_EQ(seen, 1);
    for (in = 6; in < 9; in++)
        CHECK_OK(skua_watch_set(w, &in));
    CHECK_EQ(skua_watch_set_if(w, 3, &in), -EAGAIN);
    CHECK_EQ(skua_watch_set_if(w, 4, &in), 0);
    CHECK_EQ(skua_watch_changed(w, &seen, &out), 1);
    CHECK(seen == 5 && out == 9);
    CHECK_OK(skua_watch_set(w, &in));
    skua_watch_close(w);
    CHECK_EQ(skua_watch_set(w, &in), -EPIPE);
    CHECK_EQ(skua_watch_set_if(w, 6, &in), -EPIPE);
    CHECK_EQ(skua_watch_changed(w, &seen, &out), 1); /* the last is still seen */
    CHECK_EQ(skua_watch_changed(w, &seen, &out), 0);
    CHECK_EQ(skua_watch_try_changed(w, &seen, &out), 0);
    CHECK_EQ(skua_watch_version(w), 6);
    skua_cancel(skua_self());
    CHECK_EQ(skua_watch_changed(w, &seen, &out), -ECANCELED);
    CHECK_OK(skua_watch_destroy(w));
    CHECK_OK(skua_watch_create(&w, 0, &in));
    CHECK_EQ(skua_watch_version(w), 1);
    CHECK_OK(skua_watch_destroy(w));
    CHECK_OK(skua_watch_destroy(NULL));
    return 0;
}
TEST(versions_and_values) { run_everywhere(versions, NULL); }

/* ---- crowds ---- */

struct value {
    uint64_t number, words[3];
};
enum { SENDERS = 2 };
struct crowd {
    skua_watch *w;
    uint64_t rounds;
    unsigned sending; /* __atomic */
    uint64_t sum;     /* of what set_if added; __atomic */
};

static void check_value(const struct value *value)
{
    for (int i = 0; i < 3; i++)
        CHECK_EQ(value->words[i], value->number * 3 + (uint64_t)i);
}
static void fill(struct value *value, uint64_t number)
{
    value->number = number;
    for (int i = 0; i < 3; i++)
        value->words[i] = number * 3 + (uint64_t)i;
}

/* Adds to what is there, as one step. */
static void adds(struct crowd *c, unsigned who)
{
    uint64_t random = test_seed() + who;
    for (uint64_t i = 0; i < c->rounds; i++) {
        struct value value;
        uint64_t version;
        do {
            version = skua_watch_get(c->w, &value);
            check_value(&value);
            fill(&value, value.number + 1);
        } while (skua_watch_set_if(c->w, version, &value) == -EAGAIN);
        if (test_rand(&random) % 4 == 0)
            skua_yield();
    }
    if (__atomic_sub_fetch(&c->sending, 1, __ATOMIC_ACQ_REL) == 0)
        skua_watch_close(c->w);
}

static int changed(skua_watch *w, uint64_t *seen, struct value *value, uint64_t *random)
{
    skua_watch_op op;
    skua_sleep_op nap;
    switch (test_rand(random) % 5) {
    case 0: return skua_watch_changed_until(w, seen, value, skua_after(test_rand(random) % 20000));
    case 1: return skua_watch_try_changed(w, seen, value);
    case 2: return (int)skua_await(skua_op_cancel(skua_watch_changed_start(&op, w, seen, value)));
    case 3: return SKUA_SELECT(skua_sleep_prepare(&nap, test_rand(random) % 20000),
                               skua_watch_changed_prepare(&op, w, seen, value)) == 1 ? (int)op.result : -ETIMEDOUT;
    default: return skua_watch_changed(w, seen, value);
    }
}

static void follows(struct crowd *c, unsigned who)
{
    uint64_t random = test_seed() + who, seen = 0;
    struct value value;
    int rc;
    while ((rc = changed(c->w, &seen, &value, &random)) != 0) {
        if (rc == 1) {
            check_value(&value);
            CHECK_EQ(value.number + 1, seen); /* each set adds one */
        } else {
            CHECK(rc == -ETIMEDOUT || rc == -EAGAIN || rc == -ECANCELED);
        }
    }
    CHECK_EQ(seen, SENDERS * c->rounds + 1);
    CHECK_EQ(value.number, SENDERS * c->rounds);
}

static void adds_or_follows(void *arg, unsigned who)
{
    who < SENDERS ? adds(arg, who) : follows(arg, who);
}

static void create(struct crowd *c)
{
    struct value zero;
    fill(&zero, 0);
    CHECK_OK(skua_watch_create(&c->w, sizeof zero, &zero));
}
static int crowds(void *arg)
{
    (void)arg;
    struct crowd c = { .rounds = test_scaled(200), .sending = SENDERS };
    create(&c);
    crowd_of_fibers(SENDERS + 5, adds_or_follows, &c);
    CHECK_OK(skua_watch_destroy(c.w));
    return 0;
}
TEST(the_latest_is_seen) { run_everywhere(crowds, NULL); }
TEST(with_plain_threads)
{
    struct crowd c = { .rounds = test_scaled(5000), .sending = SENDERS };
    create(&c);
    crowd_of_all(2, SENDERS + 3, 2, adds_or_follows, &c);
    CHECK_OK(skua_watch_destroy(c.w));
}

/* ---- arms and futures ---- */

struct follows {
    SKUA_FRAME;
    struct {
        skua_watch *w;
        unsigned *ready;
    } in;
    skua_watch_op op;
    uint64_t seen;
    int value;
};
SKUA_ASYNC(follows)
{
    SKUA_BEGIN(self);
    self->seen = 1;
    __atomic_add_fetch(self->in.ready, 1, __ATOMIC_RELEASE);
    do
        SKUA_AWAIT(skua_watch_changed_start(&self->op, self->in.w, &self->seen, &self->value));
    while (self->op.result == 1);
    SKUA_END(self->op.result == 0 ? self->value : self->op.result);
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_watch *w, *quiet;
    skua_watch_op ops[2];
    skua_task *tasks[3];
    uint64_t seen[2] = { 1, 1 };
    int64_t result;
    unsigned ready = 0;
    int zero = 0, out[2] = { 0, 0 };
    CHECK_OK(skua_watch_create(&w, sizeof zero, &zero));
    CHECK_OK(skua_watch_create(&quiet, sizeof zero, &zero));
    skua_op *both[] = { skua_watch_changed_prepare(&ops[0], quiet, &seen[0], &out[0]),
                        skua_watch_changed_prepare(&ops[1], w, &seen[1], &out[1]) };
    CHECK_EQ(skua_select_try(both, 2), -EAGAIN);
    CHECK_EQ(skua_select_until(both, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        CHECK_OK(SKUA_SPAWN(&tasks[i], follows, .w = w, .ready = &ready));
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < 3)
        skua_yield();
    skua_cancel(tasks[2]);
    CHECK_OK(skua_join(tasks[2], &result));
    CHECK_EQ(result, -ECANCELED);
    for (int i = 1; i <= 5; i++) {
        CHECK_OK(skua_watch_set(w, &i));
        if (i % 2)
            skua_yield();
    }
    CHECK_EQ(skua_select(both, 2), 1);
    CHECK(out[1] == 5 && seen[1] == 6 && out[0] == 0 && seen[0] == 1);
    skua_watch_close(w);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, 5);
    }
    CHECK_OK(skua_watch_destroy(w));
    CHECK_OK(skua_watch_destroy(quiet));
    return 0;
}
TEST(arms_and_futures) { run_everywhere(in_futures, NULL); }
