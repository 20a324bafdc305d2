/* How long fibers wait for their turn while fork-join keeps all workers busy (mixed_latency), or fibers that compute
 * and never give way (hogs_latency). */
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

static struct crew *start_crew(enum forkjoin_effort effort, skua_task *tasks[SLEEPING])
{
    struct crew *crew = work_memory(sizeof *crew);
    crew->end_ns = work_wall_ns() + (effort == FORKJOIN_FULL ? 2 * SKUA_S : SKUA_S / 2);
    crew->left = SLEEPING;
    for (int i = 0; i < SLEEPING; i++) {
        crew->members[i].crew = crew;
        crew->members[i].count = 0;
        crew->members[i].pause_ns = SKUA_MS + (uint64_t)i * SKUA_US;
        work_must(skua_spawn(&tasks[i], sleep_and_yield, &crew->members[i]));
    }
    return crew;
}

static void end_crew(struct crew *crew, skua_task *tasks[SLEEPING])
{
    for (int i = 0; i < SLEEPING; i++)
        work_must(skua_join(tasks[i], NULL));
    print_delays(crew);
    free(crew);
}

void mixed_measure(enum forkjoin_effort effort)
{
    skua_task *tasks[SLEEPING];
    uint64_t begin = work_wall_ns();
    struct crew *crew = start_crew(effort, tasks);
    double forks = 0;
    while (__atomic_load_n(&crew->left, __ATOMIC_ACQUIRE) > 0) {
        work_check("fib", forkjoin_on_skua.fib(BUSY_FIB), 5702887);
        forks += BUSY_FORKS;
    }
    double wall = (double)(work_wall_ns() - begin);
    end_crew(crew, tasks);
    work_print("per_fork", wall / forks, "ns/op");
}

static int compute(void *arg)
{
    const struct crew *crew = arg;
    while (work_wall_ns() < crew->end_ns)
        ;
    return 0;
}

void mixed_measure_hogs(enum forkjoin_effort effort)
{
    skua_task *tasks[SLEEPING];
    skua_stats stats;
    skua_runtime_stats(skua_runtime_self(), &stats);
    struct crew *crew = start_crew(effort, tasks);
    for (uint32_t i = 0; i < stats.workers; i++)
        work_must(skua_go(compute, crew));
    end_crew(crew, tasks);
}
