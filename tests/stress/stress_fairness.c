/* With 100,000 ready tasks none waits for more than a bounded number of runs of the others. Counted in runs, not time:
 * each task notes how many runs all tasks together have had between two of its own. Under many seeds with fewer tasks,
 * and on real workers. */
#include "support/with_runtime.h"

enum { ROUNDS = 6 };

struct fairness {
    int64_t tasks, runs, left, longest; /* __atomic */
    skua_waker done;
};

struct yielder {
    SKUA_FRAME;
    struct {
        struct fairness *fairness;
    } in;
    int64_t last;
    int round;
};
SKUA_ASYNC(yielder)
{
    SKUA_BEGIN(self);
    self->last = -1;
    for (self->round = 0; self->round < ROUNDS; self->round++) {
        SKUA_YIELD();
        struct fairness *fairness = self->in.fairness;
        int64_t now = __atomic_add_fetch(&fairness->runs, 1, __ATOMIC_RELAXED);
        int64_t longest = __atomic_load_n(&fairness->longest, __ATOMIC_RELAXED);
        while (self->last >= 0 && now - self->last > longest &&
               !__atomic_compare_exchange_n(&fairness->longest, &longest, now - self->last, false, __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED))
            ;
        self->last = now;
    }
    skua_waker done = self->in.fairness->done;
    if (__atomic_sub_fetch(&self->in.fairness->left, 1, __ATOMIC_ACQ_REL) == 0)
        skua_wake(done);
    SKUA_END(0);
}

static int yield_all(void *arg)
{
    struct fairness *fairness = arg;
    fairness->left = fairness->tasks;
    fairness->runs = fairness->longest = 0;
    fairness->done = skua_waker_self();
    for (int64_t i = 0; i < fairness->tasks; i++)
        CHECK_OK(SKUA_GO(yielder, .fairness = fairness));
    while (__atomic_load_n(&fairness->left, __ATOMIC_ACQUIRE) != 0)
        CHECK_OK(skua_park());
    return 0;
}

/* One round of all tasks is the least that is possible, two are what alternating between deque and inbox gives
 * (sched/DESIGN.md, "Order"). Several real workers are only reported: one that the kernel has preempted is overtaken
 * for as long as that lasts. */
static void check(const struct fairness *fairness, uint32_t workers, bool strict)
{
    printf("  %u workers, %lld tasks: longest wait %.2f rounds\n", workers, (long long)fairness->tasks,
           (double)fairness->longest / (double)fairness->tasks);
    if (strict)
        CHECK(fairness->longest <= 2 * fairness->tasks + 4 * 1024); /* 1,024: a deque's capacity */
}

TEST(real_workers)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++) {
        struct fairness fairness = { .tasks = 100000 };
        /* No spare workers: one stands in for a worker that the kernel has preempted for long. */
        CHECK_EQ(run_in((skua_config){ .workers = workers[i], .ignore_environment = true, .stuck_ns = SKUA_NEVER },
                        yield_all, &fairness), 0);
        check(&fairness, workers[i], workers[i] == 1);
    }
}

TEST(under_seeds)
{
    for (uint64_t seed = test_seed(); seed < test_seed() + 6; seed++) {
        struct fairness fairness = { .tasks = 4000 };
        uint32_t workers = 1 + (uint32_t)(seed % 4);
        CHECK_EQ(run_seeded(seed, workers, yield_all, &fairness), 0);
        check(&fairness, workers, true);
    }
}
