/* Barriers: all parties or none, round after round, with one leader. */
#include <errno.h>

#include "skua/barrier.h"
#include "support/crowd.h"

static int alone(void *arg)
{
    (void)arg;
    skua_barrier one = SKUA_BARRIER_INIT(1), two;
    skua_op op;
    CHECK_EQ(skua_barrier_wait(&one), SKUA_BARRIER_LEADER);
    CHECK_EQ(skua_barrier_try_wait(&one), SKUA_BARRIER_LEADER);
    CHECK_EQ(skua_barrier_wait_until(&one, 0), SKUA_BARRIER_LEADER);
    skua_barrier_init(&two, 2);
    CHECK_EQ(skua_barrier_try_wait(&two), -EAGAIN);
    CHECK_EQ(skua_barrier_wait_until(&two, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(two.arrived, 0);
    skua_barrier_wait_start(&op, &two);
    CHECK(!skua_op_is_done(&op));
    CHECK_EQ(skua_barrier_try_wait(&two), SKUA_BARRIER_LEADER);
    CHECK_EQ(skua_await(&op), 0);
    CHECK_EQ(skua_await(skua_op_cancel(skua_barrier_wait_start(&op, &two))), -ECANCELED);
    CHECK_EQ(skua_barrier_try_wait(&two), -EAGAIN);
    skua_cancel(skua_self());
    CHECK_EQ(skua_barrier_wait(&one), -ECANCELED);
    return 0;
}
TEST(one_and_two) { run_everywhere(alone, NULL); }

struct crowd {
    skua_barrier b;
    uint64_t rounds, leaders; /* __atomic */
    uint64_t at[CROWD_MAX];
    unsigned members;
};
static void goes_round(void *arg, unsigned who)
{
    struct crowd *c = arg;
    uint64_t random = test_seed() + who;
    for (uint64_t round = 1; round <= c->rounds; round++) {
        __atomic_store_n(&c->at[who], round, __ATOMIC_RELAXED);
        int rc;
        do
            rc = test_rand(&random) % 2 ? skua_barrier_wait(&c->b)
                                        : skua_barrier_wait_until(&c->b, skua_after(test_rand(&random) % 30000));
        while (rc == -ETIMEDOUT);
        CHECK(rc == 0 || rc == SKUA_BARRIER_LEADER);
        if (rc == SKUA_BARRIER_LEADER)
            __atomic_add_fetch(&c->leaders, 1, __ATOMIC_RELAXED);
        for (unsigned i = 0; i < c->members; i++) {
            uint64_t at = __atomic_load_n(&c->at[i], __ATOMIC_RELAXED);
            CHECK(at == round || at == round + 1);
        }
    }
}
static int crowds(void *arg)
{
    (void)arg;
    struct crowd c = { .b = SKUA_BARRIER_INIT(6), .rounds = test_scaled(60), .members = 6 };
    crowd_of_fibers(6, goes_round, &c);
    CHECK_EQ(c.leaders, c.rounds);
    CHECK_EQ(c.b.arrived, 0);
    return 0;
}
TEST(round_by_round) { run_everywhere(crowds, NULL); }
TEST(with_plain_threads)
{
    struct crowd c = { .b = SKUA_BARRIER_INIT(7), .rounds = test_scaled(500), .members = 7 };
    crowd_of_all(2, 4, 3, goes_round, &c);
    CHECK_EQ(c.leaders, c.rounds);
}

/* ---- arms and futures ---- */

struct meets {
    SKUA_FRAME;
    struct {
        skua_barrier *b;
    } in;
    skua_op wait;
};
SKUA_ASYNC(meets)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_barrier_wait_start(&self->wait, self->in.b));
    SKUA_END(self->wait.result);
}
static int in_futures(void *arg)
{
    (void)arg;
    skua_barrier b = SKUA_BARRIER_INIT(3);
    struct meets f[3];
    skua_child kids[3];
    skua_task *task;
    int64_t result;
    for (int i = 0; i < 3; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&f[i], meets, .b = &b));
    CHECK_EQ(skua_join_all(kids, 3), 0);
    CHECK_EQ(kids[0].result + kids[1].result + kids[2].result, SKUA_BARRIER_LEADER);
    CHECK_OK(SKUA_SPAWN(&task, meets, .b = &b));
    crowd_until(&b.lock, &b.waiters, 1);
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(b.arrived, 0);
    return 0;
}
TEST(futures_meet) { run_everywhere(in_futures, NULL); }

/* Pairs of selects at two barriers, some of which are called away: nobody goes on alone. */
struct dance {
    skua_barrier floors[2];
    uint64_t passed[2]; /* __atomic */
    uint64_t rounds;
    unsigned dancing;   /* __atomic */
};
static void dances(void *arg, unsigned who)
{
    struct dance *d = arg;
    uint64_t random = test_seed() + who;
    for (uint64_t i = 0; i < d->rounds; i++) {
        skua_op ops[2];
        skua_sleep_op nap;
        unsigned first = (unsigned)(test_rand(&random) % 2);
        int64_t arm = SKUA_SELECT(skua_barrier_wait_prepare(&ops[0], &d->floors[first]),
                                  skua_barrier_wait_prepare(&ops[1], &d->floors[1 - first]),
                                  skua_sleep_prepare(&nap, test_rand(&random) % 20000));
        CHECK(arm >= 0 && arm <= 2);
        if (arm < 2)
            __atomic_add_fetch(&d->passed[arm == 0 ? first : 1 - first], 1, __ATOMIC_RELAXED);
    }
}
static void check_dance(const struct dance *d, uint64_t parties)
{
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(d->passed[i] % parties, 0);
        CHECK_EQ(d->floors[i].arrived, 0);
        CHECK(d->floors[i].arms.first == NULL && d->floors[i].waiters.first == NULL);
    }
}
static int dance(void *arg)
{
    (void)arg;
    for (uint32_t parties = 2; parties <= 4; parties++) {
        struct dance d = { { SKUA_BARRIER_INIT(parties), SKUA_BARRIER_INIT(parties) }, { 0, 0 }, test_scaled(60), 0 };
        crowd_of_fibers(7, dances, &d);
        check_dance(&d, parties);
    }
    return 0;
}
TEST(selects_pass_together) { run_everywhere(dance, NULL); }
TEST(selects_pass_together_with_plain_threads)
{
    for (uint32_t parties = 2; parties <= 4; parties++) {
        struct dance d = { { SKUA_BARRIER_INIT(parties), SKUA_BARRIER_INIT(parties) }, { 0, 0 }, test_scaled(1000), 0 };
        crowd_of_all(2, 5, 3, dances, &d);
        check_dance(&d, parties);
    }
}
