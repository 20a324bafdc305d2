/* Semaphores: permits are counted exactly, in line, by whomever and whatever happens to the waits. */
#include <errno.h>

#include "skua/semaphore.h"
#include "support/crowd.h"

static int counts(void *arg)
{
    (void)arg;
    skua_semaphore s;
    skua_semaphore_init(&s, 3);
    CHECK_EQ(skua_semaphore_available(&s), 3);
    CHECK_EQ(skua_semaphore_acquire(&s, 2), 0);
    CHECK_EQ(skua_semaphore_try_acquire(&s, 2), -EAGAIN);
    CHECK_EQ(skua_semaphore_try_acquire(&s, 1), 0);
    CHECK_EQ(skua_semaphore_acquire(&s, 0), 0);
    CHECK_EQ(skua_semaphore_acquire_until(&s, 1, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK(s.waiters.first == NULL);
    CHECK_EQ(skua_semaphore_acquire_until(&s, 1, 0), -ETIMEDOUT);
    skua_semaphore_release(&s, 5);
    CHECK_EQ(skua_semaphore_acquire_until(&s, 1, 0), 0); /* at once, so in time */
    CHECK_EQ(skua_semaphore_forget(&s, 1), 1);
    CHECK_EQ(skua_semaphore_forget(&s, 10), 3);
    CHECK_EQ(skua_semaphore_forget(&s, 10), 0);
    CHECK_EQ(skua_semaphore_available(&s), 0);
    skua_semaphore_release(&s, SKUA_SEMAPHORE_MAX);
    CHECK_EQ(skua_semaphore_acquire(&s, SKUA_SEMAPHORE_MAX), 0);
    CHECK_EQ(skua_semaphore_acquire(&s, SKUA_SEMAPHORE_MAX + 1), -EINVAL);
    CHECK_EQ(skua_semaphore_try_acquire(&s, UINT64_MAX), -EINVAL);
    skua_semaphore_release(&s, 1);
    skua_cancel(skua_self());
    CHECK_EQ(skua_semaphore_acquire(&s, 1), -ECANCELED); /* even though there is one */
    CHECK_EQ(skua_semaphore_try_acquire(&s, 1), 0);
    return 0;
}
TEST(permits_are_counted) { run_everywhere(counts, NULL); }

/* ---- the line ---- */

struct line {
    skua_semaphore s;
    unsigned served[4], count;
};
struct place {
    struct line *line;
    uint64_t permits;
    unsigned who;
};
static int stands(void *arg)
{
    struct place *place = arg;
    int rc = skua_semaphore_acquire(&place->line->s, place->permits);
    if (rc == 0)
        place->line->served[__atomic_fetch_add(&place->line->count, 1, __ATOMIC_RELAXED)] = place->who;
    return rc;
}

static void until_so_many_wait(skua_semaphore *s, unsigned count) { crowd_until(&s->lock, &s->waiters, count); }

static int in_line(void *arg)
{
    (void)arg;
    static const uint64_t wanted[] = { 3, 1, 2, 1 };
    struct line line = { .s = SKUA_SEMAPHORE_INIT(2) };
    struct place places[4];
    skua_task *tasks[4];
    int64_t result;
    for (unsigned i = 0; i < 4; i++) {
        places[i] = (struct place){ &line, wanted[i], i };
        CHECK_OK(skua_spawn(&tasks[i], stands, &places[i]));
        until_so_many_wait(&line.s, i + 1);
    }
    CHECK_EQ(skua_semaphore_try_acquire(&line.s, 1), -EAGAIN); /* there are two, for who is first */
    CHECK_EQ(skua_semaphore_available(&line.s), 2);
    skua_semaphore_release(&line.s, 1); /* 3 are for the first */
    CHECK_OK(skua_join(tasks[0], &result));
    CHECK_EQ(result, 0);
    skua_semaphore_release(&line.s, 1);
    CHECK_OK(skua_join(tasks[1], &result));
    skua_semaphore_release(&line.s, 1);
    until_so_many_wait(&line.s, 2); /* one is not enough for the third */
    skua_cancel(tasks[2]);          /* who makes room for the fourth */
    CHECK_OK(skua_join(tasks[2], &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(skua_join(tasks[3], &result));
    CHECK_EQ(result, 0);
    CHECK_EQ(line.count, 3);
    CHECK(line.served[0] == 0 && line.served[1] == 1 && line.served[2] == 3);
    CHECK_EQ(skua_semaphore_available(&line.s), 0);
    return 0;
}
TEST(nobody_is_overtaken) { run_everywhere(in_line, NULL); }

/* ---- the end ---- */

static int closes(void *arg)
{
    (void)arg;
    struct line line = { .s = SKUA_SEMAPHORE_INIT(0) };
    struct place places[3];
    skua_task *tasks[3];
    int64_t result;
    for (unsigned i = 0; i < 3; i++) {
        places[i] = (struct place){ &line, 1, i };
        CHECK_OK(skua_spawn(&tasks[i], stands, &places[i]));
    }
    until_so_many_wait(&line.s, 3);
    skua_semaphore_close(&line.s);
    skua_semaphore_close(&line.s);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, -EPIPE);
    }
    skua_semaphore_release(&line.s, 2);
    CHECK_EQ(skua_semaphore_available(&line.s), 2);
    CHECK_EQ(skua_semaphore_acquire(&line.s, 1), -EPIPE);
    CHECK_EQ(skua_semaphore_try_acquire(&line.s, 1), -EPIPE);
    return 0;
}
TEST(closed_for_who_waits_and_who_comes) { run_everywhere(closes, NULL); }

static void releases_too_many(void *arg) { skua_semaphore_release(arg, 1); }
TEST(more_than_there_can_be_is_misuse)
{
    skua_semaphore s = SKUA_SEMAPHORE_INIT(SKUA_SEMAPHORE_MAX);
    test_expect_abort(releases_too_many, &s, "skua_semaphore_release");
}

/* ---- arms and futures ---- */

static int arms(void *arg)
{
    (void)arg;
    skua_semaphore a = SKUA_SEMAPHORE_INIT(0), b = SKUA_SEMAPHORE_INIT(0);
    skua_semaphore_op take_a, take_b;
    skua_op *both[] = { skua_semaphore_acquire_prepare(&take_a, &a, 2),
                        skua_semaphore_acquire_prepare(&take_b, &b, 1) };
    CHECK_EQ(skua_select_try(both, 2), -EAGAIN);
    skua_semaphore_release(&a, 1); /* not enough */
    skua_semaphore_release(&b, 1);
    CHECK_EQ(skua_select(both, 2), 1);
    CHECK_EQ(take_b.result, 0);
    CHECK_EQ(skua_semaphore_available(&a), 1);
    CHECK_EQ(skua_semaphore_available(&b), 0);
    CHECK_EQ(skua_select_until(both, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK(a.waiters.first == NULL && b.waiters.first == NULL);
    skua_semaphore_close(&b);
    CHECK_EQ(skua_select(both, 2), 1);
    CHECK_EQ(take_b.result, -EPIPE);
    return 0;
}
TEST(acquires_as_arms) { run_everywhere(arms, NULL); }

struct takes {
    SKUA_FRAME;
    struct {
        skua_semaphore *s;
        uint64_t permits;
    } in;
    skua_semaphore_op take;
};
SKUA_ASYNC(takes)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_semaphore_acquire_start(&self->take, self->in.s, self->in.permits));
    SKUA_END(self->take.result);
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_semaphore s = SKUA_SEMAPHORE_INIT(1);
    struct takes f[3];
    skua_child kids[3];
    skua_task *task;
    int64_t result;
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&f[0], takes, .s = &s, .permits = 1)), 0);
    CHECK_OK(SKUA_SPAWN(&task, takes, .s = &s, .permits = 2));
    until_so_many_wait(&s, 1);
    skua_semaphore_release(&s, 2);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    CHECK_OK(SKUA_SPAWN(&task, takes, .s = &s, .permits = 2));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    skua_semaphore_release(&s, 1);
    for (int i = 0; i < 3; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&f[i], takes, .s = &s, .permits = (uint64_t)(3 - i)));
    {
        SKUA_DEADLINE(SKUA_MS); /* the last one takes it when those before it have left */
        CHECK(skua_all_settled(kids, 3) >= 0);
    }
    int taken = 0;
    for (int i = 0; i < 3; i++)
        taken += kids[i].result == 0 ? 3 - i : 0;
    CHECK(taken <= 1);
    CHECK_EQ(skua_semaphore_available(&s), 1 - taken);
    return 0;
}
TEST(in_futures_and_sets) { run_everywhere(in_futures, NULL); }

/* ---- crowds ---- */

enum { PERMITS = 5 };
struct crowd {
    skua_semaphore s;
    int64_t held;   /* __atomic */
    uint64_t rounds;
    uint64_t got, late;
};

/* By all ways, in turn. */
static int take(struct crowd *c, uint64_t permits, uint64_t *random)
{
    skua_semaphore_op ops[1];
    skua_sleep_op nap;
    switch (test_rand(random) % 5) {
    case 0: return skua_semaphore_acquire(&c->s, permits);
    case 1: return skua_semaphore_acquire_until(&c->s, permits, skua_after(test_rand(random) % 20000));
    case 2: return skua_semaphore_try_acquire(&c->s, permits);
    case 3: return (int)skua_await(skua_op_cancel(skua_semaphore_acquire_start(ops, &c->s, permits)));
    default: return SKUA_SELECT(skua_semaphore_acquire_prepare(ops, &c->s, permits),
                                skua_sleep_prepare(&nap, test_rand(random) % 20000)) == 0 ? (int)ops[0].result
                                                                                          : -ETIMEDOUT;
    }
}

static void takes_and_gives(void *arg, unsigned who)
{
    struct crowd *c = arg;
    uint64_t random = test_seed() + who, got = 0, late = 0;
    for (uint64_t i = 0; i < c->rounds; i++) {
        uint64_t permits = 1 + test_rand(&random) % PERMITS;
        int rc = take(c, permits, &random);
        if (rc != 0) {
            CHECK(rc == -ETIMEDOUT || rc == -EAGAIN || rc == -ECANCELED);
            late++;
            continue;
        }
        got++;
        int64_t held = __atomic_add_fetch(&c->held, (int64_t)permits, __ATOMIC_RELAXED);
        CHECK(held <= PERMITS);
        if (test_rand(&random) % 4 == 0)
            skua_yield();
        __atomic_sub_fetch(&c->held, (int64_t)permits, __ATOMIC_RELAXED);
        skua_semaphore_release(&c->s, permits);
    }
    __atomic_add_fetch(&c->got, got, __ATOMIC_RELAXED);
    __atomic_add_fetch(&c->late, late, __ATOMIC_RELAXED);
}

static void check_crowd(const struct crowd *c, unsigned members)
{
    CHECK_EQ(c->held, 0);
    CHECK_EQ(skua_semaphore_available(&c->s), PERMITS);
    CHECK(c->s.waiters.first == NULL);
    CHECK_EQ(c->got + c->late, members * c->rounds);
    CHECK(c->got > 0);
}

static int crowds(void *arg)
{
    (void)arg;
    struct crowd c = { .s = SKUA_SEMAPHORE_INIT(PERMITS), .rounds = test_scaled(100) };
    crowd_of_fibers(8, takes_and_gives, &c);
    check_crowd(&c, 8);
    return 0;
}
TEST(a_crowd) { run_everywhere(crowds, NULL); }

TEST(a_crowd_with_plain_threads)
{
    for (uint32_t workers = 1; workers <= 4; workers *= 2) {
        struct crowd c = { .s = SKUA_SEMAPHORE_INIT(PERMITS), .rounds = test_scaled(2000) };
        crowd_of_all(workers, 6, 3, takes_and_gives, &c);
        check_crowd(&c, 9);
    }
}

/* Tasks that wait are cancelled while permits come. */
struct shot {
    skua_semaphore s;
    uint64_t got;
};
static int waits_once(void *arg)
{
    struct shot *shot = arg;
    if (skua_semaphore_acquire(&shot->s, 1) == 0)
        __atomic_add_fetch(&shot->got, 1, __ATOMIC_RELAXED);
    return 0;
}
static int cancels(void *arg)
{
    (void)arg;
    uint64_t random = test_seed();
    for (uint64_t round = 0; round < test_scaled(100); round++) {
        struct shot shot = { .s = SKUA_SEMAPHORE_INIT(0) };
        skua_task *tasks[4];
        for (int i = 0; i < 4; i++)
            CHECK_OK(skua_spawn(&tasks[i], waits_once, &shot));
        for (int i = 0; i < 4; i++) {
            if (test_rand(&random) % 2)
                skua_yield();
            skua_semaphore_release(&shot.s, 1);
            skua_cancel(tasks[test_rand(&random) % 4]);
        }
        crowd_join(tasks, 4);
        CHECK_EQ(shot.got + skua_semaphore_available(&shot.s), 4);
    }
    return 0;
}
TEST(cancelled_while_permits_come) { run_everywhere(cancels, NULL); }
