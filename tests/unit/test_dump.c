/* A dump shows every task, of each kind and in each state, while everything runs: to whoever asks. */
#define _GNU_SOURCE
#define SKUA_DEBUG 1
#include <skua.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/with_runtime.h"

enum { LINES_MAX = 2048, LINE_BYTES = 256, TRIES = 2000 };

struct page {
    int count;
    char lines[LINES_MAX][LINE_BYTES];
};

static void keep(void *context, const char *line, size_t length)
{
    struct page *page = context;
    CHECK_EQ(strlen(line), length);
    CHECK(strchr(line, '\n') == NULL);
    CHECK(page->count < LINES_MAX);
    snprintf(page->lines[page->count++], LINE_BYTES, "%s", line);
}

static struct page *new_page(void)
{
    struct page *page = calloc(1, sizeof *page);
    CHECK(page != NULL);
    return page;
}

/* Again, so that the page holds one dump only. */
static void dump_to(struct page *page, skua_runtime *rt)
{
    page->count = 0;
    CHECK_OK(skua_dump_lines(rt, keep, page));
    CHECK(page->count >= 2);
    CHECK(strncmp(page->lines[0], "skua dump: ", 11) == 0);
    CHECK(strncmp(page->lines[page->count - 1], "skua dump: end, ", 16) == 0);
}

static int find(const struct page *page, const char *text)
{
    for (int i = 0; i < page->count; i++)
        if (strstr(page->lines[i], text) != NULL)
            return i;
    return -1;
}

/* Does what belongs to the task of the line `at` say this? */
static bool says(const struct page *page, int at, const char *text)
{
    for (int i = at + 1; at >= 0 && i < page->count && page->lines[i][0] == ' '; i++)
        if (strstr(page->lines[i], text) != NULL)
            return true;
    return false;
}

static void print(const struct page *page)
{
    for (int i = 0; i < page->count; i++)
        fprintf(stderr, "  %s\n", page->lines[i]);
}

struct expected {
    const char *task;    /* a part of its line */
    const char *details; /* a part of a line below it, or NULL */
};

/* What is missing, or NULL. */
static const char *missing(const struct page *page, const struct expected *expected)
{
    for (; expected->task != NULL; expected++) {
        int at = find(page, expected->task);
        if (at < 0)
            return expected->task;
        if (expected->details != NULL && !says(page, at, expected->details))
            return expected->details;
    }
    return NULL;
}

/* Until all of it has come to be: what the others do takes its time. */
static void dump_until(struct page *page, const struct expected *expected)
{
    const char *what = "";
    for (int i = 0; i < TRIES && what != NULL; i++) {
        CHECK_OK(skua_sleep(SKUA_MS));
        dump_to(page, NULL);
        what = missing(page, expected);
    }
    if (what == NULL)
        return;
    print(page);
    test_fail(__FILE__, __LINE__, "no \"%s\"", what);
}

/* ---- each kind of task in each state ----------------------------------------------------------------------------- */

static skua_event never, taken;
static int32_t hogging; /* __atomic */

/* clang-format off: each wait and its number on one line */
static int in_event(void *arg) { (void)arg; return skua_event_wait(&never); }
/* clang-format on */

static int in_join(void *task) { return skua_join(task, NULL); }
static int in_park(void *arg)
{
    int rc = 0;
    (void)arg;
    while (rc == 0)
        rc = skua_park();
    return rc;
}
static int ends(void *arg)
{
    (void)arg;
    return 7;
}
static int hogs(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&hogging, __ATOMIC_ACQUIRE) != 0)
        poll(NULL, 0, 1);
    return 0;
}

static int in_select(void *task)
{
    skua_op a;
    skua_join_op b;
    skua_op *arms[] = { skua_event_wait_prepare(&a, &never), skua_join_prepare(&b, task) };
    return (int)skua_select(arms, 2); /* which of them; the join has used the handle up */
}

struct inner {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_op op;
};
SKUA_ASYNC(inner)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_event_wait_start(&self->op, &never));
    SKUA_END(self->op.result);
}
struct outer {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    char large[9000]; /* a frame in memory of its own */
    struct inner inner;
};
SKUA_ASYNC(outer)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(SKUA_FUTURE(&self->inner, inner));
    SKUA_END(0);
}

static int in_set(void *task)
{
    struct inner future;
    skua_child kids[2];
    skua_child_future(&kids[0], SKUA_FUTURE(&future, inner));
    skua_child_task(&kids[1], task);
    return (int)skua_join_all(kids, 2);
}

SKUA_PARALLEL(int, job_waits)
{
    skua_event_set(&taken);
    return skua_event_wait(&never);
}
SKUA_PARALLEL(int, forks)
{
    SKUA_FORK(job, job_waits);
    int rc = skua_event_wait(&taken); /* what is private becomes public */
    return SKUA_JOIN(job_waits, job) + rc;
}
static int in_forks(void *arg)
{
    (void)arg;
    return SKUA_RUN(forks);
}

enum { TASKS = 10 };

struct world {
    struct page *page;
    skua_task *tasks[TASKS];
    skua_task *raced;
    skua_group group;
};

static const skua_spawn_attr *named(skua_spawn_attr *attr, const char *name)
{
    *attr = (skua_spawn_attr){ .name = name };
    return attr;
}

static void start_all(struct world *world)
{
    skua_spawn_attr attr;
    skua_task **task = world->tasks;
    CHECK_OK(skua_spawn_with(&task[0], named(&attr, "eventful"), in_event, NULL));
    CHECK_OK(skua_spawn_with(&task[1], named(&attr, "joiner"), in_join, task[0]));
    CHECK_OK(skua_spawn_with(&task[2], named(&attr, "parker"), in_park, NULL));
    CHECK_OK(skua_spawn_with(&task[3], named(&attr, "ended"), ends, NULL));
    CHECK_OK(SKUA_SPAWN_WITH(&task[4], named(&attr, "deep"), outer));
    CHECK_OK(SKUA_SPAWN_WITH(&task[5], named(&attr, "flat"), inner));
    CHECK_OK(skua_spawn_with(&task[6], named(&attr, "picky"), in_select, task[5]));
    CHECK_OK(skua_spawn_with(&world->raced, named(&attr, "raced"), in_event, NULL));
    CHECK_OK(skua_spawn_with(&task[7], named(&attr, "set"), in_set, world->raced));
    CHECK_OK(skua_spawn_with(&task[8], named(&attr, "forker"), in_forks, NULL));
    CHECK_OK(skua_spawn_with(&task[9], named(&attr, "cancelled"), in_join, task[2]));
    CHECK_OK(skua_spawn_with(NULL, named(&attr, "detached"), in_event, NULL));
    skua_member_attr member = { .spawn = named(&attr, "grouped") };
    CHECK_OK(skua_group_go_with(&world->group, &member, in_event, NULL));
}

static const struct expected all_states[] = {
    { " (asking), a fiber, runs on worker ", "  age " },
    { " (eventful), a fiber, waits in skua_event_wait of object ", ", joined by task " },
    { " (eventful), a fiber, waits in skua_event_wait of object ", " bytes of stack in use" },
    { " (joiner), a fiber, waits in skua_join of task ", "  age " },
    { " (parker), a fiber, waits in skua_park", NULL },
    { " (ended), a fiber, has ended and was not joined", "  age " },
    { " (deep), the future outer, waits in skua_event_wait of object ", "  in the future inner at " },
    { " (deep), the future outer, waits in skua_event_wait of object ", "  in the future outer at " },
    { " (flat), the future inner, waits in skua_event_wait of object ", ", joined by task " },
    { " (picky), a fiber, waits in skua_select of 2", "  arm 1: skua_join of task " },
    { " (set), a fiber, waits in skua_join_all for 2 of 2 children", "  child 0: the future inner, in skua_" },
    { " (raced), a fiber, waits in skua_event_wait of object ", ", joined by task " },
    { " (forker), a fiber, waits in SKUA_JOIN, of a job that another worker has taken", NULL },
    { ", a job of task ", " bytes of stack in use" },
    { " (detached), a fiber, waits in skua_event_wait of object ", ", detached" },
    { " (grouped), a fiber, waits in skua_event_wait of object ", ", a member of object " },
    { "worker 0 ", "  since the start: " },
    { NULL, NULL },
};

static void end_all(struct world *world)
{
    static const int joined_here[] = { 1, 3, 4, 7, 8, 9 };
    int64_t arm;
    skua_cancel(world->tasks[2]); /* parked for ever */
    for (size_t i = 0; i < sizeof joined_here / sizeof joined_here[0]; i++)
        CHECK_OK(skua_join(world->tasks[joined_here[i]], NULL));
    CHECK_OK(skua_join(world->tasks[6], &arm));
    if (arm == 0)
        CHECK_OK(skua_join(world->tasks[5], NULL));
    CHECK_OK(skua_group_wait(&world->group));
}

static int shows_all_states(void *arg)
{
    struct world *world = calloc(1, sizeof *world);
    (void)arg;
    CHECK(world != NULL);
    world->page = new_page();
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    skua_event_init(&taken, SKUA_EVENT_MANUAL);
    skua_group_init(&world->group);
    CHECK_OK(skua_self_set_name("asking"));
    start_all(world);
    dump_until(world->page, all_states);
    CHECK_EQ(find(world->page, "is ready"), -1);
    skua_event_set(&never);
    end_all(world);
    free(world->page);
    free(world);
    return 0;
}

TEST(each_kind_in_each_state) { run_everywhere(shows_all_states, NULL); }

/* The one that asks has the only worker. */
static int shows_ready(void *arg)
{
    skua_task *tasks[3];
    struct page *page = new_page();
    (void)arg;
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_spawn(&tasks[0], ends, NULL));
    CHECK_OK(SKUA_SPAWN(&tasks[1], inner));
    CHECK_OK(skua_spawn_with(&tasks[2], &(skua_spawn_attr){ .name = "queued" }, in_event, NULL));
    dump_to(page, NULL);
    CHECK(find(page, ", a fiber, is ready") >= 0);
    CHECK(find(page, ", a future, is ready") >= 0);
    CHECK(find(page, " (queued), a fiber, is ready") >= 0);
    skua_event_set(&never);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    free(page);
    return 0;
}

TEST(ready_tasks)
{
    CHECK_EQ(run_on(1, shows_ready, NULL), 0);
    CHECK_EQ(run_seeded(test_seed(), 1, shows_ready, NULL), 0);
}

static int shows_a_hog(void *arg)
{
    static const struct expected expected[] = { { " (hog), a fiber, runs on worker ", "  age " }, { NULL, NULL } };
    skua_task *hog;
    struct page *page = new_page();
    (void)arg;
    __atomic_store_n(&hogging, 1, __ATOMIC_RELEASE);
    CHECK_OK(skua_spawn_with(&hog, &(skua_spawn_attr){ .name = "hog" }, hogs, NULL));
    dump_until(page, expected);
    int at = find(page, " (hog), a fiber, runs on worker ");
    CHECK(!says(page, at, "stack"));
    __atomic_store_n(&hogging, 0, __ATOMIC_RELEASE);
    CHECK_OK(skua_join(hog, NULL));
    free(page);
    return 0;
}

TEST(a_task_that_runs_has_no_stack) { CHECK_EQ(run_on(4, shows_a_hog, NULL), 0); }

/* The second one is run by a spare worker. */
TEST(spare_workers)
{
    skua_runtime *rt;
    skua_task *hogs_there[2];
    struct page *page = new_page();
    skua_config config = { .workers = 1, .spare_workers = 1, .stuck_ns = SKUA_MS, .ignore_environment = true };
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_spawn_attr attr = { .runtime = rt, .name = "hog" };
    __atomic_store_n(&hogging, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn_with(&hogs_there[i], &attr, hogs, NULL));
    for (int i = 0; i < TRIES && find(page, " (hog), a fiber, runs on worker 1") < 0; i++) {
        poll(NULL, 0, 10);
        dump_to(page, rt);
    }
    if (find(page, " (hog), a fiber, runs on worker 1") < 0 || find(page, "worker 1, a spare, runs task ") < 0 ||
        find(page, ", 1 workers, 1 spare ones, 1 of them at work") < 0) {
        print(page);
        test_fail(__FILE__, __LINE__, "no spare worker");
    }
    __atomic_store_n(&hogging, 0, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_join(hogs_there[i], NULL));
    CHECK_OK(skua_runtime_destroy(rt));
    free(page);
}

/* ---- details ----------------------------------------------------------------------------------------------------- */

static int is_cancelled_meanwhile(void *event)
{
    SKUA_SHIELD();
    return skua_event_wait(event);
}

static int shows_cancelled(void *arg)
{
    static const struct expected waiting[] = { { " (cancelled), a fiber, waits in skua_event_wait", NULL },
                                               { NULL, NULL } };
    static const struct expected expected[] = { { " (cancelled), a fiber, waits in skua_event_wait", ", cancelled" },
                                                { NULL, NULL } };
    skua_task *task;
    struct page *page = new_page();
    (void)arg;
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .name = "cancelled" }, is_cancelled_meanwhile, &never));
    dump_until(page, waiting);
    skua_cancel(task);
    dump_until(page, expected);
    skua_event_set(&never);
    CHECK_OK(skua_join(task, NULL));
    free(page);
    return 0;
}

TEST(who_is_cancelled) { run_everywhere(shows_cancelled, NULL); }

/* In virtual time; the age of what has waited and of what was born since. */
static int ages(void *arg)
{
    skua_task *tasks[3];
    struct page *page = new_page();
    (void)arg;
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_spawn_with(&tasks[0], &(skua_spawn_attr){ .name = "old" }, in_event, NULL));
    CHECK_OK(skua_sleep(3600 * SKUA_S));
    CHECK_OK(SKUA_SPAWN_WITH(&tasks[1], (&(skua_spawn_attr){ .name = "younger" }), inner));
    CHECK_OK(skua_sleep(60 * SKUA_S));
    CHECK_OK(skua_spawn_with(&tasks[2], &(skua_spawn_attr){ .name = "young" }, in_event, NULL));
    CHECK_OK(skua_sleep(SKUA_MS));
    dump_to(page, NULL);
    CHECK(says(page, find(page, " (old)"), "  age 3659 s") || says(page, find(page, " (old)"), "  age 3660 s") ||
          says(page, find(page, " (old)"), "  age 3661 s"));
    CHECK(says(page, find(page, " (younger)"), "  age 59 s") || says(page, find(page, " (younger)"), "  age 60 s") ||
          says(page, find(page, " (younger)"), "  age 61 s"));
    CHECK(says(page, find(page, " (young)"), "  age 0 s") || says(page, find(page, " (young)"), "  age 1 s"));
    CHECK_OK(skua_sleep(30ull * 24 * 3600 * SKUA_S));
    dump_to(page, NULL);
    CHECK(says(page, find(page, " (old)"), "  age at least "));
    skua_event_set(&never);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    free(page);
    return 0;
}

TEST(how_old_tasks_are) { CHECK_EQ(run_seeded(test_seed(), 2, ages, NULL), 0); }

static int spawns_young(void *arg)
{
    skua_task *task;
    struct page *page = new_page();
    (void)arg;
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .name = "young" }, ends, NULL));
    dump_to(page, NULL);
    int at = find(page, " (young)");
    CHECK(!says(page, at, "  age 3 s")); /* and not 4: a busy machine may take a second for this */
    CHECK(!says(page, at, "  age 4 s"));
    CHECK_OK(skua_join(task, NULL));
    free(page);
    return 0;
}

/* Which has no guard, and has not looked at a clock since it was made. */
TEST(how_old_tasks_of_an_embedded_runtime_are)
{
    skua_runtime *rt;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .embed = true, .ignore_environment = true }));
    poll(NULL, 0, 3000); /* real time, which is what it is about */
    CHECK_EQ(skua_block_on(rt, spawns_young, NULL), 0);
    CHECK_OK(skua_runtime_destroy(rt));
}

#if !defined(SKUAI_NO_HWLOC)
/* What one spawns that has not looked at a clock for long: the guard has. */
static int young_of_a_hog(void *arg)
{
    skua_task *task;
    struct page *page = new_page();
    (void)arg;
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    for (int i = 0; i < 100; i++)
        skua_sim_compute(SKUA_S / 10);
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .name = "young" }, in_event, NULL));
    dump_to(page, NULL);
    int at = find(page, " (young)");
    CHECK(says(page, at, "  age 0 s") || says(page, at, "  age 1 s"));
    skua_event_set(&never);
    CHECK_OK(skua_join(task, NULL));
    free(page);
    return 0;
}

TEST(how_old_tasks_of_a_hog_are) { CHECK_EQ(run_on_machine("core:2 pu:1", test_seed(), young_of_a_hog, NULL), 0); }
#endif

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

enum { CALLS = 5 };

/* Of external linkage, so that the program's dynamic symbols have it. */
__attribute__((visibility("default"))) int dumped_calls(int more, skua_event *event);
__attribute__((noinline)) int dumped_calls(int more, skua_event *event)
{
    int rc = more > 0 ? dumped_calls(more - 1, event) : skua_event_wait(event);
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return rc;
}

static int in_calls(void *event)
{
    int more = CALLS - 1;
    __asm__ volatile("" : "+r"(more)); /* no copies of the function for the numbers that it is called with */
    return dumped_calls(more, event);
}

#if defined(SKUAI_UCONTEXT)
static bool has_stacks(void) { return false; }
#else
static bool has_stacks(void) { return true; }
#endif

/* A static program, as it is emulated, has no names: there calls that are the same are those. */
static bool is_a_call(const char *line, const char *next)
{
    const char *what = strchr(line, ':'), *below = strchr(next, ':');
    if (!test_under_emulator())
        return strstr(line, ": dumped_calls+0x") != NULL;
    return what != NULL && below != NULL && strcmp(what, below) == 0;
}

static int shows_a_stack(void *arg)
{
    static const struct expected expected[] = { { " (caller), a fiber, waits in skua_event_wait", NULL },
                                                { NULL, NULL } };
    skua_task *task;
    struct page *page = new_page();
    int calls = 0;
    (void)arg;
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .name = "caller" }, in_calls, &never));
    dump_until(page, expected);
    for (int i = find(page, expected->task) + 1; page->lines[i][0] == ' '; i++)
        calls += is_a_call(page->lines[i], page->lines[i + 1]);
    if (has_stacks() && calls != CALLS - (test_under_emulator() ? 1 + 1 : 0)) { /* the innermost is in the wait */
        print(page);
        test_fail(__FILE__, __LINE__, "%d calls", calls);
    }
    skua_event_set(&never);
    CHECK_OK(skua_join(task, NULL));
    free(page);
    return 0;
}

TEST(the_calls_that_a_fiber_is_in)
{
    CHECK_EQ(run_on(2, shows_a_stack, NULL), 0);
    CHECK_EQ(run_seeded(test_seed(), 2, shows_a_stack, NULL), 0);
}

/* ---- who asks ---------------------------------------------------------------------------------------------------- */

static int spawns_and_waits(void *arg)
{
    skua_task *task;
    (void)arg;
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .name = "inside" }, in_event, NULL));
    return skua_join(task, NULL);
}

static void check_from_outside(struct page *page, skua_runtime *rt)
{
    for (int i = 0; i < TRIES; i++) {
        dump_to(page, rt);
        if (find(page, " (inside), a fiber, waits in skua_event_wait of object ") >= 0 &&
            find(page, ", a fiber, waits in skua_join of task ") >= 0)
            return;
        poll(NULL, 0, 1);
    }
    print(page);
    test_fail(__FILE__, __LINE__, "it does not come to wait");
}

static int asks_of_another(void *rt)
{
    struct page *page = new_page();
    check_from_outside(page, rt);
    CHECK(find(page, "runs on") < 0); /* not who asks */
    free(page);
    return 0;
}

TEST(from_a_thread_and_from_another_runtime)
{
    skua_runtime *rt;
    skua_task *task;
    struct page *page = new_page();
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    CHECK_EQ(skua_dump(NULL, STDERR_FILENO), -EINVAL);
    CHECK_EQ(skua_dump_lines(NULL, keep, page), -EINVAL);
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 2, .ignore_environment = true }));
    CHECK_EQ(skua_dump_lines(rt, NULL, NULL), -EINVAL);
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, spawns_and_waits, NULL));
    check_from_outside(page, rt);
    CHECK_EQ(run_on(2, asks_of_another, rt), 0);
    skua_event_set(&never);
    CHECK_OK(skua_join(task, NULL));
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    dump_to(page, rt);
    CHECK_EQ(find(page, "a fiber"), -1);
    CHECK(find(page, ", stops") >= 0);
    CHECK_OK(skua_runtime_destroy(rt));
    free(page);
}

/* What joins a task of another runtime, which ends and goes meanwhile. */
static int joins_foreign(void *task)
{
    CHECK_OK(skua_self_set_name("foreign"));
    return skua_join(task, NULL);
}
TEST(a_join_across_runtimes)
{
    skua_runtime *rt, *other;
    skua_task *task, *joiner;
    struct page *page = new_page();
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 2, .ignore_environment = true }));
    CHECK_OK(skua_runtime_create(&other, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = other }, in_event, NULL));
    CHECK_OK(skua_spawn_with(&joiner, &(skua_spawn_attr){ .runtime = rt }, joins_foreign, task));
    for (int i = 0; i < TRIES && find(page, " (foreign), a fiber, waits in skua_join of task ") < 0; i++) {
        dump_to(page, rt);
        poll(NULL, 0, 1);
    }
    CHECK(find(page, " (foreign), a fiber, waits in skua_join of task ") >= 0);
    skua_event_set(&never);
    CHECK_OK(skua_runtime_destroy(other));
    dump_to(page, rt);
    CHECK_OK(skua_join(joiner, NULL));
    CHECK_OK(skua_runtime_destroy(rt));
    free(page);
}

static void *asks_in_vain(void *rt)
{
    struct page *page = new_page();
    CHECK_EQ(skua_dump_lines(rt, keep, page), -EPERM);
    CHECK_EQ(page->count, 0);
    free(page);
    return NULL;
}

static int asks_from_a_simulation(void *rt)
{
    struct page *page = new_page();
    CHECK_EQ(skua_dump_lines(rt, keep, page), -EPERM);
    free(page);
    return 0;
}

TEST(of_a_simulation_by_its_own_thread_only)
{
    skua_runtime *rt, *real;
    pthread_t thread;
    struct page *page = new_page();
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .simulate = true, .sim_seed = 1, .ignore_environment = true }));
    CHECK_OK(skua_runtime_create(&real, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_EQ(pthread_create(&thread, NULL, asks_in_vain, rt), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(skua_block_on(rt, asks_from_a_simulation, real), 0);
    dump_to(page, rt);
    CHECK_OK(skua_runtime_destroy(real));
    CHECK_OK(skua_runtime_destroy(rt));
    free(page);
}

static void *no_memory(void *context, size_t size)
{
    return __atomic_load_n((int32_t *)context, __ATOMIC_RELAXED) == 0 ? malloc(size) : NULL;
}
static void give_memory(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

TEST(without_memory)
{
    int32_t is_short = 0;
    skua_runtime *rt;
    struct page *page = new_page();
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true, .alloc = no_memory,
                                                      .free = give_memory, .memory_context = &is_short }));
    __atomic_store_n(&is_short, 1, __ATOMIC_RELAXED);
    CHECK_EQ(skua_dump_lines(rt, keep, page), -ENOMEM);
    CHECK_EQ(page->count, 0);
    __atomic_store_n(&is_short, 0, __ATOMIC_RELAXED);
    dump_to(page, rt);
    CHECK_OK(skua_runtime_destroy(rt));
    free(page);
}

TEST(in_a_forked_child)
{
    if (test_under_tsan() || test_under_emulator())
        TEST_SKIP("a fork of a process with threads");
    skua_runtime *rt;
    int status = -1;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true }));
    pid_t child = fork();
    if (child == 0)
        _exit(skua_dump(rt, STDERR_FILENO) == -ENOTSUP ? 0 : 1);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

struct pipe_reader {
    int fd;
    size_t count;
    char text[1 << 18];
};

static void *read_slowly(void *arg)
{
    struct pipe_reader *reader = arg;
    ssize_t n;
    poll(NULL, 0, 20); /* the pipe is full by now */
    while ((n = read(reader->fd, reader->text + reader->count, 512)) > 0) {
        reader->count += (size_t)n;
        CHECK(reader->count + 512 < sizeof reader->text);
    }
    return NULL;
}

enum { CROWD = 100 };

static int dumps_a_crowd(void *fd)
{
    skua_task *tasks[CROWD];
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(skua_spawn(&tasks[i], in_event, NULL));
    CHECK_OK(skua_sleep(SKUA_MS));
    CHECK_OK(skua_dump(NULL, *(int *)fd));
    skua_event_set(&never);
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}

TEST(to_a_pipe_that_is_full)
{
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        struct pipe_reader *reader = calloc(1, sizeof *reader);
        int fds[2];
        pthread_t thread;
        CHECK(reader != NULL);
        CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
        CHECK(fcntl(fds[1], F_SETPIPE_SZ, 4096) > 0);
        CHECK_EQ(fcntl(fds[1], F_SETFL, flags), 0);
        reader->fd = fds[0];
        CHECK_EQ(pthread_create(&thread, NULL, read_slowly, reader), 0);
        CHECK_EQ(run_on(2, dumps_a_crowd, &fds[1]), 0);
        CHECK_EQ(close(fds[1]), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(close(fds[0]), 0);
        CHECK(strncmp(reader->text, "skua dump: ", 11) == 0);
        const char *end = strstr(reader->text, "skua dump: end, ");
        CHECK(end != NULL && strchr(end, '\n') == reader->text + reader->count - 1);
        free(reader);
    }
}

TEST(to_descriptors_that_take_nothing)
{
    skua_runtime *rt;
    int fds[2];
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_EQ(skua_dump(rt, -1), -EBADF);
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    CHECK_EQ(close(fds[0]), 0);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    CHECK_EQ(skua_dump(rt, fds[1]), -EPIPE);
    signal(SIGPIPE, before);
    CHECK_EQ(close(fds[1]), 0);
    CHECK_OK(skua_runtime_destroy(rt));
}
