/* Spawning tasks of every kind, from outside and from tasks, with each call that this makes failing: a spawn that says
 * 0 has started one task, which runs once and ends; one that says anything else has started none. On real workers and
 * in a simulation, whose calls come in the same order in every run. */
#include <errno.h>
#include <string.h>

#include "support/faults.h"
#include "support/test.h"

enum { PER_KIND = 12, LARGE_BYTES = 5000, LOCALS = 6 };

struct ledger {
    skua_config config;
    int64_t spawned, begun, ended; /* __atomic */
    int64_t locals_set, locals_destroyed;
};

static void count(int64_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

/* ---- the tasks ------------------------------------------------------------------------------------------------ */

static int plain_fiber(void *arg)
{
    struct ledger *ledger = arg;
    count(&ledger->begun);
    skua_yield();
    count(&ledger->ended);
    return 3;
}

static void destroy_local(void *value) { count(&((struct ledger *)value)->locals_destroyed); }

/* A name and locals are had or not; what was had stays. */
static int decorated_fiber(void *arg)
{
    static skua_local keys[LOCALS] = { SKUA_LOCAL_INIT(destroy_local), SKUA_LOCAL_INIT(destroy_local),
                                       SKUA_LOCAL_INIT(destroy_local), SKUA_LOCAL_INIT(destroy_local),
                                       SKUA_LOCAL_INIT(destroy_local), SKUA_LOCAL_INIT(destroy_local) };
    struct ledger *ledger = arg;
    bool is_set[LOCALS];
    count(&ledger->begun);
    faults_done(skua_self_set_name("decorated"));
    for (int i = 0; i < LOCALS; i++) {
        is_set[i] = faults_done(skua_local_set(&keys[i], ledger));
        if (is_set[i])
            count(&ledger->locals_set);
    }
    skua_yield();
    for (int i = 0; i < LOCALS; i++)
        CHECK(skua_local_get(&keys[i]) == (is_set[i] ? ledger : NULL));
    count(&ledger->ended);
    return 3;
}

struct small_future {
    SKUA_FRAME;
    struct {
        struct ledger *ledger;
    } in;
};
SKUA_ASYNC(small_future)
{
    SKUA_BEGIN(self);
    count(&self->in.ledger->begun);
    SKUA_YIELD();
    count(&self->in.ledger->ended);
    SKUA_END(3);
}

struct large_future {
    SKUA_FRAME;
    struct {
        struct ledger *ledger;
    } in;
    char room[LARGE_BYTES];
};
SKUA_ASYNC(large_future)
{
    SKUA_BEGIN(self);
    count(&self->in.ledger->begun);
    memset(self->room, 1, sizeof self->room);
    SKUA_YIELD();
    CHECK_EQ(self->room[0] + self->room[LARGE_BYTES - 1], 2);
    count(&self->in.ledger->ended);
    SKUA_END(3);
}

/* ---- spawning them -------------------------------------------------------------------------------------------- */

enum kind { PLAIN, NAMED, DECORATED, SMALL_FUTURE, NAMED_FUTURE, LARGE_FUTURE, NAMED_LARGE_FUTURE, KINDS };

static int spawn_kind(skua_task **task, skua_runtime *rt, enum kind kind, struct ledger *ledger)
{
    skua_spawn_attr attr = { .runtime = rt, .name = "named" }, nameless = { .runtime = rt };
    switch (kind) {
    case PLAIN:
        return skua_spawn_with(task, &nameless, plain_fiber, ledger);
    case NAMED:
        return skua_spawn_with(task, &attr, plain_fiber, ledger);
    case DECORATED:
        return skua_spawn_with(task, &nameless, decorated_fiber, ledger);
    case SMALL_FUTURE:
        return SKUA_SPAWN_WITH(task, &nameless, small_future, .ledger = ledger);
    case NAMED_FUTURE:
        return SKUA_SPAWN_WITH(task, &attr, small_future, .ledger = ledger);
    case LARGE_FUTURE:
        return SKUA_SPAWN_WITH(task, &nameless, large_future, .ledger = ledger);
    case NAMED_LARGE_FUTURE:
        return SKUA_SPAWN_WITH(task, &attr, large_future, .ledger = ledger);
    case KINDS:
        break;
    }
    return -EINVAL;
}

/* A joined and a detached one of each kind. */
static void spawn_all(skua_runtime *rt, struct ledger *ledger)
{
    skua_task *tasks[KINDS * PER_KIND];
    uint32_t ntasks = 0;
    for (uint32_t i = 0; i < 2 * KINDS * PER_KIND; i++) {
        bool is_joined = i % 2 == 0;
        skua_task *const untouched = (skua_task *)ledger;
        skua_task *task = untouched;
        count(&ledger->spawned);
        if (!faults_done(spawn_kind(is_joined ? &task : NULL, rt, (enum kind)(i / 2 % KINDS), ledger))) {
            __atomic_fetch_sub(&ledger->spawned, 1, __ATOMIC_RELAXED);
            CHECK(task == untouched);
        } else if (is_joined) {
            tasks[ntasks++] = task;
        }
    }
    for (uint32_t i = 0; i < ntasks; i++) {
        int64_t result = 0;
        CHECK_EQ(skua_join(tasks[i], &result), 0);
        CHECK_EQ(result, 3);
    }
}

static int spawner(void *arg)
{
    spawn_all(NULL, arg);
    return 0;
}

static void live(void *arg)
{
    struct ledger *ledger = arg;
    skua_runtime *rt;
    skua_stats stats;
    *ledger = (struct ledger){ .config = ledger->config };
    if (!faults_done(skua_runtime_create(&rt, &ledger->config)))
        return;
    spawn_all(rt, ledger);
    bool was_run = faults_done(skua_block_on(rt, spawner, ledger));
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.live, 0);
    CHECK_EQ(faults_slots_held(rt), 0);
    CHECK_EQ(stats.spawned, (uint64_t)ledger->spawned + was_run);
    CHECK_EQ(ledger->begun, ledger->spawned);
    CHECK_EQ(ledger->ended, ledger->spawned);
    CHECK_EQ(ledger->locals_destroyed, ledger->locals_set);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

static skua_config config_for(uint32_t workers, bool own_memory, bool simulate)
{
    skua_config config = faults_config(workers, own_memory);
    config.simulate = simulate;
    config.sim_seed = test_seed();
    return config;
}

/* Not where only races are looked for: a simulation is one thread. */
static void live_simulated(struct ledger *ledger, bool own_memory, const enum fault *calls, size_t ncalls)
{
    ledger->config = config_for(3, own_memory, true);
    if (!test_under_tsan())
        faults_each(calls, ncalls, live, ledger);
}

TEST(memory_for_names_locals_and_large_frames)
{
    struct ledger ledger = { .config = config_for(2, true, false) };
    FAULTS_EACH(live, &ledger, FAULT_application_alloc);
    live_simulated(&ledger, true, (enum fault[]){ FAULT_application_alloc }, 1);
}

TEST(the_same_from_malloc)
{
    struct ledger ledger = { .config = config_for(2, false, false) };
    FAULTS_EACH(live, &ledger, FAULT_malloc);
    live_simulated(&ledger, false, (enum fault[]){ FAULT_malloc }, 1);
}

TEST(task_memory_and_stacks)
{
    struct ledger ledger = { .config = config_for(2, true, false) };
    FAULTS_EACH(live, &ledger, FAULT_mmap, FAULT_munmap, FAULT_madvise);
    live_simulated(&ledger, true, (enum fault[]){ FAULT_munmap, FAULT_madvise }, 2);
}

TEST(by_chance)
{
    static const enum fault calls[] = { FAULT_application_alloc, FAULT_malloc, FAULT_mmap, FAULT_madvise,
                                        FAULT_mprotect, FAULT_syscall, FAULT_munmap };
    struct ledger ledger = { .config = config_for(2, true, false) };
    live(&ledger); /* what libc makes once */
    for (uint64_t i = 0; i < test_scaled(200); i++) {
        ledger.config = config_for(1 + (uint32_t)i % 4, i % 2 == 0, false);
        faults_by_chance(calls, sizeof calls / sizeof calls[0], test_seed() + i, i % 2 == 0 ? 10 : 200, live, &ledger);
    }
}
