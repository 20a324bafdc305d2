/* Intervals, in virtual time where lateness is to be exact. */
#include <errno.h>

#include <skua/interval.h>

#include "support/with_runtime.h"

/* Sleeping a little too long by the simulation's own steps is well below a period. */
static int runs_late(enum skua_interval_policy policy, uint64_t ticks[6], uint64_t missed[6])
{
    uint64_t begin = skua_now();
    skua_interval every = skua_interval_start(SKUA_S, policy);
    for (int i = 0; i < 6; i++) {
        CHECK_OK(skua_interval_tick(&every, &missed[i]));
        CHECK(skua_now() - begin >= SKUA_S);
        ticks[i] = (skua_now() - begin + SKUA_S / 10) / (SKUA_S / 10) - 1; /* tenths of seconds */
        if (i == 1)
            CHECK_OK(skua_sleep(3500 * SKUA_MS)); /* the work after the second tick */
    }
    return 0;
}

static int policies(void *arg)
{
    (void)arg;
    static const uint64_t due[3][6] = { { 10, 20, 55, 55, 55, 60 },
                                        { 10, 20, 55, 65, 75, 85 },
                                        { 10, 20, 55, 60, 70, 80 } };
    static const uint64_t left[3][6] = { { 0, 0, 2, 1, 0, 0 }, { 0, 0, 2, 0, 0, 0 }, { 0, 0, 2, 0, 0, 0 } };
    for (int policy = 0; policy < 3; policy++) {
        uint64_t ticks[6], missed[6];
        CHECK_OK(runs_late((enum skua_interval_policy)policy, ticks, missed));
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(ticks[i], due[policy][i]);
            CHECK_EQ(missed[i], left[policy][i]);
        }
    }
    return 0;
}
TEST(three_policies)
{
    for (uint64_t seed = 1; seed < 10; seed++)
        CHECK_EQ(run_seeded(seed, 1 + (uint32_t)(seed % 4), policies, NULL), 0);
}

static int interrupted(void *arg)
{
    (void)arg;
    skua_interval every = skua_interval_start(10 * SKUA_MS, SKUA_INTERVAL_SKIP);
    uint64_t due = every.next_ns;
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_interval_tick(&every, NULL), -ETIMEDOUT);
    }
    CHECK_EQ(every.next_ns, due); /* still to come */
    CHECK_OK(skua_interval_tick(&every, NULL));
    CHECK(skua_now() >= due);
    skua_interval never = skua_interval_start(SKUA_NEVER, SKUA_INTERVAL_BURST);
    CHECK_EQ(never.next_ns, SKUA_NEVER);
    skua_cancel(skua_self());
    CHECK_EQ(skua_interval_tick(&never, NULL), -ECANCELED);
    return 0;
}
TEST(cancelled_ticks_are_still_to_come) { run_everywhere(interrupted, NULL); }

TEST(intervals_of_a_plain_thread)
{
    skua_interval every = skua_interval_start(SKUA_US, SKUA_INTERVAL_DELAY);
    for (int i = 0; i < 5; i++)
        CHECK_OK(skua_interval_tick(&every, NULL));
}
