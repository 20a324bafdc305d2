/* See report.h. */
#define _GNU_SOURCE
#include "bench/report.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness.h"

#if defined(__clang__)
#define BENCH_COMPILER "" /* clang's version says its name */
#else
#define BENCH_COMPILER "gcc "
#endif

static const char wall[] = "ns/op";
static const char cpu[] = "cpu ns/op";

struct series {
    char *bench, *runtime, *unit;
    double *values;
    size_t count;
};

struct bench_report {
    struct series *series;
    size_t count;
};

struct summary {
    double median, min, max;
};

static void *checked(void *memory)
{
    if (memory == NULL) {
        perror("benchmark report");
        exit(1);
    }
    return memory;
}

struct bench_report *bench_report_create(void) { return calloc(1, sizeof(struct bench_report)); }

void bench_report_destroy(struct bench_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free(report->series[i].bench);
        free(report->series[i].runtime);
        free(report->series[i].unit);
        free(report->series[i].values);
    }
    free(report->series);
    free(report);
}

static struct series *find(const struct bench_report *report, const char *bench, const char *runtime, const char *unit)
{
    for (size_t i = 0; i < report->count; i++) {
        struct series *series = &report->series[i];
        if (strcmp(series->bench, bench) == 0 && strcmp(series->runtime, runtime) == 0 &&
            strcmp(series->unit, unit) == 0)
            return series;
    }
    return NULL;
}

void bench_report_add(struct bench_report *report, const char *bench, const char *runtime, const char *unit,
                      double value)
{
    struct series *series = find(report, bench, runtime, unit);
    if (series == NULL) {
        report->series = checked(realloc(report->series, (report->count + 1) * sizeof *series));
        series = &report->series[report->count++];
        *series = (struct series){ .bench = checked(strdup(bench)),
                                   .runtime = checked(strdup(runtime)),
                                   .unit = checked(strdup(unit)) };
    }
    series->values = checked(realloc(series->values, (series->count + 1) * sizeof *series->values));
    series->values[series->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct summary summarise(const struct series *series)
{
    if (series == NULL)
        return (struct summary){ 0 };
    size_t n = series->count;
    qsort(series->values, n, sizeof *series->values, by_value); /* the order of repetitions means nothing */
    return (struct summary){
        .median = n % 2 != 0 ? series->values[n / 2] : (series->values[n / 2 - 1] + series->values[n / 2]) / 2,
        .min = series->values[0],
        .max = series->values[n - 1],
    };
}

static bool is_wall(const struct series *series, bool ours)
{
    return strcmp(series->unit, wall) == 0 && (strcmp(series->runtime, BENCH_OURS) == 0) == ours;
}

/* The first line of `path` that begins with `key`, from behind its colon; the whole line if key is empty. */
static void copy_line(char *text, size_t size, const char *path, const char *key)
{
    snprintf(text, size, "unknown");
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        const char *colon = key[0] != '\0' ? strchr(line, ':') : NULL;
        line[strcspn(line, "\n")] = '\0';
        snprintf(text, size, "%.*s", (int)size - 1, colon != NULL ? colon + 2 : line);
        break;
    }
    fclose(file);
}

static void print_machine(const struct bench_report *report)
{
    char model[128], load[64], kernel[64];
    copy_line(model, sizeof model, "/proc/cpuinfo", "model name");
    copy_line(load, sizeof load, "/proc/loadavg", "");
    copy_line(kernel, sizeof kernel, "/proc/sys/kernel/osrelease", "");
    printf("machine: %s, %ld processors, Linux %s; load averages at the end: %s\n", model,
           sysconf(_SC_NPROCESSORS_ONLN), kernel, load);
    printf("built by: %s%s\n", BENCH_COMPILER, __VERSION__);
    printf("values: medians of %zu repetitions, with the least and the greatest\n",
           report->count > 0 ? report->series[0].count : 0);
}

static bool has_peer(const struct bench_report *report, const char *bench)
{
    for (size_t i = 0; i < report->count; i++)
        if (is_wall(&report->series[i], false) && strcmp(report->series[i].bench, bench) == 0)
            return true;
    return false;
}

static void print_alone(const struct bench_report *report)
{
    bool first = true;
    for (size_t i = 0; i < report->count; i++) {
        const struct series *series = &report->series[i];
        if (!is_wall(series, true) || has_peer(report, series->bench))
            continue;
        if (first)
            printf("\n%-36s %9s %9s %9s %9s  %s\n", "benchmark", "ns/op", "min", "max", "cpu ns/op", "wakes/op");
        first = false;
        struct summary ns = summarise(series), cpu_ns = summarise(find(report, series->bench, BENCH_OURS, cpu));
        struct summary wakes = summarise(find(report, series->bench, BENCH_OURS, "wakes/op"));
        printf("%-36s %9.1f %9.1f %9.1f %9.1f  %.6f (%.6f to %.6f)\n", series->bench, ns.median, ns.min, ns.max,
               cpu_ns.median, wakes.median, wakes.min, wakes.max);
    }
}

struct comparison {
    const struct series *ours, *theirs;
    double ratio;
};

static int by_ratio(const void *a, const void *b)
{
    return by_value(&((const struct comparison *)a)->ratio, &((const struct comparison *)b)->ratio);
}

static void print_compared(const struct bench_report *report)
{
    struct comparison *rows = checked(calloc(report->count + 1, sizeof *rows));
    size_t count = 0, losses = 0;
    for (size_t i = 0; i < report->count; i++) {
        const struct series *theirs = &report->series[i];
        const struct series *ours = find(report, theirs->bench, BENCH_OURS, wall);
        if (!is_wall(theirs, false) || ours == NULL)
            continue;
        rows[count] = (struct comparison){ ours, theirs, summarise(theirs).median / summarise(ours).median };
        losses += rows[count++].ratio < 1.0;
    }
    qsort(rows, count, sizeof *rows, by_ratio);
    if (count != 0)
        printf("\nwall time in ns/op (cpu ns/op), ratio: theirs to ours, so below 1 we lose: %zu of %zu\n"
               "%-48s %8s %-19s %8s  %-8s %8s %-19s %8s %6s\n", losses, count,
               "benchmark", BENCH_OURS, "(min to max)", "(cpu)", "other", "", "(min to max)", "(cpu)", "ratio");
    for (size_t i = 0; i < count; i++) {
        const struct series *o = rows[i].ours, *t = rows[i].theirs;
        struct summary ours = summarise(o), theirs = summarise(t);
        char our_spread[32], their_spread[32];
        snprintf(our_spread, sizeof our_spread, "(%.1f to %.1f)", ours.min, ours.max);
        snprintf(their_spread, sizeof their_spread, "(%.1f to %.1f)", theirs.min, theirs.max);
        printf("%-48s %8.1f %-19s %8.1f  %-8s %8.1f %-19s %8.1f %6.2f\n", o->bench, ours.median, our_spread,
               summarise(find(report, o->bench, BENCH_OURS, cpu)).median, t->runtime, theirs.median, their_spread,
               summarise(find(report, t->bench, t->runtime, cpu)).median, rows[i].ratio);
    }
    free(rows);
}

void bench_report_print(const struct bench_report *report)
{
    print_machine(report);
    print_compared(report);
    print_alone(report);
    fflush(stdout);
}

int bench_report_write(const struct bench_report *report, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return -1;
    fputs("[", file);
    for (size_t i = 0; i < report->count; i++) {
        const struct series *s = &report->series[i];
        struct summary summary = summarise(s);
        fprintf(file,
                "%s\n  {\"bench\": \"%s\", \"runtime\": \"%s\", \"value\": %.9g, \"unit\": \"%s\", "
                "\"min\": %.9g, \"max\": %.9g, \"n\": %zu}",
                i == 0 ? "" : ",", s->bench, s->runtime, summary.median, s->unit, summary.min, summary.max, s->count);
    }
    fputs("\n]\n", file);
    bool wrote = ferror(file) == 0;
    return fclose(file) == 0 && wrote ? 0 : -1;
}
