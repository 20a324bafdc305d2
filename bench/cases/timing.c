/* timers_1m, sleep_lateness, timer_arm_cancel. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "bench/cases/work.h"

/* ---- timers_1m -------------------------------------------------------------------------------------------------- */

struct napper {
    SKUA_FRAME;
    struct {
        struct count *count;
        uint64_t until_ns;
    } in;
    skua_sleep_op sleep;
};
SKUA_ASYNC(napper)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_until_start(&self->sleep, self->in.until_ns));
    count_down(self->in.count);
    SKUA_END(0);
}

/* All asleep at once, until the same instant: what they take of memory. */
static double sleeping_bytes(void)
{
    struct count *count = work_count(TIMERS);
    double before = work_rss_bytes();
    uint64_t until = skua_now() + TIMERS_TOGETHER_MS * SKUA_MS;
    for (int i = 0; i < TIMERS; i++)
        work_must(SKUA_GO(napper, .count = count, .until_ns = until));
    work_must(skua_sleep_until(until - 100 * SKUA_MS));
    work_check("tasks asleep", __atomic_load_n(&count->left, __ATOMIC_ACQUIRE), TIMERS);
    double bytes = (work_rss_bytes() - before) / TIMERS;
    wait_for_zero(count);
    return bytes;
}

static void timers_1m(void)
{
    double bytes = sleeping_bytes();
    struct count *count = work_count(TIMERS);
    double cpu = work_cpu_ns();
    uint64_t begin = skua_now(), last = 0;
    for (uint64_t i = 0; i < TIMERS; i++) {
        uint64_t place = i * 7919 % TIMERS; /* a prime: spread evenly, out of order */
        uint64_t until = skua_now() + SKUA_MS + place * (TIMERS_MS - 1) * SKUA_MS / TIMERS;
        last = until > last ? until : last;
        work_must(SKUA_GO(napper, .count = count, .until_ns = until));
    }
    wait_for_zero(count);
    uint64_t end = skua_now();
    work_print("-", (double)(end - begin) / TIMERS, "ns/op");
    work_print("cpu", (work_cpu_ns() - cpu) / TIMERS, "ns/op");
    work_print("late", end > last ? (double)(end - last) / 1e3 : 0, "us");
    work_print("bytes", bytes, "bytes");
}

/* ---- sleep_lateness --------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_lateness(double *late)
{
    qsort(late, NAPS, sizeof *late, by_value);
    work_print("p50", late[NAPS / 2] / 1e3, "us");
    work_print("p99", late[NAPS * 99 / 100] / 1e3, "us");
}

static void sleep_lateness(void)
{
    static double late[NAPS];
    for (int i = 0; i < NAPS; i++) {
        uint64_t due = work_wall_ns() + SKUA_MS;
        work_must(skua_sleep(SKUA_MS));
        late[i] = (double)(work_wall_ns() - due);
    }
    print_lateness(late);
}

static void sleep_lateness_bare(void)
{
    static double late[NAPS];
    const struct timespec pause = { .tv_nsec = (long)SKUA_MS };
    for (int i = 0; i < NAPS; i++) {
        uint64_t due = work_wall_ns() + SKUA_MS;
        work_check("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL), 0);
        late[i] = (double)(work_wall_ns() - due);
    }
    print_lateness(late);
}

const struct measurement work_of_timing[] = {
    { "timers_1m", timers_1m },
    { "sleep_lateness", sleep_lateness },
    { NULL, NULL },
};
const struct measurement work_of_bare_timing[] = {
    { "sleep_lateness", sleep_lateness_bare },
    { NULL, NULL },
};

/* ---- timer_arm_cancel ------------------------------------------------------------------------------------------- */

static int64_t timer_arm_cancel(void)
{
    static skua_sleep_op ops[ARMED];
    for (int round = 0; round < ARM_ROUNDS; round++) {
        for (uint64_t i = 0; i < ARMED; i++)
            (void)skua_sleep_start(&ops[i], 60 * SKUA_S + i * SKUA_MS);
        for (int i = 0; i < ARMED; i++)
            work_check("a cancelled sleep", skua_await(skua_op_cancel(&ops[i].op)), -ECANCELED);
    }
    return (int64_t)ARMED * ARM_ROUNDS;
}

const struct work work_of_timers[] = {
    { "timer_arm_cancel", timer_arm_cancel },
    { NULL, NULL },
};
