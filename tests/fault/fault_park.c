/* Waiting, with a futex that is interrupted (EINTR), comes too late (EAGAIN) or returns for no reason; with wakes that
 * report an error, once they are done, for the memory has gone; and with a sleep that is interrupted. Workers, threads
 * that wait for tasks, tasks that wait for threads, and the end of the runtime. */
#include <pthread.h>

#include "support/faults.h"
#include "support/random_tasks.h"

enum { ROUNDS = 12, PAUSE_NS = 20000 };

struct meeting {
    skua_runtime *rt;
    uint64_t seed;
    skua_waker waker;
    int64_t ready, rounds, done; /* __atomic */
};

/* A fiber that a thread wakes. */
static int park_for_thread(void *arg)
{
    struct meeting *meeting = arg;
    meeting->waker = skua_waker_self();
    __atomic_store_n(&meeting->ready, 1, __ATOMIC_RELEASE);
    for (int64_t seen = 0; seen < ROUNDS;) {
        int64_t now = __atomic_load_n(&meeting->rounds, __ATOMIC_ACQUIRE);
        if (now == seen)
            CHECK_OK(skua_park());
        else
            seen = now;
    }
    __atomic_store_n(&meeting->done, 1, __ATOMIC_RELEASE);
    return 0;
}

static void *wake_fiber(void *arg)
{
    struct meeting *meeting = arg;
    while (__atomic_load_n(&meeting->ready, __ATOMIC_ACQUIRE) == 0)
        skua_sleep(PAUSE_NS);
    for (int i = 0; i < ROUNDS; i++) {
        __atomic_fetch_add(&meeting->rounds, 1, __ATOMIC_RELEASE);
        skua_wake(meeting->waker);
        uint64_t until = skua_after(PAUSE_NS);
        CHECK_EQ(skua_sleep_until(until), 0);
        CHECK(skua_now() >= until); /* never shorter, however often it is interrupted */
    }
    return NULL;
}

/* A thread that waits for tasks. */
static void *block_on_tree(void *arg)
{
    struct meeting *meeting = arg;
    struct random_tasks all = { 0, 0, 0 };
    struct random_task root = { &all, meeting->seed, 2 };
    CHECK_EQ(skua_block_on(meeting->rt, random_root, &root), 0);
    check_random_tasks(&all);
    return NULL;
}

static void live(void *arg)
{
    const uint32_t *workers = arg;
    struct meeting meeting = { .seed = test_seed() };
    skua_config config = faults_config(*workers, true);
    skua_stats stats;
    skua_task *fiber;
    pthread_t threads[2];
    CHECK_OK(skua_runtime_create(&meeting.rt, &config));
    CHECK_EQ(pthread_create(&threads[0], NULL, block_on_tree, &meeting), 0);
    CHECK_EQ(pthread_create(&threads[1], NULL, wake_fiber, &meeting), 0);
    CHECK_OK(skua_spawn_with(&fiber, &(skua_spawn_attr){ .runtime = meeting.rt }, park_for_thread, &meeting));
    CHECK_OK(skua_join(fiber, NULL));
    CHECK_EQ(meeting.done, 1);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK_EQ(skua_runtime_shutdown(meeting.rt, SKUA_NEVER, SKUA_NEVER), 0);
    skua_runtime_stats(meeting.rt, &stats);
    CHECK_EQ(stats.live, 0);
    CHECK_EQ(skua_runtime_destroy(meeting.rt), 0);
}

TEST(one_wait_or_wake)
{
    uint32_t workers = 2;
    FAULTS_EACH(live, &workers, FAULT_syscall, FAULT_clock_nanosleep);
    workers = 1;
    FAULTS_EACH(live, &workers, FAULT_syscall);
}

/* Every wait returns at once: nobody sleeps any more, and all goes on. */
TEST(every_wait)
{
    for (int way = 0; way < 3; way++)
        for (uint32_t workers = 1; workers <= 3; workers++) {
            faults_always(FAULT_syscall, way);
            live(&workers);
            faults_always_none();
        }
}

TEST(by_chance)
{
    static const enum fault calls[] = { FAULT_syscall, FAULT_clock_nanosleep, FAULT_getrandom };
    for (uint64_t i = 0; i < test_scaled(200); i++) {
        uint32_t workers = 1 + (uint32_t)i % 5;
        faults_by_chance(calls, sizeof calls / sizeof calls[0], test_seed() + i, i % 2 == 0 ? 512 : 64, live, &workers);
    }
}
