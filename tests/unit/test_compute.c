/* SKUA_COMPUTE of skua/parallel.h: what the serial clones give is what the jobs would. They exist with NDEBUG only. */
#if !defined(NDEBUG)
#define NDEBUG 1
#endif
#include <pthread.h>

#include "support/random_jobs.h"

SKUA_COMPUTE(long, fib, int, n)
{
    if (n < 2)
        return n;
    SKUA_FORK(left, fib, n - 1);
    long right = SKUA_CALL(fib, n - 2);
    return SKUA_JOIN(fib, left) + right;
}
static int run_fib(void *arg)
{
    (void)arg;
    CHECK_EQ(SKUA_RUN(fib, 18), 2584);
    return 0;
}
TEST(recursion) { run_everywhere(run_fib, NULL); }
static int run_large_fib(void *arg)
{
    (void)arg;
    CHECK_EQ(SKUA_RUN(fib, 32), 2178309);
    return 0;
}
TEST(many_workers)
{
    for (int i = 0; i < (int)test_scaled(20); i++)
        CHECK_EQ(run_on(8, run_large_fib, NULL), 0);
}

/* A loop in either clone goes on until another worker has taken something of what it forks. */
static _Atomic bool is_fed;
SKUA_COMPUTE_VOID(bush, pthread_t, forker, int, depth)
{
    if (depth == 0) {
        if (!pthread_equal(pthread_self(), forker))
            is_fed = true;
        return;
    }
    SKUA_FORK(left, bush, forker, depth - 1);
    SKUA_CALL(bush, forker, depth - 1);
    SKUA_JOIN(bush, left);
}
SKUA_COMPUTE_VOID(loop_below, int, depth)
{
    while (depth == 0 && !is_fed) {
        SKUA_FORK(left, bush, pthread_self(), 4);
        SKUA_CALL(bush, pthread_self(), 4);
        SKUA_JOIN(bush, left);
    }
    if (depth > 0) {
        SKUA_FORK(below, loop_below, depth - 1);
        SKUA_JOIN(loop_below, below);
    }
}
static int run_loop_below(void *arg)
{
    is_fed = false;
    SKUA_RUN(loop_below, *(int *)arg);
    return 0;
}
TEST(a_loop_feeds_others)
{
    for (int depth = 40; depth < 42; depth++)
        CHECK_EQ(run_on(3, run_loop_below, &depth), 0);
}

/* As the random trees of jobs, but for what waits. */
SKUA_COMPUTE_VOID_DECLARE(tree, uint64_t, seed, int, depth, uint64_t *, sum);
SKUA_COMPUTE(struct jobs_wide, wide_tree, struct jobs_wide, in)
{
    uint64_t seed = in.seed;
    in.seed = 0;
    SKUA_CALL(tree, seed, in.depth, &in.seed);
    return in;
}
/* After a short run, in which much was too small to be shared, a long one: until another worker has had much of it. If
 * its first call went into a clone others would have nothing but crumbs. */
enum { SHORT_DEPTH = 17, ENDLESS_DEPTH = 34, LEAVES_ELSEWHERE = 1000000, STEALS = 100 };
static _Atomic int leaves_elsewhere;
static int enough_leaves;
static bool is_long;
SKUA_COMPUTE(long, bush_of_leaves, pthread_t, forker, int, depth)
{
    if (depth == 0) {
        if (is_long && !pthread_equal(pthread_self(), forker))
            leaves_elsewhere++;
        return 1;
    }
    if (leaves_elsewhere >= enough_leaves)
        return 0;
    SKUA_FORK(left, bush_of_leaves, forker, depth - 1);
    long right = SKUA_CALL(bush_of_leaves, forker, depth - 1);
    return SKUA_JOIN(bush_of_leaves, left) + right;
}
static int run_long_after_short(void *arg)
{
    (void)arg;
    skua_stats before, after;
    is_long = false;
    leaves_elsewhere = 0;
    enough_leaves = (int)test_scaled(LEAVES_ELSEWHERE);
    CHECK_EQ(SKUA_RUN(bush_of_leaves, pthread_self(), SHORT_DEPTH), 1 << SHORT_DEPTH);
    is_long = true;
    skua_runtime_stats(skua_runtime_self(), &before);
    CHECK(SKUA_RUN(bush_of_leaves, pthread_self(), ENDLESS_DEPTH) >= enough_leaves);
    skua_runtime_stats(skua_runtime_self(), &after);
    CHECK(after.steals - before.steals <= STEALS); /* a few; of crumbs it was hundreds or thousands */
    return 0;
}
TEST(a_long_run_after_a_short_one_is_shared)
{
    for (int i = 0; i < 20; i++)
        CHECK_EQ(run_on(2, run_long_after_short, NULL), 0);
}

/* A function of the other kind among them, which may wait. */
SKUA_PARALLEL(uint64_t, waiting_tree, uint64_t, seed, int, depth)
{
    uint64_t sum = 0;
    SKUA_FORK(all, tree, seed, depth, &sum);
    CHECK_OK(skua_yield());
    SKUA_JOIN(tree, all);
    return sum;
}
SKUA_COMPUTE_VOID_DEFINE(tree, uint64_t, seed, int, depth, uint64_t *, sum)
{
    SKUA_FORKED(tree) kid[3];
    SKUA_FORKED(wide_tree) wide = { 0 }; /* gcc does not see that it is set where it is joined */
    SKUA_FORKED(waiting_tree) waiting;
    uint64_t kid_sum[3] = { 0, 0, 0 }, kind = (seed >> 50) % 16;
    int first = kind < 2, kids = jobs_children(seed);
    *sum = seed;
    if (depth == 0)
        return;
    if (kind == 0)
        SKUA_FORK_INTO(wide, wide_tree, jobs_widen(jobs_child(seed, 0), depth - 1));
    if (kind == 1)
        SKUA_FORK_INTO(waiting, waiting_tree, jobs_child(seed, 0), depth - 1);
    for (int i = first; i < kids - 1; i++)
        SKUA_FORK_INTO(kid[i], tree, jobs_child(seed, i), depth - 1, &kid_sum[i]);
    if (first < kids)
        SKUA_CALL(tree, jobs_child(seed, kids - 1), depth - 1, &kid_sum[kids - 1]);
    for (int i = kids - 1; i-- > first;)
        SKUA_JOIN(tree, kid[i]);
    if (kind == 1)
        *sum += SKUA_JOIN(waiting_tree, waiting);
    if (kind == 0)
        *sum += SKUA_JOIN(wide_tree, wide).seed;
    for (int i = first; i < kids; i++)
        *sum += kid_sum[i];
}
static uint64_t serial_tree(uint64_t seed, int depth)
{
    uint64_t sum = seed;
    for (int i = 0; depth > 0 && i < jobs_children(seed); i++)
        sum += serial_tree(jobs_child(seed, i), depth - 1);
    return sum;
}

/* The same sum by forks that have names, which one clone looks at and the other passes. */
SKUA_COMPUTE(uint64_t, named_tree, uint64_t, seed, int, depth)
{
    int kids = depth == 0 ? 0 : jobs_children(seed);
    if (kids == 0)
        return seed;
    SKUA_FORK(first, named_tree, jobs_child(seed, 0), depth - 1);
    uint64_t others = 0;
    if (kids > 1) {
        SKUA_FORK(second, named_tree, jobs_child(seed, 1), depth - 1);
        if (kids > 2)
            others = SKUA_CALL(named_tree, jobs_child(seed, 2), depth - 1);
        others += SKUA_JOIN(named_tree, second);
    }
    return SKUA_JOIN(named_tree, first) + others + seed;
}

struct tree_of {
    uint64_t seed;
    int depth;
};
static int run_tree(void *arg)
{
    const struct tree_of *of = arg;
    uint64_t sum, right = serial_tree(of->seed, of->depth);
    SKUA_RUN(tree, of->seed, of->depth, &sum);
    CHECK_EQ(sum, right);
    CHECK_EQ(SKUA_RUN(named_tree, of->seed, of->depth), right);
    return 0;
}
TEST(random_trees_on_1_to_32_workers)
{
    uint64_t end = test_seed() + test_scaled(20);
    for (uint64_t seed = test_seed(); seed < end; seed++)
        for (uint32_t workers = 1; workers <= 32; workers *= 2)
            run_on(workers, run_tree, &(struct tree_of){ jobs_mix(seed * 100 + workers), 14 });
}
TEST(random_trees_under_seeds)
{
    uint64_t end = test_seed() + test_scaled(500);
    for (uint64_t seed = test_seed(); seed < end; seed++)
        run_seeded(seed, 1 + (uint32_t)(seed % 7), run_tree, &(struct tree_of){ jobs_mix(seed), 7 });
}
