/* Starting a runtime, using it a little, and ending it, with each call that this makes failing. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>

#include "support/faults.h"
#include "support/test.h"

struct life {
    skua_config config;
    int64_t runs; /* __atomic */
};

static int body(void *arg)
{
    struct life *life = arg;
    __atomic_fetch_add(&life->runs, 1, __ATOMIC_RELAXED);
    skua_yield();
    return 7;
}

static void live(void *arg)
{
    struct life *life = arg;
    skua_stats stats;
    skua_runtime *rt = (skua_runtime *)arg;
    life->runs = 0;
    if (!faults_done(skua_runtime_create(&rt, &life->config))) {
        CHECK(rt == NULL);
        return;
    }
    int64_t result = skua_block_on(rt, body, life);
    if (faults_done(result))
        CHECK_EQ(result, 7);
    CHECK_EQ(life->runs, result == 7);
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.live, 0);
    CHECK_EQ(stats.spawned, (uint64_t)life->runs);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

static void live_in(skua_config config, const enum fault *calls, size_t count)
{
    struct life life = { .config = config };
    faults_each(calls, count, live, &life);
}
#define LIVE_IN(config, ...)                                               \
    do {                                                                   \
        static const enum fault calls[] = { __VA_ARGS__ };                 \
        live_in((config), calls, sizeof calls / sizeof calls[0]);          \
    } while (0)

static skua_config bound(void)
{
    skua_config config = faults_config(2, true);
    config.bind = true;
    return config;
}

static skua_config simulated(bool own_memory)
{
    skua_config config = faults_config(3, own_memory);
    config.simulate = true;
    config.sim_seed = test_seed();
    return config;
}

TEST(memory_of_the_application)
{
    LIVE_IN(bound(), FAULT_application_alloc, FAULT_malloc, FAULT_calloc, FAULT_realloc);
}

TEST(memory_of_malloc)
{
    LIVE_IN(faults_config(2, false), FAULT_malloc, FAULT_calloc, FAULT_realloc, FAULT___sched_cpualloc);
}

TEST(mappings) { LIVE_IN(bound(), FAULT_mmap, FAULT_munmap, FAULT_madvise, FAULT_mprotect); }

TEST(threads)
{
    LIVE_IN(bound(), FAULT_pthread_create, FAULT_pthread_getattr_np, FAULT_pthread_attr_getstack,
            FAULT_pthread_attr_destroy, FAULT_pthread_setname_np, FAULT_pthread_setaffinity_np, FAULT_sched_getaffinity,
            FAULT___sched_cpualloc);
}

TEST(threads_of_many_workers) { LIVE_IN(faults_config(16, true), FAULT_pthread_create); }

TEST(signals) { LIVE_IN(bound(), FAULT_sigaction, FAULT_sigaltstack); }

#if !defined(SKUAI_NO_HWLOC)
TEST(memory_of_a_simulated_machine)
{
    skua_config config = faults_config(3, true);
    config.sim_machine = "numa:2 core:2 pu:1";
    LIVE_IN(config, FAULT_malloc, FAULT_calloc, FAULT_realloc, FAULT_mmap, FAULT_application_alloc);
}
#endif

/* Of the two signals that are handled the first is given back if the second cannot be had. */
TEST(a_handler_that_is_alone_is_given_back)
{
    static const int signals[] = { SIGSEGV, SIGBUS };
    struct sigaction before[2], after;
    skua_config config = simulated(true); /* no threads, so that a fault can be armed in between */
    skua_runtime *rt;
    int rc = -EINVAL;
    for (int i = 0; i < 2; i++)
        CHECK_EQ(sigaction(signals[i], NULL, &before[i]), 0);
    for (uint64_t k = 1; rc < 0; k++) {
        faults_arm(FAULT_sigaction, 0, k, 1);
        rc = skua_runtime_create(&rt, &config);
        faults_disarm();
        CHECK(rc == 0 || rc == -EINVAL);
        CHECK_EQ(rc == 0, k == 5); /* for each of the two there is a look and a change */
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(sigaction(signals[i], NULL, &after), 0);
            CHECK_EQ(after.sa_sigaction == before[i].sa_sigaction, rc < 0);
        }
    }
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

TEST(files) { LIVE_IN(bound(), FAULT_open, FAULT_read, FAULT_close); }

TEST(the_kernel) { LIVE_IN(bound(), FAULT_syscall, FAULT_sysconf, FAULT_getrandom); }

#if !defined(SKUAI_NO_HWLOC)
TEST(hwloc)
{
    LIVE_IN(bound(), FAULT_hwloc_topology_init, FAULT_hwloc_topology_load, FAULT_hwloc_topology_set_all_types_filter,
            FAULT_hwloc_topology_set_type_filter, FAULT_hwloc_topology_set_flags, FAULT_hwloc_get_type_depth,
            FAULT_hwloc_get_nbobjs_by_depth, FAULT_hwloc_get_obj_by_depth, FAULT_hwloc_bitmap_first);
}

/* What the kernel is asked instead, and then less still: the number of processors. */
TEST(without_hwloc)
{
    faults_always(FAULT_hwloc_topology_load, 1);
    LIVE_IN(bound(), FAULT_malloc, FAULT_calloc, FAULT___sched_cpualloc, FAULT_sched_getaffinity);
    faults_always(FAULT_sched_getaffinity, 1);
    LIVE_IN(bound(), FAULT_malloc, FAULT_calloc, FAULT___sched_cpualloc, FAULT_sysconf);
    faults_always_none();
}
#endif

TEST(a_simulation)
{
    LIVE_IN(simulated(true), FAULT_application_alloc, FAULT_calloc, FAULT_aligned_alloc, FAULT_munmap, FAULT_madvise,
            FAULT_sigaction, FAULT_pthread_getattr_np, FAULT_pthread_attr_getstack, FAULT_open, FAULT_read,
            FAULT_syscall);
    LIVE_IN(simulated(false), FAULT_malloc, FAULT_calloc, FAULT_aligned_alloc);
}

/* Anything at once. */
TEST(by_chance)
{
    static const enum fault calls[] = {
#define FAULT(name, ways, verdict) FAULT_##name,
#define WATCHED(name)
#define NEVER(name)
#include "support/faults.def"
#undef FAULT
#undef WATCHED
#undef NEVER
    };
    struct life life = { .config = bound() };
    live(&life); /* what libc makes once */
    for (uint64_t i = 0; i < test_scaled(400); i++) {
        life.config = i % 2 == 0 ? bound() : faults_config(1 + (uint32_t)i % 4, i % 4 == 1);
        faults_by_chance(calls, sizeof calls / sizeof calls[0], test_seed() + i, i % 3 == 0 ? 200 : 20, live, &life);
    }
}
