/* Cancel everywhere: a program is run under the simulation again and again, and each time one of its tasks is cancelled
 * at another place, until there are no more places; after each run everything is counted.
 *
 *     static int body(void *arg) { … spawns, sends, receives, joins … return 0; }
 *     static void check(void *arg) { … every message is where it may be, every permit is there … }
 *     TEST(name) { cancel_everywhere(body, check, &program); }
 *
 * The places are the moments at which a task asks whether it is cancelled (skuai_sim_cancel_at(), sched/sim.h): each
 * await does on entry, before it waits and after. Whoever asks the k-th time is cancelled: in one run at once, so that
 * the await answers -ECANCELED though it may be ready; in another a little later, which finds the task waiting, or
 * being completed, or past it. k goes from 1 until a run has fewer questions. Then with the next seed.
 *
 * The body is run as a fiber and may be cancelled like any other task, so whatever it started it must bring to an end
 * all the same (end_task() below). It sets up its program itself, in full, each time. `check` is called on the plain
 * thread when all tasks have ended, and may tear down what the body made. What is checked here: that no task is left
 * and none had to be cancelled by the shutdown, that nothing was logged (a deadlock is), that no byte and no
 * descriptor is left.
 */
#ifndef TEST_CANCEL_EVERYWHERE_H
#define TEST_CANCEL_EVERYWHERE_H

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "runtime/runtime.h"
#include "sched/sim.h"
#include "support/with_runtime.h"

#ifndef CANCEL_TSAN_SEEDS
#define CANCEL_TSAN_SEEDS 1
#endif
#ifndef CANCEL_SEEDS
#define CANCEL_SEEDS 12
#endif
enum { CANCEL_NOBODY = INT32_MAX, CANCEL_PLACES_MAX = 200000 };

/* Cancels a task, joins it whatever happens to the caller, and gives its result. */
static inline int64_t end_task(skua_task *task)
{
    int64_t result;
    skua_cancel(task);
    SKUA_SHIELD();
    CHECK_OK(skua_join(task, &result));
    return result;
}

/* Joins a task; one whose joiner is cancelled is cancelled, too. */
static inline int64_t end_or_join(skua_task *task)
{
    int64_t result;
    return skua_join(task, &result) == 0 ? result : end_task(task);
}

static inline int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    if (folder != NULL)
        closedir(folder);
    return count;
}

/* There is nothing to say unless something is wrong: then all of it may help. */
static inline void count_line(void *context, enum skua_log_level level, const char *text)
{
    (void)level;
    ++*(int *)context;
    fprintf(stderr, "  %s\n", text);
}

struct cancel_program {
    skua_fiber_fn *body;
    void (*check)(void *arg);
    void *arg;
};

/* One run. Returns how many questions were asked. */
static inline uint64_t cancel_once(const struct cancel_program *program, uint64_t seed, uint64_t number, bool late)
{
    struct counted_memory memory = { 0, 0 };
    int lines = 0;
    skua_config config = { .workers = 1 + (uint32_t)(seed % 4), .ignore_environment = true, .simulate = true,
                           .sim_seed = seed, .alloc = counted_alloc, .free = counted_free, .memory_context = &memory,
                           .log = count_line, .log_context = &lines };
    skua_runtime *rt;
    skua_stats stats;
    int descriptors = open_descriptors();
    test_at_seed(seed);
    test_at_trial(late ? "cancelled a little after question" : "cancelled at question", number);
    CHECK_OK(skua_runtime_create(&rt, &config));
    struct skuai_sim *sim = rt->sched.env.sim;
    skuai_sim_cancel_at(sim, number, late);
    CHECK_OK(skua_block_on(rt, program->body, program->arg));
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_EQ(lines, 0);
    uint64_t questions = skuai_sim_questions(sim);
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.live, 0);
    if (program->check != NULL)
        program->check(program->arg);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory.blocks, 0);
    CHECK_EQ(memory.bytes, 0);
    CHECK_EQ(open_descriptors(), descriptors);
    return questions;
}

/* Returns how many runs it took. */
static inline uint64_t cancel_everywhere(skua_fiber_fn *body, void (*check)(void *arg), void *arg)
{
    struct cancel_program program = { body, check, arg };
    /* All is one thread, so ThreadSanitizer has little to see, and it makes each run slow. */
    uint64_t runs = 0, end = test_seed() + (test_under_tsan() ? CANCEL_TSAN_SEEDS : test_scaled(CANCEL_SEEDS));
    for (uint64_t seed = test_seed(); seed < end; seed++) {
        CHECK(cancel_once(&program, seed, CANCEL_NOBODY, false) != 0); /* it can be cancelled somewhere */
        for (uint32_t way = 0; way < 2; way++) {
            uint64_t number = 0, questions;
            do
                questions = cancel_once(&program, seed, ++number, way == 1);
            while (number <= questions && number < CANCEL_PLACES_MAX);
            CHECK(number < CANCEL_PLACES_MAX); /* else cancelling makes the program go on for ever */
            runs += number;
        }
    }
    test_at_no_seed();
    printf("  %llu runs\n", (unsigned long long)runs);
    return runs;
}

#endif
