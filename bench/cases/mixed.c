/* mixed_latency: how long fibers wait for their turn while fork-join keeps all workers busy. */
#include <stdlib.h>

#include "bench/cases/work.h"

enum { SLEEPING = 100, SAMPLES = 8192, BUSY_FIB = 34, BUSY_FORKS = 9227464 };

struct crew {
    struct sleeping {
        struct crew *crew;
        uint64_t pause_ns;
        uint32_t count;
        double delays[SAMPLES]; /* from when it could run to when it ran */
    } members[SLEEPING];
    uint64_t end_ns;
    int left;
};

static void note(struct sleeping *self, uint64_t ready_ns)
{
    uint64_t now = work_wall_ns();
    work_check("room for samples", self->count < SAMPLES, 1);
    self->delays[self->count++] = now > ready_ns ? (double)(now - ready_ns) : 0;
}

static int sleep_and_yield(void *arg)
{
    struct sleeping *self = arg;
    while (work_wall_ns() < self->crew->end_ns) {
        uint64_t due = work_wall_ns() + self->pause_ns;
        work_must(skua_sleep(self->pause_ns));
        note(self, due);
        uint64_t ready = work_wall_ns();
        work_must(skua_yield());
        note(self, ready);
    }
    __atomic_sub_fetch(&self->crew->left, 1, __ATOMIC_RELEASE);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_delays(const struct crew *crew)
{
    size_t count = 0;
    double *all = work_memory(sizeof(double) * SLEEPING * SAMPLES);
    for (int i = 0; i < SLEEPING; i++)
        for (uint32_t j = 0; j < crew->members[i].count; j++)
            all[count++] = crew->members[i].delays[j];
    qsort(all, count, sizeof *all, by_value);
    work_print("p50", all[count / 2], "ns");
    work_print("p99", all[count * 99 / 100], "ns");
    work_print("max", all[count - 1], "ns");
    free(all);
}

void mixed_measure(enum forkjoin_effort effort)
{
    struct crew *crew = work_memory(sizeof *crew);
    skua_task *tasks[SLEEPING];
    uint64_t begin = work_wall_ns();
    crew->end_ns = begin + (effort == FORKJOIN_FULL ? 2 * SKUA_S : SKUA_S / 2);
    crew->left = SLEEPING;
    for (int i = 0; i < SLEEPING; i++) {
        crew->members[i].crew = crew;
        crew->members[i].count = 0;
        crew->members[i].pause_ns = SKUA_MS + (uint64_t)i * SKUA_US;
        work_must(skua_spawn(&tasks[i], sleep_and_yield, &crew->members[i]));
    }
    double forks = 0;
    while (__atomic_load_n(&crew->left, __ATOMIC_ACQUIRE) > 0) {
        work_check("fib", forkjoin_on_skua.fib(BUSY_FIB), 5702887);
        forks += BUSY_FORKS;
    }
    double wall = (double)(work_wall_ns() - begin);
    for (int i = 0; i < SLEEPING; i++)
        work_must(skua_join(tasks[i], NULL));
    print_delays(crew);
    work_print("per_fork", wall / forks, "ns/op");
    free(crew);
}
