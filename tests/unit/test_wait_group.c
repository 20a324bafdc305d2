/* Wait groups: the wait ends when the last is done, and not before. */
#include <errno.h>
#include <string.h>

#include "skua/wait_group.h"
#include "support/crowd.h"

static int counts(void *arg)
{
    (void)arg;
    skua_wait_group g = SKUA_WAIT_GROUP_INIT(0);
    CHECK_EQ(skua_wait_group_wait(&g), 0);
    CHECK_EQ(skua_wait_group_try_wait(&g), 0);
    skua_wait_group_add(&g, 2);
    CHECK_EQ(skua_wait_group_count(&g), 2);
    CHECK_EQ(skua_wait_group_try_wait(&g), -EAGAIN);
    CHECK_EQ(skua_wait_group_wait_until(&g, skua_after(SKUA_MS)), -ETIMEDOUT);
    skua_wait_group_done(&g);
    CHECK_EQ(skua_wait_group_wait_until(&g, 0), -ETIMEDOUT);
    skua_wait_group_done(&g);
    CHECK_EQ(skua_wait_group_wait_until(&g, 0), 0);
    skua_wait_group_init(&g, 1);
    skua_wait_group_done(&g);
    skua_cancel(skua_self());
    CHECK_EQ(skua_wait_group_wait(&g), -ECANCELED);
    CHECK_EQ(skua_wait_group_try_wait(&g), 0);
    return 0;
}
TEST(a_count) { run_everywhere(counts, NULL); }

static void too_many(void *arg) { skua_wait_group_done(arg); }
static void too_much(void *arg) { skua_wait_group_add(arg, SKUA_WAIT_GROUP_MAX + 1); }
TEST(more_than_were_added_is_misuse)
{
    skua_wait_group g = SKUA_WAIT_GROUP_INIT(0);
    test_expect_abort(too_many, &g, "skua_wait_group_done");
    test_expect_abort(too_much, &g, "skua_wait_group_add");
}

struct work {
    skua_wait_group g;
    uint64_t done;
};
static int works(void *arg)
{
    struct work *work = arg;
    skua_yield();
    __atomic_add_fetch(&work->done, 1, __ATOMIC_RELAXED);
    skua_wait_group_done(&work->g);
    return 0;
}
/* Again and again on the same group, which is on the waiter's stack and goes each time. */
static int rounds(void *arg)
{
    (void)arg;
    for (uint64_t round = 0; round < test_scaled(100); round++) {
        struct work work = { .g = SKUA_WAIT_GROUP_INIT(0) };
        for (int use = 0; use < 2; use++) {
            for (int i = 0; i < 4; i++) {
                skua_wait_group_add(&work.g, 1);
                CHECK_OK(skua_go(works, &work));
            }
            if (round % 2 == 0)
                CHECK_EQ(skua_wait_group_wait(&work.g), 0);
            else
                while (skua_wait_group_wait_until(&work.g, skua_after(1000)) != 0)
                    ;
            CHECK_EQ(work.done, 4 * (use + 1));
        }
        CHECK_EQ(work.g.lock.raw, 0);
        memset(&work, 0xff, sizeof work);
    }
    return 0;
}
TEST(used_again) { run_everywhere(rounds, NULL); }

struct waits {
    SKUA_FRAME;
    struct {
        skua_wait_group *g;
    } in;
    skua_op wait;
};
SKUA_ASYNC(waits)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_wait_group_wait_start(&self->wait, self->in.g));
    SKUA_END(self->wait.result);
}
static int waits_as_fiber(void *g) { return skua_wait_group_wait(g); }

static int several(void *arg)
{
    (void)arg;
    skua_wait_group g = SKUA_WAIT_GROUP_INIT(2), other = SKUA_WAIT_GROUP_INIT(1);
    skua_task *tasks[4];
    skua_op ops[2];
    skua_op *both[] = { skua_wait_group_wait_prepare(&ops[0], &other), skua_wait_group_wait_prepare(&ops[1], &g) };
    int64_t result;
    for (int i = 0; i < 4; i++)
        CHECK_OK(i % 2 ? SKUA_SPAWN(&tasks[i], waits, .g = &g) : skua_spawn(&tasks[i], waits_as_fiber, &g));
    crowd_until(&g.lock, &g.waiters, 4);
    CHECK_EQ(skua_select_until(both, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    skua_cancel(tasks[0]);
    skua_cancel(tasks[1]);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, -ECANCELED);
    }
    skua_wait_group_done(&g);
    skua_wait_group_done(&g);
    CHECK_EQ(skua_select(both, 2), 1);
    for (int i = 2; i < 4; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, 0);
    }
    CHECK(other.waiters.first == NULL);
    return 0;
}
TEST(several_waiters) { run_everywhere(several, NULL); }

/* All are done and wait, round by round, by two groups in turn: nobody is at the one before all have left it. */
struct crowd {
    skua_wait_group in[2], out[2];
    uint64_t rounds, done;
    unsigned members;
};
static void is_done_and_waits(void *arg, unsigned who)
{
    struct crowd *c = arg;
    for (uint64_t round = 0; round < c->rounds; round++) {
        skua_wait_group *in = &c->in[round % 2], *out = &c->out[round % 2];
        __atomic_add_fetch(&c->done, 1, __ATOMIC_RELAXED);
        skua_wait_group_done(in);
        CHECK_EQ(skua_wait_group_wait(in), 0);
        CHECK(__atomic_load_n(&c->done, __ATOMIC_RELAXED) >= c->members * (round + 1));
        if (who == 0) { /* for the next round */
            skua_wait_group_add(&c->in[(round + 1) % 2], c->members);
            skua_wait_group_add(&c->out[(round + 1) % 2], c->members);
        }
        skua_wait_group_done(out);
        CHECK_EQ(skua_wait_group_wait(out), 0);
    }
}
static struct crowd a_crowd(uint64_t rounds, unsigned members)
{
    return (struct crowd){ .in = { SKUA_WAIT_GROUP_INIT(members), SKUA_WAIT_GROUP_INIT(0) },
                           .out = { SKUA_WAIT_GROUP_INIT(members), SKUA_WAIT_GROUP_INIT(0) },
                           .rounds = rounds, .members = members };
}
static int crowds(void *arg)
{
    (void)arg;
    struct crowd c = a_crowd(test_scaled(50), 6);
    crowd_of_fibers(6, is_done_and_waits, &c);
    CHECK_EQ(c.done, 6 * c.rounds);
    return 0;
}
TEST(round_by_round) { run_everywhere(crowds, NULL); }
TEST(with_plain_threads)
{
    struct crowd c = a_crowd(test_scaled(1000), 7);
    crowd_of_all(2, 4, 3, is_done_and_waits, &c);
    CHECK_EQ(c.done, 7 * c.rounds);
}
