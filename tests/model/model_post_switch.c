/* The post-switch step (sched/fiber.c, F1 … F3). A fiber that suspends cannot say so itself: its registers must lie in
 * its stack before anybody may resume it. So the flow that the switch arrives in takes R from the task's word, queues
 * the fiber if it was notified meanwhile, or frees its stack if it has ended.
 *
 * Here the stack is plain data: a switch away writes it, a resumption reads it. Whoever resumes a fiber too early reads
 * what nobody has written, or races with the one who is writing.
 */
#include <string.h>

#include "model/mc.h"
#include "sched/task_word.h"

enum { RUNS = 3 };
enum post { PAUSE, REQUEUE, END };

static skua_word64 word;
static skua_word32 queued;    /* the only queue: 1 while the fiber is in it */
static skua_word32 posted[2]; /* what the wakers did before they woke */
static struct stack {
    unsigned registers; /* as of the latest switch away: how many runs there were */
} stack;
static unsigned runs;         /* the truth */
static uint32_t seen[2];      /* by the latest run */
static bool freed;
static enum post posts[RUNS]; /* how each run ends */

/* What known-wrong variants do otherwise. */
enum when { AFTER_THE_SWITCH, BEFORE_THE_SWITCH };
static enum when settle_when;

static void enqueue(void)
{
    uint32_t before = skuai_exchange_32(&queued, 1, SKUAI_RELEASE); /* a queue's push */
    mc_assert(before == 0, "the fiber is in two queues");
    mc_futex_wake(&queued, 1);
}

/* F3, as skuai_worker_settle_post(). */
static void settle(enum post post)
{
    switch (post) {
    case PAUSE:
        if (skuai_task_word_pause(&word) == SKUAI_TASK_ENQUEUE)
            enqueue();
        break;
    case REQUEUE:
        enqueue();
        break;
    case END:
        mc_free(&stack, sizeof stack);
        freed = true;
        mc_assert(skuai_task_word_end(&word) == SKUAI_TASK_FREE, "there is no handle");
        break;
    }
}

/* The fiber, resumed by a worker, up to its next switch away: F1, F2. */
static enum post resume(void)
{
    unsigned registers = SKUAI_READ(stack.registers);
    mc_assert(registers == runs, "resumed with registers that are not the saved ones");
    runs++;
    for (int i = 0; i < 2; i++)
        seen[i] = skuai_load_32(&posted[i], SKUAI_RELAXED);
    enum post post = posts[registers < RUNS ? registers : RUNS - 1];
    if (settle_when == BEFORE_THE_SWITCH)
        settle(post);
    SKUAI_WRITE(stack.registers, registers + 1);
    return post;
}

static void worker(void *arg)
{
    bool runs_it_now = arg != NULL; /* the task was running here when the test begins */
    for (;;) {
        if (!runs_it_now) {
            while (skuai_exchange_32(&queued, 0, SKUAI_ACQUIRE) == 0) /* a queue's take */
                mc_futex_wait(&queued, 0);
            skuai_task_word_run(&word);
        }
        runs_it_now = false;
        enum post post = resume();
        if (settle_when == AFTER_THE_SWITCH)
            settle(post);
    }
}

static void waker(void *arg)
{
    uint32_t i = (uint32_t)(uintptr_t)arg;
    skuai_store_32(&posted[i], 1, SKUAI_RELAXED);
    if (skuai_task_word_wake(&word) == SKUAI_TASK_ENQUEUE)
        enqueue();
}

static void begin(enum when when, enum post first, enum post second, enum post third, uintptr_t wakers)
{
    word.raw = SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING;
    queued.raw = 0;
    memset(posted, 0, sizeof posted);
    memset(seen, 0, sizeof seen);
    stack.registers = runs = 0;
    freed = false;
    settle_when = when;
    posts[0] = first;
    posts[1] = second;
    posts[2] = third;
    mc_name(&word, "word");
    mc_name(&queued, "queue");
    mc_name(&stack.registers, "registers");
    mc_allow_blocked(mc_thread(worker, &stack));
    mc_allow_blocked(mc_thread(worker, NULL));
    for (uintptr_t i = 0; i < wakers; i++)
        mc_thread(waker, (void *)i);
}

static void waits(void)
{
    mc_assert(skuai_load_64(&word, SKUAI_RELAXED) == SKUAI_TASK_ALIVE, "the fiber does not wait");
    mc_assert(skuai_load_32(&queued, SKUAI_RELAXED) == 0, "the fiber is queued for ever");
    mc_assert(SKUAI_READ(stack.registers) == runs, "the registers of the latest run were not saved");
}

static void pause_setup(void) { begin(AFTER_THE_SWITCH, PAUSE, PAUSE, PAUSE, 1); }
static void pause_finish(void)
{
    waits();
    mc_assert(seen[0] == 1, "a wake was lost");
    mc_assert(runs <= 2, "more runs than wakes");
}
MC_TEST(pause, .setup = pause_setup, .finish = pause_finish, .bound = 5);

static void two_wakers_setup(void) { begin(AFTER_THE_SWITCH, PAUSE, PAUSE, PAUSE, 2); }
static void two_wakers_finish(void)
{
    waits();
    mc_assert(seen[0] == 1 && seen[1] == 1, "a wake was lost");
}
MC_TEST(two_wakers, .setup = two_wakers_setup, .finish = two_wakers_finish, .bound = 3, .stale = 2);

static void requeue_setup(void) { begin(AFTER_THE_SWITCH, REQUEUE, PAUSE, PAUSE, 1); }
MC_TEST(requeue, .setup = requeue_setup, .finish = waits, .bound = 3);

static void end_setup(void) { begin(AFTER_THE_SWITCH, PAUSE, END, END, 2); }
static void end_finish(void) { mc_assert(freed && runs == 2, "the stack was not freed at the end"); }
MC_TEST(end, .setup = end_setup, .finish = end_finish, .bound = 3, .stale = 2);

/* Known wrong: the fiber settles its own state and then switches away. */
static void early_pause_setup(void) { begin(BEFORE_THE_SWITCH, PAUSE, PAUSE, PAUSE, 1); }
MC_TEST_MUST_FAIL(pause_before_the_switch, "a read by thread 2 and by thread 1's write", .setup = early_pause_setup);
static void early_requeue_setup(void) { begin(BEFORE_THE_SWITCH, REQUEUE, PAUSE, PAUSE, 0); }
MC_TEST_MUST_FAIL(requeue_before_the_switch, "a read by thread 2 and by thread 1's write",
                  .setup = early_requeue_setup);
static void early_end_setup(void) { begin(BEFORE_THE_SWITCH, END, END, END, 0); }
MC_TEST_MUST_FAIL(end_on_the_own_stack, "use after free", .setup = early_end_setup);
