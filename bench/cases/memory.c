/* memory/future, memory/join, memory/fiber: the resident memory of many tasks that wait, at their peak and two seconds
 * after they have ended. A process of its own for each.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/cases/work.h"

/* What all wait for. Each puts down its waker and then counts itself in `parked`; the wakers' memory is touched before
 * the first measurement. */
struct gate {
    struct count *left;
    skua_waker *wakers;
    int64_t taken, parked;
    int open;
};

static void enter(struct gate *gate)
{
    int64_t place = __atomic_fetch_add(&gate->taken, 1, __ATOMIC_RELAXED);
    gate->wakers[place] = skua_waker_self();
    __atomic_add_fetch(&gate->parked, 1, __ATOMIC_RELEASE);
}

static bool is_open(const struct gate *gate) { return __atomic_load_n(&gate->open, __ATOMIC_ACQUIRE) != 0; }

struct parker {
    SKUA_FRAME;
    struct {
        struct gate *gate;
    } in;
};
SKUA_ASYNC(parker)
{
    SKUA_BEGIN(self);
    enter(self->in.gate);
    while (!is_open(self->in.gate))
        SKUA_PARK();
    count_down(self->in.gate->left);
    SKUA_END(1);
}

struct joiner {
    SKUA_FRAME;
    struct {
        struct gate *gate;
        skua_task *earlier;
    } in;
    skua_join_op join;
};
SKUA_ASYNC(joiner)
{
    SKUA_BEGIN(self);
    __atomic_add_fetch(&self->in.gate->parked, 1, __ATOMIC_RELEASE);
    SKUA_AWAIT(skua_join_start(&self->join, self->in.earlier));
    work_check("join", self->join.result, 0);
    work_check("result", self->join.value, 1);
    count_down(self->in.gate->left);
    SKUA_END(1);
}

static int parker_fiber(void *arg)
{
    struct gate *gate = arg;
    enter(gate);
    while (!is_open(gate))
        skua_park();
    count_down(gate->left);
    return 0;
}

static void spawn_parkers(struct gate *gate, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        work_must(SKUA_GO(parker, .gate = gate));
}

static void spawn_fibers(struct gate *gate, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        work_must(skua_go(parker_fiber, gate));
}

static void spawn_joiners(struct gate *gate, int64_t n)
{
    skua_task *earlier, *task;
    work_must(SKUA_SPAWN(&earlier, parker, .gate = gate));
    for (int64_t i = 1; i < n; i++, earlier = task)
        work_must(SKUA_SPAWN(&task, joiner, .gate = gate, .earlier = earlier));
    skua_detach(earlier);
}

double work_rss_bytes(void)
{
    long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%ld %ld", &total, &resident) != 2) {
        perror("/proc/self/statm");
        exit(1);
    }
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void measure(void (*spawn)(struct gate *gate, int64_t n), int64_t n)
{
    struct gate gate = { .left = work_count(n) };
    size_t size = (size_t)n * sizeof *gate.wakers;
    gate.wakers = malloc(size);
    if (gate.wakers == NULL)
        abort();
    memset(gate.wakers, 0xff, size);
    double before = work_rss_bytes();
    spawn(&gate, n);
    while (__atomic_load_n(&gate.parked, __ATOMIC_ACQUIRE) < n)
        work_must(skua_sleep(SKUA_MS));
    work_must(skua_sleep(100 * SKUA_MS)); /* whoever counted has got to its wait by now */
    work_check("parked", gate.parked, n);
    double peak = work_rss_bytes();
    __atomic_store_n(&gate.open, 1, __ATOMIC_RELEASE);
    for (int64_t i = 0, taken = __atomic_load_n(&gate.taken, __ATOMIC_ACQUIRE); i < taken; i++)
        skua_wake(gate.wakers[i]);
    wait_for_zero(gate.left);
    work_must(skua_sleep(2 * SKUA_S));
    double after = work_rss_bytes();
    free(gate.wakers);
    work_print("-", (peak - before) / (double)n, "bytes");
    work_print("after", (after - before) / (double)n, "bytes");
}

static void memory_future(void) { measure(spawn_parkers, PARKED); }
static void memory_join(void) { measure(spawn_joiners, PARKED); }
static void memory_fiber(void) { measure(spawn_fibers, FIBERS); }

const struct measurement work_of_memory[] = {
    { "memory/future", memory_future },
    { "memory/join", memory_join },
    { "memory/fiber", memory_fiber },
    { NULL, NULL },
};
