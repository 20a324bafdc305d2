/* See measure.h. */
#define _GNU_SOURCE
#include "bench/cases/measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

void work_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
    exit(1);
}

void work_check(const char *what, int64_t found, int64_t expected)
{
    if (found == expected)
        return;
    fprintf(stderr, "%s: %s: %lld, and not %lld\n", program_invocation_short_name, what, (long long)found,
            (long long)expected);
    exit(1);
}

void work_print(const char *figure, double value, const char *unit) { printf("%s %.9g %s\n", figure, value, unit); }

uint64_t work_wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double in_ns(struct timeval time) { return ((double)time.tv_sec * 1e6 + (double)time.tv_usec) * 1e3; }

double work_cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return in_ns(usage.ru_utime) + in_ns(usage.ru_stime);
}

void *work_memory(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == NULL)
        work_die("memory", "there is none");
    return memory;
}
