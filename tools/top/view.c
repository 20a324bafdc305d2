/* See view.h. A line is put together in memory and cut to the terminal's width; all of it is ASCII. */
#include "view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { LINE_BYTES = 512, NUMBER_BYTES = 32, BAR_COLUMNS = 20 };

struct page {
    FILE *to;
    const char *line_end; /* of each line */
    int columns, lines;   /* what is left of them; columns: of each line */
    double seconds;       /* between the samples; 0: there is one only */
};

__attribute__((format(printf, 2, 3))) static void put(struct page *page, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    if (page->lines <= 0)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    page->lines--;
    fprintf(page->to, "%.*s%s", page->columns, line, page->line_end);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

struct number {
    char text[NUMBER_BYTES];
};

static struct number short_number(double value, const char *suffix)
{
    static const char units[] = " kMGTPE";
    struct number number;
    int unit = 0;
    for (; value >= 99999.5 || (unit > 0 && value >= 999.95); unit++)
        value /= 1000;
    if (unit == 0)
        snprintf(number.text, sizeof number.text, "%.*f%s", value < 9.95 && value != (double)(int)value, value, suffix);
    else
        snprintf(number.text, sizeof number.text, "%.1f%c%s", value, units[unit], suffix);
    return number;
}

static struct number bytes(uint64_t value)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    struct number number;
    double scaled = (double)value;
    size_t unit = 0;
    for (; scaled >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        scaled /= 1024;
    snprintf(number.text, sizeof number.text, scaled < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", scaled, units[unit]);
    return number;
}

/* A second's, if there are two samples; else all that was counted. A counter that went back is another's. */
static struct number rate(const struct page *page, uint64_t before, uint64_t now)
{
    if (page->seconds == 0)
        return short_number((double)now, "");
    return short_number(now > before ? (double)(now - before) / page->seconds : 0, "/s");
}
#define RATE(field) rate(page, before->field, now->field).text

static struct number duration(double ns)
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    struct number number;
    size_t unit = 0;
    for (; ns >= 999.5 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        ns /= 1000;
    snprintf(number.text, sizeof number.text, "%.*f %s", ns < 9.95 && unit > 0, ns, units[unit]);
    return number;
}

/* How late the timers of the interval were, in the mean. */
static struct number lateness(const struct sample *before, const struct sample *now)
{
    uint64_t expired = now->timers_expired - before->timers_expired;
    bool is_known = now->timers_expired > before->timers_expired && now->timer_lateness_ns >= before->timer_lateness_ns;
    return duration(is_known ? (double)(now->timer_lateness_ns - before->timer_lateness_ns) / (double)expired : 0);
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static void put_head(struct page *page, const struct process *process, const struct sample *before,
                     const struct sample *now)
{
    put(page, "process %ld (%s), Skua %s: %" PRIu64 " workers, %" PRIu64 " pollers%s", process->pid, process->name,
        process->version, now->workers, now->pollers, page->seconds == 0 ? "; counted since the start" : "");
    put(page, "%s", "");
    put(page, "tasks     %s live   %s spawned   %s runs   %s stuck", short_number((double)now->tasks_live, "").text,
        RATE(tasks_spawned), RATE(task_runs), RATE(tasks_stuck));
    put(page, "queues    %s injected, %s taken from there   %s overflows", short_number((double)now->injected, "").text,
        RATE(tasks_injected), RATE(overflows));
    put(page, "stealing  %s steals   %s tasks   %s attempts", RATE(steals), RATE(tasks_stolen), RATE(steal_attempts));
    put(page, "          of these in a core %s   L2 %s   L3 %s   NUMA node %s   package %s   beyond %s   spares %s",
        RATE(steals_core), RATE(steals_l2), RATE(steals_l3), RATE(steals_numa), RATE(steals_package),
        RATE(steals_machine), RATE(steals_spare));
    put(page, "sleeping  %s parks   %s of these in a poller   %s wakes", RATE(parks), RATE(poller_parks), RATE(wakes));
    put(page, "events    %s while asleep   %s between tasks   %s by the guard", RATE(events_slept), RATE(events_looked),
        RATE(events_guard));
    put(page, "pollers   %s looks   %s looks by the guard", RATE(poller_looks), RATE(poller_looks_by_guard));
    put(page, "timers    %s expired   %s of these by the guard   late by %s, %s at most", RATE(timers_expired),
        RATE(timers_expired_by_guard), lateness(before, now).text, duration((double)now->timer_lateness_max_ns).text);
    put(page, "spares    %" PRIu64 " active   %" PRIu64 " made   %" PRIu64 " at most   %s begun", now->spares_active,
        now->spares_made, now->spares_max, RATE(spares_begun));
    put(page, "blocking  %s calls   %" PRIu64 " queued, %" PRIu64 " at most   %" PRIu64 " threads, %" PRIu64 " idle",
        RATE(blocking_calls), now->blocking_queued, now->blocking_queued_max, now->blocking_threads,
        now->blocking_idle);
    put(page, "memory    %s of tasks   %" PRIu64 " stacks", bytes(now->task_memory_bytes).text, now->stacks);
    put(page, "%s", "");
}

/* ---- the workers ------------------------------------------------------------------------------------------------- */

/* Awake without having begun a run: one task holds it. */
static const char *state_of(const struct page *page, const struct worker *before, const struct worker *now)
{
    return !now->is_awake                                                 ? "asleep"
           : page->seconds > 0 && before->task_runs == now->task_runs ? "held"
                                                                          : "awake";
}

/* The part of a processor that it has used. */
static void bar(const struct page *page, const struct worker *before, const struct worker *now, char *text, size_t size)
{
    double used = now->cpu_ns > before->cpu_ns ? (double)(now->cpu_ns - before->cpu_ns) / 1e9 : 0;
    if (page->seconds == 0) {
        snprintf(text, size, "%10.2f s", used);
        return;
    }
    double part = used / page->seconds < 1 ? used / page->seconds : 1;
    int full = (int)(part * (double)BAR_COLUMNS + 0.5);
    snprintf(text, size, "[%.*s%*s] %3.0f%%", full, "||||||||||||||||||||", BAR_COLUMNS - full, "", 100 * part);
}

static void put_worker(struct page *page, uint32_t regular, const struct worker *before, const struct worker *now)
{
    char name[16], used[64];
    snprintf(name, sizeof name, "%s%" PRIu64, now->is_spare ? "s" : "w",
             now->is_spare ? (now->index - regular) % 100000 : now->index % 100000);
    bar(page, before, now, used, sizeof used);
    put(page, "%-6s %-6s %s %7" PRIu64 " %9s %9s %9s %9s %9s", name, state_of(page, before, now), used, now->queued,
        RATE(task_runs), RATE(steals), RATE(parks), RATE(wakes), RATE(timers_expired));
}

static void put_workers(struct page *page, const struct sample *before, const struct sample *now, uint32_t first)
{
    static const struct worker none = { .is_spare = false };
    put(page, "%-6s %-6s %-*s %7s %9s %9s %9s %9s %9s", "worker", "state", page->seconds > 0 ? BAR_COLUMNS + 7 : 12,
        page->seconds > 0 ? "processor" : "   processor", "queued", "runs", "steals", "parks", "wakes", "timers");
    for (uint32_t i = first; i < now->nworkers; i++) {
        if (page->lines == 1 && i + 1 < now->nworkers) {
            put(page, "%" PRIu32 " more", now->nworkers - i);
            return;
        }
        put_worker(page, (uint32_t)now->workers, i < before->nworkers ? &before->of[i] : &none, &now->of[i]);
    }
}

void view_print(FILE *to, const struct process *process, const struct sample *sample)
{
    struct page page = { .to = to, .line_end = "\n", .columns = LINE_BYTES, .lines = INT32_MAX };
    const struct sample none = { .of = NULL };
    put_head(&page, process, &none, sample);
    put_workers(&page, &none, sample, 0);
}

void view_draw(FILE *to, const struct process *process, const struct sample *before, const struct sample *now,
               int columns, int lines, uint32_t first)
{
    struct page page = { .to = to, .line_end = "\x1b[K\n", .columns = columns, .lines = lines - 1 };
    page.seconds = now->now_ns > before->now_ns ? (double)(now->now_ns - before->now_ns) / 1e9 : 1;
    fprintf(to, "\x1b[H");
    put_head(&page, process, before, now);
    put_workers(&page, before, now, first);
    fprintf(to, "\x1b[J\x1b[%d;1H%.*s", lines, columns, "q: quit   up, down: other workers");
    fprintf(to, "\x1b[K");
}
