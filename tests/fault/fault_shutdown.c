/* The end of a runtime, through all its stages, with each call that this makes failing: it drains, cancels, reports and
 * stops as ever, and nothing is left but what the kernel itself refused to take back. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "support/faults.h"
#include "support/test.h"

enum ending { BY_ITSELF, CANCELLED, ABANDONED };
enum { TASKS = 6 };

struct life {
    skua_config config;
    enum ending ending;
    int64_t spawned, begun, ended; /* __atomic */
    int32_t thread_waits;          /* __atomic; or has been refused */
    uint64_t lives;
    skua_runtime *rt;
};

static void count(int64_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

static int brief(void *arg)
{
    struct life *life = arg;
    count(&life->begun);
    skua_sleep(100000);
    count(&life->ended);
    return 0;
}

/* Ends when it is cancelled. */
static int patient(void *arg)
{
    struct life *life = arg;
    count(&life->begun);
    CHECK_EQ(skua_sleep(SKUA_NEVER), -ECANCELED);
    count(&life->ended);
    return 0;
}

/* Never ends. */
static int stubborn(void *arg)
{
    struct life *life = arg;
    count(&life->begun);
    SKUA_SHIELD();
    for (;;)
        skua_sleep(SKUA_NEVER);
    return 0;
}

struct waiting_future {
    SKUA_FRAME;
    struct {
        struct life *life;
    } in;
    skua_sleep_op sleep;
};
SKUA_ASYNC(waiting_future)
{
    SKUA_BEGIN(self);
    count(&self->in.life->begun);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.life->ending == BY_ITSELF ? 100000 : SKUA_NEVER));
    count(&self->in.life->ended);
    SKUA_END(0);
}

static int spawn_one(struct life *life, int i)
{
    skua_spawn_attr attr = { .runtime = life->rt, .name = i % 3 == 0 ? "left over" : NULL };
    if (i % 2 == 0)
        return SKUA_SPAWN_WITH(NULL, &attr, waiting_future, .life = life);
    return skua_spawn_with(NULL, &attr, life->ending == BY_ITSELF ? brief : patient, life);
}

static void spawn_all(struct life *life)
{
    for (int i = 0; i < TASKS; i++)
        if (faults_done(spawn_one(life, i)))
            count(&life->spawned);
}

/* A thread that waits for a task meanwhile. */
static int awaited(void *arg)
{
    struct life *life = arg;
    __atomic_store_n(&life->thread_waits, 1, __ATOMIC_RELEASE);
    return life->ending == BY_ITSELF ? brief(life) : patient(life);
}

static void *wait_for_task(void *arg)
{
    struct life *life = arg;
    int64_t rc = skua_block_on(life->rt, awaited, life);
    /* Cancelled before there was memory for its stack: it has not begun. */
    bool is_stillborn = rc == -ECANCELED && life->ending == CANCELLED && faults_may_refuse();
    if (rc != -ESHUTDOWN && !is_stillborn && faults_done(rc))
        count(&life->spawned);
    __atomic_store_n(&life->thread_waits, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void abandon(struct life *life)
{
    skua_spawn_attr attr = { .runtime = life->rt, .name = "stubborn" };
    if (!faults_done(skua_spawn_with(NULL, &attr, stubborn, life))) {
        CHECK_EQ(skua_runtime_shutdown(life->rt, 0, SKUA_NEVER), 0);
        return;
    }
    int rc = skua_runtime_shutdown(life->rt, 0, SKUA_MS);
    CHECK(rc == -ETIMEDOUT || rc == 0); /* 0: it was cancelled before there was memory for its stack */
    CHECK_EQ(skua_runtime_shutdown(life->rt, 0, 0), rc);
}

static void live(void *arg)
{
    struct life *life = arg;
    skua_stats stats;
    pthread_t thread;
    bool with_thread = !life->config.simulate && life->ending != ABANDONED;
    life->spawned = life->begun = life->ended = 0;
    life->thread_waits = 0;
    life->lives++;
    if (!faults_done(skua_runtime_create(&life->rt, &life->config)))
        return;
    spawn_all(life);
    if (with_thread) {
        CHECK_EQ(pthread_create(&thread, NULL, wait_for_task, life), 0);
        while (life->lives % 2 == 0 && __atomic_load_n(&life->thread_waits, __ATOMIC_ACQUIRE) == 0)
            skua_yield(); /* in the other lives it comes while the runtime goes, or too late */
    }
    if (life->ending == ABANDONED)
        abandon(life);
    else
        CHECK_EQ(skua_runtime_shutdown(life->rt, life->ending == BY_ITSELF ? SKUA_NEVER : 0, SKUA_NEVER), 0);
    if (with_thread)
        pthread_join(thread, NULL);
    skua_runtime_stats(life->rt, &stats);
    if (life->ending != ABANDONED) {
        CHECK_EQ(stats.live, 0);
        CHECK_EQ(faults_slots_held(life->rt), 0);
        /* A fiber that is cancelled before there is memory for its stack ends without having begun. */
        CHECK(life->ending == CANCELLED ? life->begun <= life->spawned : life->begun == life->spawned);
        CHECK_EQ(life->ended, life->begun);
    }
    CHECK_EQ(skua_runtime_destroy(life->rt), 0);
}

static void live_with_faults(enum ending ending)
{
    struct life life = { .config = faults_config(2, true), .ending = ending };
    FAULTS_EACH(live, &life, FAULT_application_alloc, FAULT_munmap, FAULT_mmap, FAULT_sigaction, FAULT_sigaltstack,
                FAULT_pthread_create, FAULT_syscall);
}

static void live_simulated(enum ending ending)
{
    struct life life = { .config = faults_config(3, true), .ending = ending };
    life.config.simulate = true;
    life.config.sim_seed = test_seed();
    if (!test_under_tsan()) /* which would look for races: a simulation is one thread */
        FAULTS_EACH(live, &life, FAULT_application_alloc, FAULT_munmap, FAULT_sigaction, FAULT_aligned_alloc);
}

TEST(after_the_tasks_have_ended) { live_with_faults(BY_ITSELF); }
TEST(by_cancelling) { live_with_faults(CANCELLED); }
TEST(leaving_tasks_behind) { live_with_faults(ABANDONED); }
TEST(simulated_after_the_tasks_have_ended) { live_simulated(BY_ITSELF); }
TEST(simulated_by_cancelling) { live_simulated(CANCELLED); }
TEST(simulated_leaving_tasks_behind) { live_simulated(ABANDONED); }

/* ---- a task that does not let go of its worker ---------------------------------------------------------------- */

struct hog {
    int32_t begun, may_go; /* __atomic */
};

static int compute(void *arg)
{
    struct hog *hog = arg;
    __atomic_store_n(&hog->begun, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&hog->may_go, __ATOMIC_ACQUIRE) == 0)
        ;
    return 0;
}

static void outlast_hog(void *arg)
{
    struct hog hog = { 0, 0 };
    skua_config config = faults_config(2, true);
    skua_runtime *rt;
    (void)arg;
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = rt }, compute, &hog));
    while (__atomic_load_n(&hog.begun, __ATOMIC_ACQUIRE) == 0)
        skua_yield();
    CHECK_EQ(skua_runtime_shutdown(rt, 0, 0), -EBUSY);
    __atomic_store_n(&hog.may_go, 1, __ATOMIC_RELEASE);
    int rc;
    while ((rc = skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER)) == -EBUSY)
        ;
    CHECK_EQ(rc, 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

TEST(a_hog_while_no_wait_waits)
{
    for (int way = 0; way < 3; way++) {
        faults_always(FAULT_syscall, way);
        outlast_hog(NULL);
        faults_always_none();
    }
}
