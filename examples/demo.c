/* What `scripts/run` shows: the core's workloads on all processors, with what the scheduler did.
 *
 * The figures are of this machine and this run, for orientation; comparisons with other runtimes are bench/'s matter.
 */
#include <skua.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPAWNS = 1000000, YIELDERS = 1000, YIELDS = 1000, CHAIN = 1000000, SLEEPERS = 100000, ROUNDS = 3 };

struct count {
    int64_t left;
    skua_waker done;
};

/* The counter lies on the stack of who waits for it, so it is not touched once it has reached zero. */
static void count_down(struct count *count)
{
    skua_waker done = count->done;
    if (__atomic_sub_fetch(&count->left, 1, __ATOMIC_ACQ_REL) == 0)
        skua_wake(done);
}

static void wait_for_zero(struct count *count)
{
    while (__atomic_load_n(&count->left, __ATOMIC_ACQUIRE) > 0)
        skua_park();
}

/* The same four pieces of work as futures and as fibers. */
struct tick {
    SKUA_FRAME;
    struct {
        struct count *count;
    } in;
};
SKUA_ASYNC(tick)
{
    SKUA_BEGIN(self);
    count_down(self->in.count);
    SKUA_END(0);
}

static int tick_fiber(void *arg)
{
    count_down(arg);
    return 0;
}

struct yielder {
    SKUA_FRAME;
    struct {
        struct count *count;
    } in;
    int i;
};
SKUA_ASYNC(yielder)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < YIELDS; self->i++)
        SKUA_YIELD();
    count_down(self->in.count);
    SKUA_END(0);
}

static int yielder_fiber(void *arg)
{
    for (int i = 0; i < YIELDS; i++)
        skua_yield();
    count_down(arg);
    return 0;
}

struct link_args {
    struct count *count;
    int left;
};
struct chain_link {
    SKUA_FRAME;
    struct link_args in;
};
SKUA_ASYNC(chain_link)
{
    SKUA_BEGIN(self);
    if (self->in.left == 0)
        count_down(self->in.count);
    else if (SKUA_GO(chain_link, .count = self->in.count, .left = self->in.left - 1) < 0)
        abort();
    SKUA_END(0);
}

struct sleeper {
    SKUA_FRAME;
    struct {
        struct count *count;
        uint64_t pause_ns;
    } in;
    skua_sleep_op sleep;
};
SKUA_ASYNC(sleeper)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.pause_ns));
    count_down(self->in.count);
    SKUA_END(0);
}

static int spawn_futures(struct count *count)
{
    for (int i = 0; i < SPAWNS; i++)
        if (SKUA_GO(tick, .count = count) < 0)
            return -1;
    return SPAWNS;
}
static int spawn_fibers(struct count *count)
{
    for (int i = 0; i < SPAWNS; i++)
        if (skua_go(tick_fiber, count) < 0)
            return -1;
    return SPAWNS;
}
static int yield_futures(struct count *count)
{
    for (int i = 0; i < YIELDERS; i++)
        if (SKUA_GO(yielder, .count = count) < 0)
            return -1;
    return YIELDERS;
}
static int yield_fibers(struct count *count)
{
    for (int i = 0; i < YIELDERS; i++)
        if (skua_go(yielder_fiber, count) < 0)
            return -1;
    return YIELDERS;
}
static int chain(struct count *count)
{
    return SKUA_GO(chain_link, .count = count, .left = CHAIN) < 0 ? -1 : 1;
}
static int sleepers(struct count *count)
{
    for (uint64_t i = 0; i < SLEEPERS; i++)
        if (SKUA_GO(sleeper, .count = count, .pause_ns = (1 + skua_random() % 100) * SKUA_MS) < 0)
            return -1;
    return SLEEPERS;
}

static const struct workload {
    const char *name;
    const char *unit;
    int (*start)(struct count *count); /* starts tasks that count down; how many, or -1 */
    int tasks;
    double operations;
} workloads[] = {
    { "spawn futures", "spawn", spawn_futures, SPAWNS, SPAWNS },
    { "spawn fibers", "spawn", spawn_fibers, SPAWNS, SPAWNS },
    { "chained spawn", "spawn", chain, 1, CHAIN },
    { "yield, 1000 futures", "yield", yield_futures, YIELDERS, (double)YIELDERS * (double)YIELDS },
    { "yield, 1000 fibers", "yield", yield_fibers, YIELDERS, (double)YIELDERS * (double)YIELDS },
    { "100k sleeps of 1-100 ms", "sleep", sleepers, SLEEPERS, SLEEPERS },
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int run_workload(const struct workload *load)
{
    double ns[ROUNDS];
    skua_stats before, after;
    skua_runtime_stats(skua_runtime_self(), &before);
    for (int round = 0; round < ROUNDS; round++) {
        struct count count = { .left = load->tasks, .done = skua_waker_self() };
        uint64_t start = skua_now();
        if (load->start(&count) < 0)
            return -1;
        wait_for_zero(&count);
        ns[round] = (double)(skua_now() - start) / load->operations;
    }
    skua_runtime_stats(skua_runtime_self(), &after);
    qsort(ns, ROUNDS, sizeof ns[0], by_value);
    printf("%-26s %9.1f  %9.1f  %-6s %9llu %8llu %8llu\n", load->name, ns[ROUNDS / 2], ns[ROUNDS - 1], load->unit,
           (unsigned long long)(after.stolen - before.stolen), (unsigned long long)(after.wakes - before.wakes),
           (unsigned long long)(after.parks - before.parks));
    fflush(stdout);
    return 0;
}

static int show(void *arg)
{
    (void)arg;
    skua_stats stats;
    skua_runtime_stats(skua_runtime_self(), &stats);
    printf("%u worker%s; ns per operation over %d rounds; steals, wakes and sleeps of workers summed over them\n\n",
           stats.workers, stats.workers == 1 ? "" : "s", ROUNDS);
    printf("%-26s %9s  %9s  %-6s %9s %8s %8s\n", "workload", "median ns", "worst ns", "per", "stolen", "wakes",
           "sleeps");
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        if (run_workload(&workloads[i]) < 0)
            return -1;
    skua_runtime_stats(skua_runtime_self(), &stats);
    printf("\n%llu tasks, %llu polls, %.1f MiB of task memory, %llu stacks\n", (unsigned long long)stats.spawned,
           (unsigned long long)stats.polls, (double)stats.task_bytes / (1 << 20), (unsigned long long)stats.stacks);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        puts("usage: skua-demo\n"
             "Runs the core's workloads; SKUA_WORKERS=N in the environment sets the number of workers.");
        return 0;
    }
    return skua_main(show, NULL);
}
