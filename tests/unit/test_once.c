/* Once and lazy values: done by one, for all; again only if it has failed. */
#include <errno.h>

#include "skua/once.h"
#include "support/crowd.h"

struct job {
    skua_once once;
    int tries, failures, done; /* __atomic */
    int inside;                /* __atomic */
    uint64_t nap_ns;
    int result; /* plain: published by once */
};

static int does(void *arg)
{
    struct job *job = arg;
    CHECK_EQ(__atomic_add_fetch(&job->inside, 1, __ATOMIC_ACQ_REL), 1);
    CHECK_EQ(job->result, 0);
    int rc = skua_sleep(job->nap_ns);
    int try = __atomic_add_fetch(&job->tries, 1, __ATOMIC_RELAXED);
    if (rc == 0 && try > job->failures)
        job->result = 42;
    else if (rc == 0)
        rc = -EIO;
    __atomic_sub_fetch(&job->inside, 1, __ATOMIC_ACQ_REL);
    return rc;
}

static int simple(void *arg)
{
    (void)arg;
    struct job job = { .once = SKUA_ONCE_INIT, .failures = 1 };
    CHECK(!skua_once_is_done(&job.once));
    CHECK_EQ(skua_once_run(&job.once, does, &job), -EIO);
    CHECK(!skua_once_is_done(&job.once));
    CHECK_EQ(skua_once_run(&job.once, does, &job), 0);
    CHECK_EQ(skua_once_run(&job.once, does, &job), 0);
    CHECK_EQ(job.tries, 2);
    CHECK(skua_once_is_done(&job.once));
    CHECK_EQ(skua_once_enter(&job.once), 0);
    CHECK_EQ(skua_once_try_enter(&job.once), 0);

    skua_once other = SKUA_ONCE_INIT;
    CHECK_EQ(skua_once_try_enter(&other), 1);
    CHECK_EQ(skua_once_try_enter(&other), -EAGAIN);
    CHECK_EQ(skua_once_enter_until(&other, skua_after(SKUA_MS)), -ETIMEDOUT);
    skua_once_leave(&other, false);
    CHECK_EQ(skua_once_enter(&other), 1);
    skua_once_leave(&other, true);
    skua_cancel(skua_self());
    CHECK_EQ(skua_once_run(&other, does, &job), -ECANCELED);
    CHECK(skua_once_is_done(&other));
    return 0;
}
TEST(one_after_the_other) { run_everywhere(simple, NULL); }

static int needs_itself(void *arg) { return skua_once_run(arg, needs_itself, arg); }
static void deadlocks(void *arg) { (void)skua_once_run(arg, needs_itself, arg); }
static void leaves(void *arg) { skua_once_leave(arg, true); }
TEST(misuse_is_told)
{
    skua_once once = SKUA_ONCE_INIT;
    test_expect_abort(deadlocks, &once, "skua_once_run");
    test_expect_abort(leaves, &once, "skua_once_leave");
}

static void runs(void *arg, unsigned who)
{
    struct job *job = arg;
    (void)who;
    int rc = skua_once_run(&job->once, does, job);
    CHECK(rc == 0 || rc == -EIO);
    if (rc == 0) {
        CHECK_EQ(job->result, 42);
        __atomic_add_fetch(&job->done, 1, __ATOMIC_RELAXED);
    }
}
static int crowds(void *arg)
{
    (void)arg;
    for (int failures = 0; failures < 4; failures++)
        for (uint64_t nap = 0; nap <= 10000; nap += 5000) {
            struct job job = { .once = SKUA_ONCE_INIT, .failures = failures, .nap_ns = nap };
            crowd_of_fibers(6, runs, &job);
            CHECK_EQ(job.tries, failures + 1);
            CHECK_EQ(job.done, 6 - failures);
        }
    return 0;
}
TEST(one_for_all) { run_everywhere(crowds, NULL); }
TEST(with_plain_threads)
{
    for (uint64_t round = 0; round < test_scaled(40); round++) {
        struct job job = { .once = SKUA_ONCE_INIT, .failures = (int)(round % 3), .nap_ns = round % 2 * 20000 };
        crowd_of_all(2, 4, 3, runs, &job);
        CHECK_EQ(job.tries, job.failures + 1);
        CHECK_EQ(job.done, 7 - job.failures);
    }
}

/* Whoever does it is cancelled; the next does it. */
static int runs_it(void *arg)
{
    struct job *job = arg;
    return skua_once_run(&job->once, does, job);
}
static int cancels(void *arg)
{
    (void)arg;
    struct job job = { .once = SKUA_ONCE_INIT, .nap_ns = SKUA_MS };
    skua_task *tasks[3];
    int64_t results[3];
    CHECK_OK(skua_spawn(&tasks[0], runs_it, &job));
    while (__atomic_load_n(&job.inside, __ATOMIC_ACQUIRE) == 0)
        skua_yield();
    for (int i = 1; i < 3; i++)
        CHECK_OK(skua_spawn(&tasks[i], runs_it, &job));
    skua_cancel(tasks[0]);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(tasks[i], &results[i]));
    CHECK((results[0] == -ECANCELED || results[0] == 0) && results[1] == 0 && results[2] == 0);
    CHECK_EQ(job.result, 42);
    return 0;
}
TEST(the_runner_is_cancelled) { run_everywhere(cancels, NULL); }

/* ---- futures and arms ---- */

struct sets_up {
    SKUA_FRAME;
    struct {
        skua_once *once;
        int *done;
    } in;
    skua_op enter;
    skua_sleep_op nap;
};
SKUA_ASYNC(sets_up)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_once_enter_start(&self->enter, self->in.once));
    if (self->enter.result == 1) {
        SKUA_AWAIT(skua_sleep_start(&self->nap, 1000));
        if (self->nap.result == 0)
            ++*self->in.done;
        skua_once_leave(self->in.once, self->nap.result == 0);
        SKUA_RETURN(self->nap.result);
    }
    SKUA_END(self->enter.result);
}
static int in_futures(void *arg)
{
    (void)arg;
    skua_once once = SKUA_ONCE_INIT, busy = SKUA_ONCE_INIT;
    skua_task *tasks[4];
    skua_op ops[2];
    int64_t result;
    int done = 0;
    for (int i = 0; i < 4; i++)
        CHECK_OK(SKUA_SPAWN(&tasks[i], sets_up, .once = &once, .done = &done));
    skua_cancel(tasks[1]);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK(result == 0 || (i == 1 && result == -ECANCELED));
    }
    CHECK_EQ(done, 1);
    CHECK_EQ(skua_once_enter(&busy), 1);
    skua_op *both[] = { skua_once_enter_prepare(&ops[0], &busy), skua_once_enter_prepare(&ops[1], &once) };
    CHECK_EQ(skua_select(both, 2), 1);
    CHECK_EQ(ops[1].result, 0);
    CHECK_EQ(skua_select_until(both, 1, skua_after(SKUA_MS)), -ETIMEDOUT);
    skua_once_leave(&busy, false);
    CHECK_EQ(skua_select_biased(both, 2), 0);
    CHECK_EQ(ops[0].result, 1); /* it is ours to do */
    skua_once_leave(&busy, true);
    return 0;
}
TEST(arms_and_futures) { run_everywhere(in_futures, NULL); }

/* ---- lazy values ---- */

static int made; /* __atomic */
static int makes(void **value, void *arg)
{
    __atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
    skua_yield();
    *value = arg;
    return arg != NULL ? 0 : -EIO;
}
static void gets(void *arg, unsigned who)
{
    void *value = NULL;
    int rc = skua_lazy_get(arg, makes, who == 0 ? NULL : arg, &value);
    CHECK(rc == 0 || (who == 0 && rc == -EIO));
    CHECK(value == (rc == 0 ? arg : NULL));
}
static int lazy(void *arg)
{
    (void)arg;
    skua_lazy lazy = SKUA_LAZY_INIT;
    made = 0;
    CHECK(skua_lazy_peek(&lazy) == NULL);
    crowd_of_fibers(5, gets, &lazy);
    CHECK(made == 1 || made == 2);
    CHECK(skua_lazy_peek(&lazy) == &lazy);
    return 0;
}
TEST(lazy_values) { run_everywhere(lazy, NULL); }
