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

static const char cpu[] = ".cpu";
static const char wakes[] = ".wakes_per_op";

struct series {
    char *bench, *runtime, *unit;
    double *values;
    size_t count;
};

struct bench_report {
    struct series *series;
    size_t count;
    double load; /* over the minute before the first benchmark; -1: unknown */
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

struct bench_report *bench_report_create(void)
{
    struct bench_report *report = calloc(1, sizeof *report);
    if (report != NULL && getloadavg(&report->load, 1) != 1)
        report->load = -1;
    return report;
}

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

static struct series *find(const struct bench_report *report, const char *bench, const char *runtime)
{
    for (size_t i = 0; i < report->count; i++) {
        struct series *series = &report->series[i];
        if (strcmp(series->bench, bench) == 0 && strcmp(series->runtime, runtime) == 0)
            return series;
    }
    return NULL;
}

void bench_report_add(struct bench_report *report, const char *bench, const char *runtime, const char *unit,
                      double value)
{
    struct series *series = find(report, bench, runtime);
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
    size_t n = series->count;
    qsort(series->values, n, sizeof *series->values, by_value); /* the order of rounds means nothing */
    return (struct summary){
        .median = n % 2 != 0 ? series->values[n / 2] : (series->values[n / 2 - 1] + series->values[n / 2]) / 2,
        .min = series->values[0],
        .max = series->values[n - 1],
    };
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
    char model[128], kernel[64];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    copy_line(model, sizeof model, "/proc/cpuinfo", "model name");
    copy_line(kernel, sizeof kernel, "/proc/sys/kernel/osrelease", "");
    printf("machine: %s, %ld processors, Linux %s; load before the first benchmark: %.2f\n", model, processors, kernel,
           report->load);
    if (report->load > (double)processors / 2)
        printf("the machine was busy in the minute before (a build counts): if it still is, the least and the "
               "processor times say more than medians\n");
    printf("built by: %s%s\n", BENCH_COMPILER, __VERSION__);
    printf("values: medians of up to %zu rounds, with the least and the greatest\n",
           report->count > 0 ? report->series[0].count : 0);
}

static void derive_overhead(struct bench_report *report, const char *bench, const char *name)
{
    const struct series *serial = find(report, bench, BENCH_SERIAL);
    for (size_t i = 0, count = report->count; serial != NULL && i < count; i++) {
        const struct series *series = &report->series[i];
        const char *workers = strchr(series->runtime, '@');
        if (strcmp(series->bench, bench) != 0 || workers == NULL || strcmp(workers, "@1") != 0)
            continue;
        for (size_t j = 0; series->count == serial->count && j < serial->count; j++) {
            bench_report_add(report, name, series->runtime, series->unit, series->values[j] - serial->values[j]);
            series = &report->series[i]; /* adding may have moved them */
            serial = find(report, bench, BENCH_SERIAL);
        }
    }
}

void bench_report_derive(struct bench_report *report)
{
    derive_overhead(report, "fib", "fib.overhead");
    derive_overhead(report, "fib_compute", "fib_compute.overhead");
}

/* ---- tables -------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Not what is shown beside another figure. */
static bool is_main(const struct series *series)
{
    return !ends_with(series->bench, cpu) && !ends_with(series->bench, wakes);
}

static bool is_ours(const struct series *series)
{
    return strncmp(series->runtime, BENCH_OURS, strlen(BENCH_OURS)) == 0;
}

static bool is_floor(const struct series *series)
{
    return strcmp(series->runtime, BENCH_FLOOR) == 0 || strcmp(series->runtime, BENCH_SERIAL) == 0;
}

static bool same_workers(const struct series *a, const struct series *b)
{
    const char *x = strchr(a->runtime, '@'), *y = strchr(b->runtime, '@');
    return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

/* Three digits or so. */
static const char *number(char text[16], double value)
{
    double size = value < 0 ? -value : value;
    snprintf(text, 16, size < 10 ? "%.2f" : size < 1000 ? "%.1f" : "%.0f", value);
    return text;
}

/* The median of what stands beside a figure, -1 if nothing does. */
static double beside(const struct bench_report *report, const struct series *series, const char *what)
{
    char name[256];
    snprintf(name, sizeof name, "%s%s", series->bench, what);
    const struct series *found = find(report, name, series->runtime);
    return found != NULL ? summarise(found).median : -1;
}

static double ratio_of(double ours, double theirs) { return theirs > 0 && ours >= 0 ? ours / theirs : -1; }

static void print_ratio(double ratio)
{
    if (ratio >= 0)
        printf(" %5.2f", ratio);
    else
        printf(" %5s", "");
}

static void print_figure(const struct bench_report *report, const struct series *series)
{
    struct summary summary = summarise(series);
    char text[3][16], spread[40];
    snprintf(spread, sizeof spread, "%s..%s", number(text[0], summary.min), number(text[1], summary.max));
    printf(" %-15s %7s %-15s", series->runtime, number(text[2], summary.median), spread);
    double processor = beside(report, series, cpu);
    printf(" %7s", processor >= 0 ? number(text[0], processor) : "");
}

static void print_wakes(const struct bench_report *report, const struct series *series)
{
    double sent = beside(report, series, wakes);
    if (sent >= 0)
        printf(" %9.6f", sent);
    else
        printf(" %9s", "");
}

struct row {
    const struct series *ours, *best, *floor;
    double ratio, least_ratio, cpu_ratio; /* -1: with nobody */
};

static struct row compare(const struct bench_report *report, const struct series *ours)
{
    struct row row = { .ours = ours, .ratio = -1, .least_ratio = -1, .cpu_ratio = -1 };
    for (size_t i = 0; i < report->count; i++) {
        const struct series *other = &report->series[i];
        if (strcmp(other->bench, ours->bench) != 0 || is_ours(other))
            continue;
        if (is_floor(other)) {
            row.floor = other;
            continue;
        }
        if (!same_workers(other, ours))
            continue;
        if (row.best == NULL || summarise(other).median < summarise(row.best).median)
            row.best = other;
        double least_ratio = ratio_of(summarise(ours).min, summarise(other).min);
        double cpu_ratio = ratio_of(beside(report, ours, cpu), beside(report, other, cpu));
        row.least_ratio = least_ratio > row.least_ratio ? least_ratio : row.least_ratio;
        row.cpu_ratio = cpu_ratio > row.cpu_ratio ? cpu_ratio : row.cpu_ratio;
    }
    if (row.best != NULL)
        row.ratio = ratio_of(summarise(ours).median, summarise(row.best).median);
    return row;
}

static int by_loss(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = by_value(&y->ratio, &x->ratio);
    return order != 0 ? order : (x->ours > y->ours) - (x->ours < y->ours); /* as measured */
}

static void print_ours(const struct bench_report *report)
{
    struct row *rows = checked(calloc(report->count + 1, sizeof *rows));
    size_t count = 0, compared = 0, losses = 0;
    for (size_t i = 0; i < report->count; i++)
        if (is_main(&report->series[i]) && is_ours(&report->series[i])) {
            rows[count] = compare(report, &report->series[i]);
            compared += rows[count].ratio >= 0;
            losses += rows[count++].ratio > 1.0;
        }
    qsort(rows, count, sizeof *rows, by_loss);
    printf("\nours, and the best of the others with as many workers. Ratios, ours to theirs, so above 1 we lose: of\n"
           "medians (%zu of %zu lost), of the least, of processor times, each to who has least; of medians to the floor"
           "\n\n", losses, compared);
    printf("%-44s %-5s %-15s %7s %-15s %7s %9s  %5s %5s %5s %5s %-15s %7s %-15s %7s\n", "benchmark", "unit", "runtime",
           "median", "min..max", "cpu", "wakes/op", "ratio", "least", "cpu", "floor", "best", "median", "min..max",
           "cpu");
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        printf("%-44s %-5s", row->ours->bench, row->ours->unit);
        print_figure(report, row->ours);
        print_wakes(report, row->ours);
        printf(" ");
        print_ratio(row->ratio);
        print_ratio(row->least_ratio);
        print_ratio(row->cpu_ratio);
        print_ratio(row->floor != NULL ? ratio_of(summarise(row->ours).median, summarise(row->floor).median) : -1);
        if (row->best != NULL)
            print_figure(report, row->best);
        printf("\n");
    }
    free(rows);
}

static void print_others(const struct bench_report *report)
{
    bool first = true;
    for (size_t i = 0; i < report->count; i++) {
        const struct series *series = &report->series[i];
        if (!is_main(series) || is_ours(series))
            continue;
        if (first)
            printf("\nthe others\n\n%-44s %-5s %-15s %7s %-15s %7s\n", "benchmark", "unit", "runtime", "median",
                   "min..max", "cpu");
        first = false;
        printf("%-44s %-5s", series->bench, series->unit);
        print_figure(report, series);
        printf("\n");
    }
}

struct gain {
    const char *bench;
    double ours, machine;             /* of medians */
    double ours_least, machine_least; /* of the least */
};

/* From one runtime's time to another's; of either below 0: there is none. */
static void gain_of(const struct bench_report *report, const char *bench, const char *const from_to[2], double *median,
                    double *least)
{
    const struct series *from = find(report, bench, from_to[0]), *to = find(report, bench, from_to[1]);
    *median = *least = -1;
    if (from == NULL || to == NULL)
        return;
    struct summary before = summarise(from), after = summarise(to);
    *median = ratio_of(before.median, after.median);
    *least = ratio_of(before.min, after.min);
}

static int by_gain(const void *a, const void *b)
{
    const struct gain *x = a, *y = b;
    double x_ratio = x->ours / x->machine, y_ratio = y->ours / y->machine;
    return by_value(&x_ratio, &y_ratio);
}

/* Two processes that know nothing of each other gain by a second processor what the machine gives: less than two where
 * processors share something, or somebody else runs too. */
static void print_speedup(const struct bench_report *report)
{
    struct gain *gains = checked(calloc(report->count + 1, sizeof *gains));
    size_t count = 0;
    for (size_t i = 0; i < report->count; i++) {
        static const char *const ours[] = { BENCH_OURS "@1", BENCH_OURS "@2" };
        static const char *const machine[] = { BENCH_SERIAL, BENCH_TWIN };
        struct gain gain = { .bench = report->series[i].bench };
        gain_of(report, gain.bench, ours, &gain.ours, &gain.ours_least);
        gain_of(report, gain.bench, machine, &gain.machine, &gain.machine_least);
        if (strcmp(report->series[i].runtime, BENCH_TWIN) == 0 && is_main(&report->series[i]) && gain.ours > 0 &&
            gain.machine > 0)
            gains[count++] = gain;
    }
    qsort(gains, count, sizeof *gains, by_gain);
    if (count > 0)
        printf("\nspeed-up 1 to 2: ours by a second worker, the machine's own by a second process; their ratio, below "
               "1 we lose; and of the least, which the machine's other work disturbs less\n\n%-44s %8s %8s %8s %8s\n",
               "benchmark", "ours", "machine", "ratio", "least");
    for (size_t i = 0; i < count; i++)
        printf("%-44s %8.2f %8.2f %8.2f %8.2f\n", gains[i].bench, gains[i].ours, gains[i].machine,
               gains[i].ours / gains[i].machine, gains[i].ours_least / gains[i].machine_least);
    free(gains);
}

void bench_report_print(const struct bench_report *report)
{
    print_machine(report);
    print_ours(report);
    print_others(report);
    print_speedup(report);
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
