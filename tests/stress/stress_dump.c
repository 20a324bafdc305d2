/* Dumps in a loop, by a thread, by a task of the runtime and by one of another, while random trees of fibers and
 * futures, groups and jobs come and go on more workers than there are processors: nobody is missed by a wake, nothing
 * is freed under a look, and each dump is whole.
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "support/random_jobs.h"
#include "support/random_tasks.h"

enum { ROOTS = 6, JOBS_DEPTH = 10, MEMBERS = 20, TURNS = 20 };

struct bustle {
    skua_runtime *rt, *other;
    uint64_t seed;
    int32_t is_over;                   /* __atomic */
    int64_t dumps, lines, waits, stacks; /* __atomic: how much was seen */
};

static bool is_over(struct bustle *bustle) { return __atomic_load_n(&bustle->is_over, __ATOMIC_ACQUIRE) != 0; }
static void add(int64_t *counter, int64_t n) { __atomic_fetch_add(counter, n, __ATOMIC_RELAXED); }

/* ---- who looks --------------------------------------------------------------------------------------------------- */

struct page {
    struct bustle *bustle;
    bool begun, ended;
};

static void look_at(void *context, const char *line, size_t length)
{
    struct page *page = context;
    CHECK_EQ(strlen(line), length);
    CHECK(!page->ended);
    CHECK_EQ(!page->begun, strncmp(line, "skua dump: ", 11) == 0 && strncmp(line, "skua dump: end", 14) != 0);
    page->begun = true;
    page->ended = strncmp(line, "skua dump: end", 14) == 0;
    add(&page->bustle->lines, 1);
    add(&page->bustle->waits, strstr(line, ", waits in ") != NULL);
    add(&page->bustle->stacks, strstr(line, "bytes of stack in use") != NULL);
}

static void dump_once(struct bustle *bustle)
{
    struct page page = { .bustle = bustle };
    CHECK_OK(skua_dump_lines(bustle->rt, look_at, &page));
    CHECK(page.begun && page.ended);
    add(&bustle->dumps, 1);
}

static void *look_from_a_thread(void *arg)
{
    while (!is_over(arg)) {
        dump_once(arg);
        poll(NULL, 0, 1); /* so that the others have a processor */
    }
    return NULL;
}

static int look_from_a_task(void *arg)
{
    while (!is_over(arg)) {
        dump_once(arg);
        CHECK_OK(skua_yield());
        CHECK_OK(skua_sleep(SKUA_MS));
    }
    return 0;
}

/* ---- who is looked at -------------------------------------------------------------------------------------------- */

static int run_tree(void *arg)
{
    struct bustle *bustle = arg;
    for (uint64_t i = 0; i < test_scaled(4); i++) {
        struct random_tasks all = { 0, 0, 0 };
        struct random_task root = { &all, bustle->seed + i, 5 };
        CHECK_EQ(random_root(&root), 0);
        check_random_tasks(&all);
    }
    return 0;
}

static int run_jobs(void *arg)
{
    struct bustle *bustle = arg;
    for (uint64_t i = 0; i < test_scaled(20); i++)
        CHECK_EQ(SKUA_RUN(jobs_tree, bustle->seed + i, JOBS_DEPTH), jobs_serial(bustle->seed + i, JOBS_DEPTH));
    return 0;
}

static int run_member(void *arg)
{
    CHECK_OK(skua_self_set_name("member"));
    CHECK_OK(skua_sleep((uintptr_t)arg % 3 * 10000));
    return skua_yield();
}

static int run_groups(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < test_scaled(40); i++) {
        skua_group group;
        skua_group_init(&group);
        for (uintptr_t j = 0; j < MEMBERS; j++)
            CHECK_OK(skua_group_go(&group, run_member, (void *)j));
        CHECK_OK(skua_group_wait(&group));
    }
    return 0;
}

/* Waits of many kinds: channels in selects, a lock and a condition, deadlines. */
struct exchange {
    skua_channel *channel;
    skua_mutex mutex;
    skua_cond cond;
    skua_event over;
    int turns;
};

static int sends(void *arg)
{
    struct exchange *exchange = arg;
    for (int i = 0; i < TURNS; i++) {
        CHECK_OK(skua_send(exchange->channel, &i));
        CHECK_OK(skua_mutex_lock(&exchange->mutex));
        exchange->turns++;
        skua_cond_broadcast(&exchange->cond);
        skua_mutex_unlock(&exchange->mutex);
    }
    return 0;
}

static int selects(void *arg)
{
    struct exchange *exchange = arg;
    for (int64_t arm = 0; arm == 0;) {
        skua_channel_op receive;
        skua_op over;
        int value;
        arm = SKUA_SELECT(skua_receive_prepare(&receive, exchange->channel, &value),
                          skua_event_wait_prepare(&over, &exchange->over));
        CHECK(arm >= 0);
    }
    return 0;
}

static int waits_for_turns(void *arg)
{
    struct exchange *exchange = arg;
    CHECK_OK(skua_mutex_lock(&exchange->mutex));
    while (exchange->turns < 2 * TURNS) {
        int rc = skua_cond_wait_until(&exchange->cond, &exchange->mutex, skua_after(SKUA_MS / 10));
        CHECK(rc == 0 || rc == -ETIMEDOUT);
    }
    skua_mutex_unlock(&exchange->mutex);
    skua_event_set(&exchange->over);
    return 0;
}

static int run_exchanges(void *arg)
{
    static skua_fiber_fn *const parts[] = { sends, sends, selects, selects, waits_for_turns };
    (void)arg;
    for (uint64_t i = 0; i < test_scaled(20); i++) {
        struct exchange exchange = { .turns = 0 };
        CHECK_OK(skua_channel_create(&exchange.channel, sizeof(int), 1));
        skua_mutex_init(&exchange.mutex);
        skua_cond_init(&exchange.cond);
        skua_event_init(&exchange.over, SKUA_EVENT_MANUAL);
        skua_group group;
        skua_group_init(&group);
        for (size_t j = 0; j < sizeof parts / sizeof parts[0]; j++)
            CHECK_OK(skua_group_go(&group, parts[j], &exchange));
        CHECK_OK(skua_group_wait(&group));
        skua_cond_fini(&exchange.cond);
        skua_mutex_fini(&exchange.mutex);
        CHECK_OK(skua_channel_destroy(exchange.channel));
    }
    return 0;
}

/* Descriptors. */
static int answers(void *stream)
{
    char byte;
    while (skua_read(stream, &byte, 1) == 1)
        CHECK_EQ(skua_write_all(stream, &byte, 1), 1);
    skua_stream_close(stream);
    return 0;
}

static int run_streams(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < test_scaled(10); i++) {
        skua_stream *streams[2];
        skua_task *task;
        char byte = 'x';
        CHECK_OK(skua_stream_pair(streams, NULL));
        CHECK_OK(skua_spawn(&task, answers, streams[1]));
        for (int j = 0; j < TURNS; j++) {
            CHECK_EQ(skua_write_all(streams[0], &byte, 1), 1);
            CHECK_EQ(skua_read(streams[0], &byte, 1), 1);
        }
        skua_stream_close(streams[0]);
        CHECK_OK(skua_join(task, NULL));
    }
    return 0;
}

/* Joins of tasks of a runtime that ends with them. */
static int run_strangers(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < test_scaled(8); i++) {
        skua_runtime *rt;
        skua_task *task;
        CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true }));
        skua_spawn_attr attr = { .runtime = rt };
        CHECK_OK(skua_spawn_with(&task, &attr, run_member, (void *)(uintptr_t)i));
        CHECK_OK(skua_join(task, NULL));
        CHECK_OK(skua_runtime_destroy(rt));
    }
    return 0;
}

static int run_all(void *arg)
{
    static skua_fiber_fn *const roots[ROOTS] = { run_tree, run_jobs, run_groups, run_exchanges, run_streams,
                                                 run_strangers };
    struct bustle *bustle = arg;
    skua_task *tasks[ROOTS], *looker;
    CHECK_OK(skua_spawn(&looker, look_from_a_task, bustle));
    for (int i = 0; i < ROOTS; i++)
        CHECK_OK(skua_spawn(&tasks[i], roots[i], bustle));
    for (int i = 0; i < ROOTS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    __atomic_store_n(&bustle->is_over, 1, __ATOMIC_RELEASE);
    return skua_join(looker, NULL);
}

static void stress(uint32_t workers, uint64_t seed)
{
    struct bustle bustle = { .seed = seed };
    pthread_t thread;
    skua_task *task;
    CHECK_OK(skua_runtime_create(&bustle.rt, &(skua_config){ .workers = workers, .ignore_environment = true }));
    CHECK_OK(skua_runtime_create(&bustle.other, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_EQ(pthread_create(&thread, NULL, look_from_a_thread, &bustle), 0);
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = bustle.other }, look_from_a_task, &bustle));
    CHECK_EQ(skua_block_on(bustle.rt, run_all, &bustle), 0);
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(skua_runtime_destroy(bustle.other));
    CHECK_OK(skua_runtime_destroy(bustle.rt));
    CHECK(bustle.dumps >= 3 && bustle.waits > 0);
#if !defined(SKUAI_UCONTEXT)
    CHECK(bustle.stacks > 0);
#endif
}

TEST(dumps_while_tasks_come_and_go)
{
    static const uint32_t workers[] = { 1, 2, 4, 8, 16 };
    uint64_t rounds = test_scaled(4);
    for (uint64_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
            stress(workers[i], test_seed() + round * 100 + i);
}

/* The same tree under a seed, looked at or not, gives the same accounts; and looked at twice the same text. */
static void hash_line(void *context, const char *line, size_t length)
{
    uint64_t *hash = context;
    for (size_t i = 0; i < length; i++)
        *hash = (*hash ^ (unsigned char)line[i]) * UINT64_C(0x100000001b3);
}

struct seeded {
    uint64_t seed, hash;
    int32_t is_over;
};

static int look_and_yield(void *arg)
{
    struct seeded *seeded = arg;
    while (!seeded->is_over) {
        CHECK_OK(skua_dump_lines(NULL, hash_line, &seeded->hash));
        CHECK_OK(skua_yield());
    }
    return 0;
}

static int run_seeded_tree(void *arg)
{
    struct seeded *seeded = arg;
    struct random_tasks all = { 0, 0, 0 };
    struct random_task root = { &all, seeded->seed, 4 };
    skua_task *looker;
    CHECK_OK(skua_spawn(&looker, look_and_yield, seeded));
    CHECK_EQ(random_root(&root), 0);
    check_random_tasks(&all);
    seeded->is_over = 1;
    return skua_join(looker, NULL);
}

TEST(dumps_under_seeds_are_the_same_each_time)
{
    uint64_t end = test_seed() + test_scaled_seeds(40);
    for (uint64_t seed = test_seed(); seed < end; seed++) {
        struct seeded first = { .seed = seed, .hash = 1 }, second = first;
        run_seeded(seed, 1 + (uint32_t)(seed % 8), run_seeded_tree, &first);
        run_seeded(seed, 1 + (uint32_t)(seed % 8), run_seeded_tree, &second);
        CHECK_EQ(first.hash, second.hash);
    }
}
