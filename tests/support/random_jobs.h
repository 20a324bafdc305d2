/* Random trees of jobs, and what they must give: the sum of their seeds, whoever ran which of them where. */
#ifndef TEST_RANDOM_JOBS_H
#define TEST_RANDOM_JOBS_H

#include "support/with_runtime.h"

/* Source: splitmix64's finisher. */
static inline uint64_t jobs_mix(uint64_t seed)
{
    seed = (seed + UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return seed ^ (seed >> 31);
}
static inline uint64_t jobs_child(uint64_t seed, int i) { return jobs_mix(seed + (uint64_t)i + 1); }
static inline int jobs_children(uint64_t seed) { return 1 + (int)(seed % 3); }
static inline int jobs_depth_nested(int depth) { return depth < 3 ? depth : 3; }
static inline bool jobs_nests(uint64_t seed) { return (seed >> 40) % 128 == 2; }

static inline uint64_t jobs_serial(uint64_t seed, int depth)
{
    uint64_t sum = seed;
    if (depth == 0)
        return sum;
    for (int i = 0; i < jobs_children(seed); i++)
        sum += jobs_serial(jobs_child(seed, i), depth - 1);
    if (jobs_nests(seed))
        sum += jobs_serial(jobs_child(seed, 9), jobs_depth_nested(depth - 1));
    return sum;
}

/* Larger than what a job has room for. */
struct jobs_wide {
    uint64_t seed, ballast[7];
    int depth;
};

SKUA_PARALLEL_DECLARE(uint64_t, jobs_tree, uint64_t, seed, int, depth);
SKUA_PARALLEL(struct jobs_wide, jobs_wide_tree, struct jobs_wide, in)
{
    for (uint64_t i = 0; i < 7; i++)
        CHECK_EQ(in.ballast[i], in.seed + i);
    in.seed = SKUA_CALL(jobs_tree, in.seed, in.depth);
    return in;
}
static inline struct jobs_wide jobs_widen(uint64_t seed, int depth)
{
    struct jobs_wide wide = { .seed = seed, .depth = depth };
    for (uint64_t i = 0; i < 7; i++)
        wide.ballast[i] = seed + i;
    return wide;
}
static inline uint64_t jobs_nested(uint64_t seed, int depth);

/* Forks, calls and joins in any order that is last in, first out; now and then it waits, or runs a tree of its own. */
SKUA_PARALLEL_DEFINE(uint64_t, jobs_tree, uint64_t, seed, int, depth)
{
    SKUA_FORKED(jobs_tree) kid[3];
    uint64_t sum = seed;
    int open = 0;
    skua_sim_compute((seed >> 30) % (20 * SKUA_US)); /* where that means something */
    if (depth == 0)
        return sum;
    bool forks_wide = (seed >> 50) % 8 == 0;
    SKUA_FORKED(jobs_wide_tree) wide;
    for (int i = 0; i < jobs_children(seed); i++) {
        uint64_t child = jobs_child(seed, i), kind = (seed >> (8 + 4 * i)) % 8;
        if (kind == 6 && open > 0 && !forks_wide)
            sum += SKUA_JOIN(jobs_tree, kid[--open]);
        if (i == 0 && forks_wide)
            SKUA_FORK_INTO(wide, jobs_wide_tree, jobs_widen(child, depth - 1));
        else if (kind == 5)
            sum += SKUA_CALL(jobs_tree, child, depth - 1);
        else
            SKUA_FORK_INTO(kid[open++], jobs_tree, child, depth - 1);
    }
    if ((seed >> 40) % 128 == 0)
        CHECK_OK(skua_yield());
    else if ((seed >> 40) % 256 == 1)
        CHECK_OK(skua_sleep(SKUA_US));
    else if (jobs_nests(seed))
        sum += jobs_nested(jobs_child(seed, 9), jobs_depth_nested(depth - 1));
    while (open > 0)
        sum += SKUA_JOIN(jobs_tree, kid[--open]);
    if (forks_wide)
        sum += SKUA_JOIN(jobs_wide_tree, wide).seed;
    return sum;
}
static inline uint64_t jobs_nested(uint64_t seed, int depth) { return SKUA_RUN(jobs_tree, seed, depth); }

#endif
