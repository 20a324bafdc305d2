/* Fires for the children of sets (sched/fired.c, C1 … C4): threads fire ops of children, the task that runs the sets
 * delivers, and gives a child's memory back as soon as no op of it is armed. Nothing is lost, nothing is used too late.
 */
/* model-sources: sched/fired.c */
#include <string.h>

#include "model/mc.h"
#include "sched/combine.h"
#include "sched/task.h"

enum { CHILDREN = 2 };

static skua_task task;       /* type-stable: late wakes may find it waiting, or ended */
static skua_word32 queued;   /* the only queue: 1 while the task is in it */
static skua_set set;
static skua_child children[CHILDREN];
static skua_word32 happened[CHILDREN]; /* what each op's completer did before it fired */
static uint32_t left;        /* children that still have ops armed */

static void enqueue(void)
{
    uint32_t before = skuai_exchange_32(&queued, 1, SKUAI_RELEASE); /* a queue's push */
    mc_assert(before == 0, "the task is in two queues");
    mc_futex_wake(&queued, 1);
}

void skuai_task_wake(skua_task *woken)
{
    mc_assert(woken == &task, "the children's runner");
    if (skuai_task_word_wake(&task.word) == SKUAI_TASK_ENQUEUE)
        enqueue();
}

static void fire(void *arg)
{
    skua_child *child = arg;
    skuai_add_32(&happened[child - children], 1, SKUAI_RELAXED);
    skuai_child_fire(child);
}

/* As combine.c's, with the child's end in it. */
static void deliver(void)
{
    skua_child *next;
    for (skua_child *child = skuai_fired_take(&task); child != NULL; child = next) {
        next = SKUAI_READ(child->next);
        uint32_t armed = child->armed;
        skuai_fired_settle(child);
        uint32_t fires = armed - child->armed, seen = skuai_load_32(&happened[child - children], SKUAI_RELAXED);
        mc_assert(fires >= 1, "delivered without a fire");
        mc_assert(child->armed <= armed, "more fires than ops");
        mc_assert(seen >= fires, "a fire came before what it tells of");
        if (child->armed != 0)
            continue;
        left--;
        memset(child, 0xdd, sizeof *child); /* its `set` and `next` are read by plain code */
        mc_free(child, sizeof *child);
    }
}

static void runner(void *arg)
{
    (void)arg;
    for (;;) {
        deliver();
        if (left == 0)
            break;
        if (skuai_task_word_pause(&task.word) == SKUAI_TASK_ENQUEUE)
            enqueue();
        while (skuai_exchange_32(&queued, 0, SKUAI_ACQUIRE) == 0) /* a queue's take */
            mc_futex_wait(&queued, 0);
        skuai_task_word_run(&task.word);
    }
    memset(&set, 0xdd, sizeof set);
}

static void reset(uint32_t first_armed, uint32_t second_armed)
{
    memset(&task, 0, sizeof task);
    memset(&set, 0, sizeof set);
    memset(children, 0, sizeof children);
    memset(happened, 0, sizeof happened);
    queued.raw = 0;
    left = second_armed != 0 ? 2 : 1;
    task.word.raw = SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING;
    set.runner = &task;
    children[0].armed = first_armed;
    children[1].armed = second_armed;
    mc_name(&task.word, "task.word");
    mc_name(&task.fired, "task.fired");
    mc_name(&queued, "queue");
    for (int i = 0; i < CHILDREN; i++) {
        children[i].set = &set;
        mc_alloc(&children[i], sizeof children[i]);
        mc_name(&children[i].signal, "child%d.signal", i);
        mc_name(&children[i].next, "child%d.next", i);
        mc_name(&happened[i], "happened %d", i);
    }
}
static void finish(void)
{
    mc_assert(left == 0, "a fire was lost");
    mc_assert(skuai_load_ptr(&task.fired, SKUAI_RELAXED) == NULL, "a child is in the list for ever");
}

static void one_fire_setup(void)
{
    reset(1, 0);
    mc_thread(runner, NULL);
    mc_thread(fire, &children[0]);
}
MC_TEST(one_fire, .setup = one_fire_setup, .finish = finish, .bound = MC_UNBOUNDED);

/* The second fire may find the first one under way, or delivered: then it pushes the child once more. */
static void two_of_one_setup(void)
{
    reset(2, 0);
    mc_thread(runner, NULL);
    mc_thread(fire, &children[0]);
    mc_thread(fire, &children[0]);
}
MC_TEST(two_of_one, .setup = two_of_one_setup, .finish = finish, .bound = 3, .max_executions = 300000);

static void one_of_each_setup(void)
{
    reset(1, 1);
    mc_thread(runner, NULL);
    mc_thread(fire, &children[0]);
    mc_thread(fire, &children[1]);
}
MC_TEST(one_of_each, .setup = one_of_each_setup, .finish = finish, .bound = 3, .max_executions = 300000);

static void three_of_two_setup(void)
{
    reset(2, 1);
    mc_thread(runner, NULL);
    mc_thread(fire, &children[0]);
    mc_thread(fire, &children[1]);
    mc_thread(fire, &children[0]);
}
MC_TEST(three_of_two, .setup = three_of_two_setup, .finish = finish, .stale = 2, .max_executions = 300000);

/* Known wrong: the child is given back when its op is seen DONE, though the fire is still under way (C4). */
static void hasty_runner(void *arg)
{
    (void)arg;
    while (skuai_load_32(&happened[0], SKUAI_ACQUIRE) == 0)
        skuai_pause();
    mc_free(&children[0], sizeof children[0]);
}
static void done_before_fire_setup(void)
{
    reset(1, 0);
    mc_thread(hasty_runner, NULL);
    mc_thread(fire, &children[0]);
}
MC_TEST_MUST_FAIL(freed_before_its_fire, "use after free", .setup = done_before_fire_setup);
