/* The checker's driver: the three ways to search, what a failure prints, the command line. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model/mc_internal.h"

enum { DEFAULT_BOUND = 2, DEFAULT_STEPS = 4000, DEFAULT_RANDOM = 5000, MOST_STEPS = 60000 };
static const long DEFAULT_EXECUTIONS = 1000000;

static struct {
    const char *program;
    const char *test;
    const char *replay;
    int bound;     /* -1: the test's */
    long random;   /* -1: the test's */
    uint64_t seed;
    bool list;
} options = {.bound = -1, .random = -1, .seed = 1};

static struct mc_test *tests, **tests_end = &tests;

void mc_register(struct mc_test *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

/* ---- the step log ---- */

static const char *short_place(const char *where)
{
    const char *slash = strrchr(where, '/');
    while (slash != NULL && slash > where && slash[-1] != '/')
        slash--; /* with its folder */
    return slash == NULL ? where : slash;
}

void mc_log(const char *what, const char *format, ...)
{
    if (!mc.logging)
        return;
    va_list args;
    char text[160];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (mc.steps >= mc.log_gap_first && mc.steps < mc.log_gap_end) {
        if (mc.steps == mc.log_gap_first && !mc.log_gap_told)
            printf("   ...  steps %u to %u are in the log of the replay\n", mc.log_gap_first, mc.log_gap_end - 1);
        mc.log_gap_told = true;
        return;
    }
    printf("  %4u  %*s%u:%-14.14s %-9s %-58s %s\n", mc.steps, (int)(mc.current * 2), "", mc.current, mc_me()->name,
           what, text, short_place(mc.where));
}

void mc_note(const char *format, ...)
{
    if (!mc.logging)
        return;
    va_list args;
    char text[160];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mc_log("note", "%s", text);
}

void mc_name(const void *address, const char *format, ...)
{
    if (!mc.logging || mc.names == MC_NAMES)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(mc.name[mc.names].text, sizeof mc.name[0].text, format, args);
    va_end(args);
    mc.name[mc.names++].address = address;
}

const char *mc_name_of(const void *address)
{
    static char texts[4][24]; /* a message may name several */
    static unsigned next;
    for (unsigned i = mc.names; i-- > 0;)
        if (mc.name[i].address == address)
            return mc.name[i].text;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof texts[0], "%p", address);
    return text;
}

void mc_fail_at(const char *where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int used = vsnprintf(mc.failure, sizeof mc.failure, format, args);
    va_end(args);
    if (where[0] != 0 && used >= 0 && (size_t)used < sizeof mc.failure)
        snprintf(mc.failure + used, sizeof mc.failure - (size_t)used, ", at %s", short_place(where));
    mc_log("FAIL", "%s", mc.failure);
    mc_abandon();
}

/* ---- trails as text: the preemption bound, that of stale loads, a digit per choice. Trailing zeros are left
 * out; 1.20. is twenty ones, _40_ a choice above 35. ---- */

static void print_trail(void)
{
    unsigned end = mc.trail_length;
    while (end > 0 && mc.trail[end - 1].choice == 0)
        end--;
    printf("%d.%d:", mc.bound, mc.stale_bound);
    for (unsigned i = 0, run; i < end; i += run) {
        unsigned choice = mc.trail[i].choice;
        for (run = 1; i + run < end && mc.trail[i + run].choice == choice;)
            run++;
        if (run < 5)
            run = 1;
        if (choice < 36)
            putchar("0123456789abcdefghijklmnopqrstuvwxyz"[choice]);
        else
            printf("_%u_", choice);
        if (run > 1)
            printf(".%u.", run);
    }
}

/* A number between two `mark`s, the first at *text, which is moved to the second. */
static bool parse_marked(const char **text, char mark, unsigned long *number)
{
    char *end;
    *number = strtoul(*text + 1, &end, 10);
    *text = end;
    return *end == mark;
}

static bool parse_trail(const char *text)
{
    int used = 0;
    mc.trail_length = 0;
    if (sscanf(text, "%d.%d:%n", &mc.bound, &mc.stale_bound, &used) != 2 || used == 0)
        return false;
    unsigned long choice = 0;
    for (const char *p = text + used; *p != 0; p++) {
        unsigned long times = 1;
        if (*p >= '0' && *p <= '9')
            choice = (unsigned long)(*p - '0');
        else if (*p >= 'a' && *p <= 'z')
            choice = (unsigned long)(*p - 'a') + 10;
        else if (*p == '_' && !parse_marked(&p, '_', &choice))
            return false;
        else if (*p == '.' && !(parse_marked(&p, '.', &times) && times-- > 0)) /* one has been read already */
            return false;
        else if (strchr("_.", *p) == NULL)
            return false;
        if (choice > 254 || times > MC_TRAIL - mc.trail_length)
            return false;
        for (; times > 0; times--)
            mc.trail[mc.trail_length++] = (struct mc_choice){.choice = (uint8_t)choice};
    }
    return true;
}

/* ---- failures ---- */

enum { LOG_HEAD = 150, LOG_TAIL = 150 };

/* Of a long one (`steps` is known) only the head and the tail. */
static void replay_logged(unsigned steps)
{
    mc.log_gap_first = LOG_HEAD;
    mc.log_gap_end = steps > LOG_HEAD + LOG_TAIL ? steps - LOG_TAIL : 0;
    mc.log_gap_told = false;
    mc.mode = MC_REPLAY;
    mc.logging = true;
    mc_execute();
    mc.logging = false;
}

static void report_failure(const char *mode, long executions, uint64_t seed)
{
    char failure[sizeof mc.failure];
    memcpy(failure, mc.failure, sizeof failure);
    printf("FAIL  %s: the execution\n", mc.test->name);
    replay_logged(mc.steps);
    printf("FAIL  %s: %s\n", mc.test->name, mc.failure[0] != 0 ? mc.failure : failure); /* the replay's has names */
    printf("      %s, execution %ld, seed %" PRIu64 "\n", mode, executions, seed);
    printf("      replay: %s --test %s --replay ", options.program, mc.test->name);
    print_trail();
    printf("\n");
    if (mc.failure[0] == 0)
        printf("      The replay does not fail: the test keeps state from one execution to the next.\n");
}

/* What an execution's end means for the search. */
enum verdict { GO_ON, FOUND, FAILED };

static enum verdict judge(const char *mode, long executions, uint64_t seed)
{
    if (mc.longest < mc.steps)
        mc.longest = mc.steps;
    if (mc.failure[0] == 0)
        return GO_ON;
    if (mc.test->must_fail != NULL && strstr(mc.failure, mc.test->must_fail) != NULL)
        return FOUND;
    report_failure(mode, executions, seed);
    if (mc.test->must_fail != NULL)
        printf("      The expected failure is another one: %s\n", mc.test->must_fail);
    return FAILED;
}

/* ---- searches ---- */

struct result {
    long executions, random;
    bool exhausted;
    enum verdict verdict;
};

/* To the next trail: the last choice that has another value. False: there is none. */
static bool advance(void)
{
    unsigned length = mc.trail_length;
    while (length > 0 && mc.trail[length - 1].choice + 1u >= mc.trail[length - 1].width)
        length--;
    mc.trail_length = length;
    if (length == 0)
        return false;
    mc.trail[length - 1].choice++;
    return true;
}

static void search_depth_first(struct result *result)
{
    long most = mc.test->max_executions != 0 ? mc.test->max_executions : DEFAULT_EXECUTIONS;
    mc.mode = MC_DEPTH_FIRST;
    mc.trail_length = 0;
    mc.bound = options.bound >= 0 ? options.bound : mc.test->bound != 0 ? mc.test->bound : DEFAULT_BOUND;
    mc.stale_bound = mc.test->stale != 0 ? mc.test->stale : MC_UNBOUNDED;
    while (result->executions < most) {
        mc_execute();
        result->executions++;
        result->verdict = judge("depth first", result->executions, 0);
        if (result->verdict != GO_ON)
            return;
        if (!advance()) {
            result->exhausted = true;
            return;
        }
    }
}

static uint64_t mix(uint64_t seed) /* splitmix64, Steele et al.: neighbouring seeds give unrelated runs */
{
    seed += UINT64_C(0x9e3779b97f4a7c15);
    seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
    seed ^= seed >> 31;
    return seed != 0 ? seed : 1;
}

static void search_random(struct result *result)
{
    long runs = options.random >= 0 ? options.random : mc.test->random != 0 ? mc.test->random : DEFAULT_RANDOM;
    mc.bound = mc.stale_bound = MC_UNBOUNDED;
    for (long i = 0; i < runs; i++) {
        uint64_t seed = options.seed + (uint64_t)i;
        for (int kind = 0; kind < 2; kind++) {
            mc.mode = kind == 0 ? MC_RANDOM : MC_PRIORITIES;
            mc.random = mix(seed);
            mc.trail_length = 0;
            for (int k = 0; k < MC_CHANGES; k++)
                mc.changes[k] = 1 + mc_random(mc.longest + 1);
            mc_execute();
            result->random++;
            result->verdict = judge(kind == 0 ? "random" : "random priorities", result->random, seed);
            if (result->verdict != GO_ON)
                return;
        }
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void begin(const struct mc_test *test)
{
    mc.test = test;
    mc.cut = false;
    mc.longest = 0;
    mc.max_steps = test->max_steps != 0 ? test->max_steps : DEFAULT_STEPS;
    if (mc.max_steps > MOST_STEPS)
        mc.max_steps = MOST_STEPS; /* a clock has 16 bits */
}

static bool check(const struct mc_test *test)
{
    struct result result = {.verdict = GO_ON};
    double start = seconds();
    begin(test);
    search_depth_first(&result);
    bool cut = mc.cut;
    int bound = mc.bound;
    if (result.verdict == GO_ON && !(result.exhausted && !cut))
        search_random(&result);
    double took = seconds() - start;
    if (result.verdict == FAILED)
        return false;
    char depth[64] = "everything";
    if (!result.exhausted)
        snprintf(depth, sizeof depth, "NOT exhausted at bound %d", bound);
    else if (cut)
        snprintf(depth, sizeof depth, "exhausted at bound %d", bound);
    if (test->must_fail != NULL && result.verdict != FOUND) {
        printf("FAIL  %s: \"%s\" was not found: %ld executions (%s), %ld random\n", test->name, test->must_fail,
               result.executions, depth, result.random);
        return false;
    }
    if (result.verdict == FOUND)
        printf("ok    %-36s found in %s %ld: %s\n", test->name, result.random != 0 ? "random run" : "execution",
               result.random != 0 ? result.random : result.executions, mc.failure);
    else
        printf("ok    %-36s %8ld executions, %s; %ld random; %.2f s\n", test->name, result.executions, depth,
               result.random, took);
    return true;
}

static int replay(const struct mc_test *test)
{
    begin(test);
    if (!parse_trail(options.replay)) {
        fprintf(stderr, "not a trail: %s\n", options.replay);
        return 2;
    }
    printf("%s\n", test->name);
    replay_logged(0);
    printf("%s\n", mc.failure[0] != 0 ? mc.failure : "no failure");
    return mc.failure[0] != 0;
}

/* ---- the command line ---- */

static int usage(void)
{
    fprintf(stderr,
            "%s [--test NAME] [--bound PREEMPTIONS] [--random RUNS] [--seed FIRST] [--replay TRAIL] [--list]\n",
            options.program);
    return 2;
}

static bool parse_options(int argc, char **argv)
{
    options.program = argv[0];
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--list") == 0) {
            options.list = true;
            continue;
        }
        if (i + 1 == argc)
            return false;
        const char *value = argv[++i];
        if (strcmp(name, "--test") == 0)
            options.test = value;
        else if (strcmp(name, "--bound") == 0)
            options.bound = atoi(value);
        else if (strcmp(name, "--random") == 0)
            options.random = atol(value);
        else if (strcmp(name, "--seed") == 0)
            options.seed = strtoull(value, NULL, 0);
        else if (strcmp(name, "--replay") == 0)
            options.replay = value;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!parse_options(argc, argv) || (options.replay != NULL && options.test == NULL))
        return usage();
    int run = 0, failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (const struct mc_test *test = tests; test != NULL; test = test->next) {
        if (options.test != NULL && strcmp(options.test, test->name) != 0)
            continue;
        run++;
        if (options.list)
            puts(test->name);
        else if (options.replay != NULL)
            return replay(test);
        else
            failed += !check(test);
    }
    if (run == 0) {
        fprintf(stderr, "no such test\n");
        return 2;
    }
    return failed != 0;
}
