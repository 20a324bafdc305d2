/* skua-top: what a live process of Skua does, once a second, or once. How it says so: skua/monitor.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "process.h"
#include "sample.h"
#include "terminal.h"
#include "view.h"

static const char usage[] =
    "usage: skua-top [--once] [--json] [--interval SECONDS] [PID | PATH]\n"
    "What a live process does that uses Skua and was started with SKUA_MONITOR=1 (its number is enough then), or with\n"
    "SKUA_MONITOR=PATH. Without either: the only such process of yours.\n"
    "  --once              print what was counted since the start, and end\n"
    "  --json              likewise, as one line of JSON\n"
    "  --interval SECONDS  between two looks, 0.1 to 3600; 1\n"
    "Keys: q ends it, up and down (k and j) show other workers.\n";

struct options {
    bool once, json;
    uint64_t interval_ns;
    const char *target;
};

/* ---- once -------------------------------------------------------------------------------------------------------- */

struct json {
    const char *separator;
};

static void put_pair(void *context, const char *name, size_t name_length, const char *value, size_t value_length)
{
    struct json *json = context;
    bool is_number = value_length > 0 && strspn(value, "0123456789") == value_length;
    const char *quote = is_number ? "" : "\"";
    printf("%s\"%.*s\": %s%.*s%s", json->separator, (int)name_length, name, quote, (int)value_length, value, quote);
    json->separator = ", ";
}

/* Whatever pairs there are: what this program does not know as well. */
static bool print_json(struct process *process)
{
    const char *line, *separator = "";
    printf("{\"pid\": %ld, \"version\": \"%s\"", process->pid, process->version);
    bool in_workers = false;
    while ((line = process_wait_line(process)) != NULL && strcmp(line, "end") != 0) {
        struct json json = { .separator = "" };
        bool is_worker = strncmp(line, "worker ", 7) == 0;
        if (is_worker)
            printf("%s{", in_workers ? separator : ", \"workers\": [");
        else if (!in_workers)
            printf(", \"%.*s\": {", (int)strcspn(line, " "), line);
        else
            continue; /* none comes behind the workers in this version */
        sample_each_pair(line, put_pair, &json);
        printf("}");
        in_workers |= is_worker;
        separator = ", ";
    }
    printf("%s}\n", in_workers ? "]" : "");
    return line != NULL;
}

static bool take_sample(struct process *process, struct sample *sample)
{
    const char *line;
    while ((line = process_wait_line(process)) != NULL && strcmp(line, "end") != 0)
        if (!sample_add_line(sample, line))
            return false;
    return line != NULL;
}

static int look_once(struct process *process, bool as_json)
{
    struct sample sample = { .of = NULL };
    bool is_whole = process_ask(process) && (as_json ? print_json(process) : take_sample(process, &sample));
    if (!is_whole)
        process_say_ended(process);
    else if (!as_json)
        view_print(stdout, process, &sample);
    sample_free(&sample);
    return is_whole && fflush(stdout) == 0 ? 0 : 1;
}

/* ---- again and again --------------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct look {
    struct process *process;
    struct sample before, now, next; /* next: under way */
    bool is_asked;                   /* an answer is under way */
    int answers;
    uint64_t interval_ns, ask_at_ns;
    uint32_t first;                  /* the worker at the top */
};

static void draw(struct look *look)
{
    int columns, lines;
    if (look->answers < 2) /* rates need two */
        return;
    terminal_size(&columns, &lines);
    view_draw(stdout, look->process, &look->before, &look->now, columns, lines, look->first);
    fflush(stdout);
}

/* What has come. False: there is no memory. */
static bool take_lines(struct look *look)
{
    const char *line;
    while ((line = process_line(look->process)) != NULL) {
        if (strcmp(line, "end") != 0) {
            if (!sample_add_line(&look->next, line))
                return false;
            continue;
        }
        sample_swap(&look->before, &look->now);
        sample_swap(&look->now, &look->next);
        sample_clear(&look->next);
        look->is_asked = false;
        look->answers++;
        draw(look);
    }
    return true;
}

/* The first look is followed by the second soon, so that there is something to see. */
static bool ask_if_due(struct look *look)
{
    uint64_t now = now_ns(), soon_ns = 100000000;
    if (look->is_asked || now < look->ask_at_ns)
        return true;
    look->ask_at_ns = now + (look->answers == 0 && look->interval_ns > soon_ns ? soon_ns : look->interval_ns);
    look->is_asked = true;
    return process_ask(look->process);
}

/* False: it is to end. */
static bool take_keys(struct look *look)
{
    for (;;) {
        switch (terminal_key()) {
        case KEY_NONE:
            return true;
        case KEY_QUIT:
        case KEY_GONE:
            return false;
        case KEY_UP:
            look->first -= look->first > 0;
            break;
        case KEY_DOWN:
            look->first += look->first + 1 < look->now.nworkers;
            break;
        }
        draw(look);
    }
}

enum outcome { GOES_ON, QUITS, HAS_ENDED };

static enum outcome turn(struct look *look)
{
    if (!ask_if_due(look))
        return HAS_ENDED;
    uint64_t now = now_ns(), wait_ns = look->ask_at_ns > now ? look->ask_at_ns - now : 0;
    struct timespec wait = { (time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000) };
    struct pollfd polled[] = { { .fd = look->process->fd, .events = POLLIN },
                               { .fd = STDIN_FILENO, .events = POLLIN } };
    int rc = ppoll(polled, 2, look->is_asked ? NULL : &wait, terminal_mask());
    struct terminal_news news = terminal_news();
    if (news.ends || (rc < 0 && errno != EINTR))
        return QUITS;
    if (news.changes)
        draw(look);
    if (rc <= 0)
        return GOES_ON;
    if (polled[1].revents != 0 && !take_keys(look))
        return QUITS;
    if (polled[0].revents != 0 && (!process_read(look->process) || !take_lines(look)))
        return HAS_ENDED;
    return GOES_ON;
}

static int look_on(struct process *process, uint64_t interval_ns)
{
    struct look look = { .process = process, .interval_ns = interval_ns };
    enum outcome outcome;
    if (!terminal_enter()) {
        fprintf(stderr, "skua-top: this is no terminal: --once and --json need none\n");
        return 1;
    }
    while ((outcome = turn(&look)) == GOES_ON)
        ;
    terminal_leave();
    if (outcome == HAS_ENDED)
        process_say_ended(process);
    sample_free(&look.before);
    sample_free(&look.now);
    sample_free(&look.next);
    return 0;
}

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

static bool parse_interval(const char *text, uint64_t *interval_ns)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0.1 && seconds <= 3600))
        return false;
    *interval_ns = (uint64_t)(seconds * 1e9);
    return true;
}

/* Returns -1: go on; else how to end. */
static int parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *interval = NULL;
        if (strcmp(argv[i], "--help") == 0)
            return printf("%s", usage) < 0;
        if (strcmp(argv[i], "--version") == 0)
            return printf("skua-top %s\n", SKUA_TOP_VERSION) < 0;
        if (strcmp(argv[i], "--once") == 0) {
            options->once = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if ((strcmp(argv[i], "--interval") == 0 && (interval = i + 1 < argc ? argv[++i] : "") != NULL) ||
                   (strncmp(argv[i], "--interval=", 11) == 0 && (interval = argv[i] + 11) != NULL)) {
            if (!parse_interval(interval, &options->interval_ns)) {
                fprintf(stderr, "skua-top: --interval \"%s\": give seconds from 0.1 to 3600\n", interval);
                return 2;
            }
        } else if (argv[i][0] != '-' && options->target == NULL) {
            options->target = argv[i];
        } else {
            fprintf(stderr, "%s", usage);
            return 2;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct options options = { .interval_ns = 1000000000 };
    struct process process;
    int rc = parse(argc, argv, &options);
    if (rc >= 0)
        return rc;
    if (!process_open(&process, options.target))
        return 1;
    rc = options.once || options.json ? look_once(&process, options.json) : look_on(&process, options.interval_ns);
    process_close(&process);
    return rc;
}
