/* Calls in parallel: all, the first, the first success, all settled; with limits, failures and interruptions. */
#include <errno.h>

#include "skua/gather.h"
#include "support/with_runtime.h"

enum { CALLS = 20 };

static int begun, ended; /* __atomic */

static int naps_and_returns(void *arg)
{
    intptr_t result = (intptr_t)arg;
    __atomic_fetch_add(&begun, 1, __ATOMIC_RELAXED);
    int rc = skua_sleep((uint64_t)(result < 0 ? -result : result) * 2 * SKUA_MS);
    __atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
    return rc < 0 ? rc : (int)result;
}

static void fill(skua_call calls[CALLS], int first, int step)
{
    begun = ended = 0;
    for (int i = 0; i < CALLS; i++)
        calls[i] = (skua_call){ .fn = naps_and_returns, .arg = (void *)(intptr_t)(first + i * step), .result = 77 };
}

static void check_ended(int expected)
{
    CHECK_EQ(begun, expected);
    CHECK_EQ(ended, expected);
}
/* Where time decides how many have begun. */
static void check_ended_at_most(int expected)
{
    CHECK_EQ(begun, ended);
    CHECK(begun <= expected);
}

static int gathers(void *arg)
{
    (void)arg;
    skua_call calls[CALLS];
    skua_gather_attr few = { .limit = 3 };
    fill(calls, 0, 1);
    CHECK_EQ(skua_gather(calls, CALLS, NULL), 0);
    for (int i = 0; i < CALLS; i++)
        CHECK_EQ(calls[i].result, i);
    check_ended(CALLS);
    fill(calls, 0, 1);
    CHECK_EQ(skua_gather(calls, CALLS, &few), 0);
    for (int i = 0; i < CALLS; i++)
        CHECK_EQ(calls[i].result, i);
    check_ended(CALLS);

    fill(calls, 2000, 1);
    calls[7].arg = (void *)(intptr_t)-1;
    CHECK_EQ(skua_gather(calls, CALLS, NULL), -1);
    for (int i = 0; i < CALLS; i++)
        CHECK_EQ(calls[i].result, i == 7 ? -1 : -ECANCELED);
    check_ended_at_most(CALLS);
    fill(calls, 2000, 1);
    calls[1].arg = (void *)(intptr_t)-1;
    CHECK_EQ(skua_gather(calls, CALLS, &few), -1);
    check_ended_at_most(4); /* the others have not begun */
    for (int i = 0; i < CALLS; i++)
        CHECK_EQ(calls[i].result, i == 1 ? -1 : -ECANCELED);

    fill(calls, 2000, 1);
    calls[11].arg = (void *)(intptr_t)1;
    CHECK_EQ(skua_gather_race(calls, CALLS, NULL), 11);
    check_ended_at_most(CALLS);
    CHECK_EQ(calls[11].result, 1);
    CHECK_EQ(skua_gather_race(calls, 0, NULL), -EINVAL);

    fill(calls, -1, -1);
    calls[11].arg = (void *)(intptr_t)200;
    CHECK_EQ(skua_gather_any(calls, CALLS, NULL), 11);
    check_ended_at_most(CALLS);
    fill(calls, -1, -5);
    int64_t last = skua_gather_any(calls, 3, NULL);
    CHECK(last == -1 || last == -6 || last == -11);
    check_ended(3);
    CHECK_EQ(skua_gather_any(calls, 0, NULL), -EINVAL);

    fill(calls, -3, 1);
    CHECK_EQ(skua_gather_settled(calls, CALLS, &few), CALLS - 3);
    for (int i = 0; i < CALLS; i++)
        CHECK_EQ(calls[i].result, i - 3);
    CHECK_EQ(skua_gather_settled(calls, 0, NULL), 0);
    CHECK_EQ(skua_gather(calls, 0, NULL), 0);
    return 0;
}
TEST(gathers) { run_everywhere(gathers, NULL); }

static int interrupted(void *arg)
{
    (void)arg;
    skua_call calls[CALLS];
    skua_gather_attr few = { .limit = 3 };
    fill(calls, 5000, 1);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_gather_settled(calls, CALLS, NULL), -ETIMEDOUT);
        check_ended_at_most(CALLS);
        begun = ended = 0;
        CHECK_EQ(skua_gather(calls, CALLS, NULL), -ETIMEDOUT); /* nobody begins */
        check_ended(0);
    }
    fill(calls, 5000, 1);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_gather(calls, CALLS, &few), -ETIMEDOUT);
        check_ended_at_most(3);
    }
    for (int i = 0; i < CALLS; i++)
        CHECK(calls[i].result == -ECANCELED || calls[i].result == -ETIMEDOUT); /* the one that found it so */
    skua_spawn_attr wrong = { .stack_size = SIZE_MAX };
    CHECK_EQ(skua_gather(calls, CALLS, &(skua_gather_attr){ .spawn = &wrong }), -EINVAL);
    CHECK_EQ(calls[0].result, -EINVAL);
    CHECK_EQ(calls[1].result, -ECANCELED);
    return 0;
}
TEST(gathers_that_are_interrupted) { run_everywhere(interrupted, NULL); }

TEST(a_plain_thread_gathers)
{
    skua_runtime *rt;
    skua_config config = { .workers = 2, .ignore_environment = true };
    skua_call calls[CALLS];
    CHECK_OK(skua_runtime_create(&rt, &config));
    fill(calls, 0, 1);
    skua_spawn_attr there = { .runtime = rt };
    CHECK_EQ(skua_gather(calls, CALLS, &(skua_gather_attr){ .spawn = &there, .limit = 4 }), 0);
    check_ended(CALLS);
    fill(calls, 2000, 1);
    CHECK_EQ(skua_gather(calls, CALLS, NULL), -EINVAL);
    calls[0].arg = NULL;
    CHECK_EQ(skua_gather_race(calls, CALLS, &(skua_gather_attr){ .spawn = &there }), 0);
    CHECK_OK(skua_runtime_destroy(rt));
}
