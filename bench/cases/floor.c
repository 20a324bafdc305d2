/* The floors: what no runtime does without, done bare on one thread. They have no scheduler, no stealing, no wakes, no
 * cancellation and no handles; nobody is meant to reach them.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cases/work.h"
#include "bench/cases/floor_switch.h"

/* ---- tasks: take from a free list, queue, run, put back -------------------------------------------------------- */

/* Two cache lines, as a small task has: the first for the queue, the second for the body. */
struct bare_task {
    struct bare_task *next;
    void (*run)(struct bare_task *task);
    char header[48];
    int64_t *left;
    int64_t value;
    char body[48];
};

struct bare {
    struct bare_task *memory, *free;
    struct bare_task *first, **last;
};

/* Once per process: in the cold benchmark its page faults are part of the figure. */
static struct bare *bare_pool(void)
{
    static struct bare bare;
    if (bare.memory != NULL)
        return &bare;
    bare.memory = aligned_alloc(64, SPAWNS * sizeof *bare.memory);
    if (bare.memory == NULL)
        abort();
    for (int i = SPAWNS - 1; i >= 0; i--) {
        bare.memory[i].next = bare.free;
        bare.free = &bare.memory[i];
    }
    bare.last = &bare.first;
    return &bare;
}

static void bare_spawn(struct bare *bare, void (*run)(struct bare_task *task), int64_t *left, int64_t value)
{
    struct bare_task *task = bare->free;
    bare->free = task->next;
    task->next = NULL;
    task->run = run;
    task->left = left;
    task->value = value;
    *bare->last = task;
    bare->last = &task->next;
}

static void bare_run(struct bare *bare)
{
    for (struct bare_task *task; (task = bare->first) != NULL;) {
        bare->first = task->next;
        if (bare->first == NULL)
            bare->last = &bare->first;
        task->run(task);
        task->next = bare->free;
        bare->free = task;
    }
}

static void count_one(struct bare_task *task) { __atomic_sub_fetch(task->left, 1, __ATOMIC_ACQ_REL); }

static int64_t spawn_many(void)
{
    struct bare *bare = bare_pool();
    int64_t left = SPAWNS;
    for (int i = 0; i < SPAWNS; i++)
        bare_spawn(bare, count_one, &left, 0);
    bare_run(bare);
    work_check("tasks left", left, 0);
    return SPAWNS;
}

static void add_parity(struct bare_task *task) { *task->left += task->value & 1; }

static int64_t spawn_await(void)
{
    struct bare *bare = bare_pool();
    int64_t sum = 0;
    for (int i = 0; i < AWAITS; i++) {
        bare_spawn(bare, add_parity, &sum, i);
        bare_run(bare);
    }
    work_check("results", sum, AWAITS / 2);
    return AWAITS;
}

static void chain(struct bare_task *task)
{
    if (task->value == 1)
        *task->left = 0;
    else
        bare_spawn(bare_pool(), chain, task->left, task->value - 1);
}

static int64_t chained_spawn(void)
{
    struct bare *bare = bare_pool();
    int64_t left = 1;
    bare_spawn(bare, chain, &left, LINKS);
    bare_run(bare);
    work_check("chains left", left, 0);
    return LINKS;
}

/* ---- yields: an array of state machines, one after the other --------------------------------------------------- */

struct machine {
    bool (*poll)(struct machine *machine); /* true: it has ended */
    int i;
};

static bool machine_poll(struct machine *machine) { return machine->i++ == YIELDS; }

static int64_t yield_many(void)
{
    static struct machine machines[YIELDERS];
    int live = YIELDERS;
    int64_t polls = 0;
    for (int i = 0; i < YIELDERS; i++)
        machines[i] = (struct machine){ .poll = machine_poll };
    while (live > 0)
        for (int i = 0; i < YIELDERS; i++, polls++)
            live -= ((volatile struct machine *)&machines[i])->poll(&machines[i]); /* not inlined */
    work_check("polls", polls, (int64_t)YIELDERS * (YIELDS + 1));
    return (int64_t)YIELDERS * YIELDS;
}

/* ---- switches: push the registers, exchange stack pointers, pop, return ---------------------------------------- */

#if BENCH_HAVE_FLOOR_SWITCH

enum { STACK_BYTES = 1088 }; /* no more than the loops below need, and not a power of two: no two stacks share sets */

struct flow {
    void *sp;
    struct flow *next;
    char *stack;
};

static struct {
    struct flow home;
    struct flow flows[YIELDERS];
    struct flow *current; /* whom a flow that starts finds itself to be */
    int64_t switches, left;
} ring;

typedef void *prepare_fn(void *top, void (*entry)(void));

static void make_flows(int n, prepare_fn *prepare, void (*entry)(void))
{
    char *stacks = aligned_alloc(64, (size_t)n * STACK_BYTES);
    if (stacks == NULL)
        abort();
    for (int i = 0; i < n; i++) {
        struct flow *flow = &ring.flows[i];
        flow->stack = stacks + (size_t)i * STACK_BYTES;
        flow->sp = prepare(flow->stack + STACK_BYTES, entry);
        flow->next = &ring.flows[(i + 1) % n];
    }
    ring.left = n;
    ring.switches = 0;
    ring.current = &ring.flows[0];
}

static void go_home(void)
{
    for (;;) {
        ring.switches++;
        bench_floor_swap(&ring.flows[0].sp, ring.home.sp);
    }
}

static void go_home_with_modes(void)
{
    for (;;) {
        ring.switches++;
        bench_floor_swap_modes(&ring.flows[0].sp, ring.home.sp);
    }
}

static int64_t fiber_switch(void)
{
    make_flows(1, bench_floor_prepare, go_home);
    for (int i = 0; i < SWITCHES / 2; i++)
        bench_floor_swap(&ring.home.sp, ring.flows[0].sp);
    work_check("switches", 2 * ring.switches, SWITCHES);
    free(ring.flows[0].stack);
    return SWITCHES;
}

static int64_t fiber_switch_modes(void)
{
    make_flows(1, bench_floor_prepare_modes, go_home_with_modes);
    for (int i = 0; i < SWITCHES / 2; i++)
        bench_floor_swap_modes(&ring.home.sp, ring.flows[0].sp);
    work_check("switches", 2 * ring.switches, SWITCHES);
    free(ring.flows[0].stack);
    return SWITCHES;
}

static void go_round(void)
{
    struct flow *self = ring.current;
    for (int i = 0; i < YIELDS; i++) {
        ring.switches++;
        ring.current = self->next;
        bench_floor_swap(&self->sp, self->next->sp);
    }
    struct flow *to = --ring.left == 0 ? &ring.home : self->next;
    ring.current = to;
    bench_floor_swap(&self->sp, to->sp);
}

static int64_t fiber_yield_many(void)
{
    make_flows(YIELDERS, bench_floor_prepare, go_round);
    bench_floor_swap(&ring.home.sp, ring.flows[0].sp);
    work_check("flows left", ring.left, 0);
    work_check("switches", ring.switches, (int64_t)YIELDERS * YIELDS);
    free(ring.flows[0].stack);
    return ring.switches;
}

#endif

/* ---- a lock that nobody else wants ------------------------------------------------------------------------------ */

static void *wait_for_it(void *mutex)
{
    pthread_mutex_lock(mutex);
    pthread_mutex_unlock(mutex);
    return NULL;
}

/* With a second thread, which sleeps: as long as there is only one, glibc locks without atomic instructions. */
static int64_t mutex_uncontended(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, held = PTHREAD_MUTEX_INITIALIZER;
    pthread_t other;
    int64_t counter = 0;
    pthread_mutex_lock(&held);
    if (pthread_create(&other, NULL, wait_for_it, &held) != 0)
        work_die("mutex_uncontended", "no thread");
    for (int i = 0; i < UNCONTENDED; i++) {
        pthread_mutex_lock(&mutex);
        __atomic_store_n(&counter, counter + 1, __ATOMIC_RELAXED); /* in each turn */
        pthread_mutex_unlock(&mutex);
    }
    work_check("counter", counter, UNCONTENDED);
    pthread_mutex_unlock(&held);
    pthread_join(other, NULL);
    return UNCONTENDED;
}

const struct work work_of_floor[] = {
    { "spawn_many", spawn_many },
    { "spawn_many_cold", spawn_many },
    { "spawn_await", spawn_await },
    { "chained_spawn", chained_spawn },
    { "yield_many", yield_many },
    { "mutex_uncontended", mutex_uncontended },
#if BENCH_HAVE_FLOOR_SWITCH
    { "fiber_switch", fiber_switch },
    { "fiber_switch_modes", fiber_switch_modes },
    { "fiber_yield_many", fiber_yield_many },
#endif
    { NULL, NULL },
};
