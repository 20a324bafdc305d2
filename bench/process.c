/* Benchmarks that are measured in a process of their own, by a driver: a program that runs one benchmark once and
 * prints its figures (README.md). So memory, collectors and threads of one measurement cannot disturb the next, every
 * runtime is measured the same way, and what starting a process takes is in no figure, since drivers time themselves.
 *
 * skua-bench-work is the driver for this project and for the floors. Those of other runtimes are named in the
 * environment: SKUA_BENCH_TOKIO and SKUA_BENCH_GO; without these there are no peers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness.h"

extern char **environ;

enum {
    LIMIT_MS = 120000, /* many times what any driver takes: it hangs */
    SELDOM = 3         /* slow benchmarks: every third round */
};

struct driver {
    const char *runtime; /* as reported */
    const char *program; /* NULL: there is none */
    int kind;            /* OURS, TOKIO, GO or FLOOR, below */
    int workers;         /* 0: the floor */
};

/* Starts argv, with its standard output coming out of *output. Returns 0 or an errno value. */
static int start(pid_t *pid, int *output, char *const *argv)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int rc = posix_spawn(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (rc != 0)
        close(ends[0]);
    else
        *output = ends[0];
    return rc;
}

/* Reads until the end. False: nothing came for too long, or too much. */
static bool read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    for (;;) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int ready = poll(&poll_fd, 1, LIMIT_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        ssize_t n = ready > 0 ? read(fd, text + length, size - 1 - length) : -1;
        if (n <= 0) {
            text[length] = '\0';
            return n == 0 && length < size - 1;
        }
        length += (size_t)n;
    }
}

/* Lines `FIGURE VALUE UNIT`. False: something else, or no main figure. */
static bool take_figures(struct bench_state *state, char *text)
{
    bool has_main = false;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char figure[32], unit[32];
        double value;
        if (sscanf(line, "%31s %lf %31s", figure, &value, unit) != 3)
            return false;
        has_main = has_main || strcmp(figure, "-") == 0;
        bench_figure(state, figure, value, unit);
    }
    return has_main;
}

static void run(struct bench_state *state)
{
    const struct driver *driver = bench_context(state);
    char name[64], workers[16], seconds[16], text[4096];
    snprintf(name, sizeof name, "%s", bench_name(state));
    snprintf(workers, sizeof workers, "%d", driver->workers);
    snprintf(seconds, sizeof seconds, "%d", bench_is_quick(state) ? 2 : 10);
    char program[4096];
    snprintf(program, sizeof program, "%s", driver->program);
    char *argv[] = { program, name, workers, seconds, NULL };
    pid_t pid;
    int output = -1, status = 0;
    int rc = start(&pid, &output, argv);
    if (rc != 0) {
        bench_fail(state, strerror(rc));
        return;
    }
    bool ended = read_all(output, text, sizeof text);
    close(output);
    if (!ended)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!ended)
        bench_fail(state, "its process did not end in time");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        bench_fail(state, "its process failed");
    else if (!take_figures(state, text))
        bench_fail(state, "its process printed something else than figures");
}

/* ---- the benchmarks ------------------------------------------------------------------------------------------ */

/* On how many workers (MANY: 8), and on what. Tokio's tasks have no stacks whose memory could be compared. */
enum { ONE = 1, TWO = 2, MANY = 4, OURS = 8, FLOOR = 16, TOKIO = 32, GO = 64, PEERS = TOKIO | GO, ALL = OURS | PEERS };

static const struct {
    const char *name;
    int on;
    int every;
} works[] = {
    { "spawn_many", ONE | TWO | ALL | FLOOR, 0 },
    { "spawn_many_cold", ONE | TWO | ALL | FLOOR, 0 },
    { "spawn_await", ONE | TWO | ALL | FLOOR, 0 },
    { "chained_spawn", ONE | TWO | ALL | FLOOR, 0 },
    { "yield_many", ONE | TWO | ALL | FLOOR, 0 },
    { "fiber_switch", TWO | OURS | FLOOR, 0 },
    { "fiber_switch_modes", FLOOR, 0 },
    { "fiber_spawn", ONE | TWO | ALL, 0 },
    { "fiber_yield_many", ONE | TWO | ALL | FLOOR, 0 },
    { "fiber_yield_two", ONE | TWO | ALL, 0 },
    { "pingpong", ONE | TWO | ALL, 0 },
    { "fiber_pingpong", ONE | TWO | ALL, 0 },
    { "sleepers", ONE | TWO | ALL, 0 },
    { "memory/future", TWO | ALL, SELDOM },
    { "memory/join", TWO | ALL, SELDOM },
    { "memory/fiber", TWO | OURS | GO, SELDOM },
    { "idle", MANY | ALL, SELDOM },
};

static bool fits(const struct driver *driver, int on)
{
    int workers = driver->workers == 1 ? ONE : driver->workers == 2 ? TWO : MANY;
    return driver->program != NULL && (on & driver->kind) != 0 && (driver->kind == FLOOR || (on & workers) != 0);
}

BENCH_FILE
{
    const char *tokio = getenv("SKUA_BENCH_TOKIO"), *go = getenv("SKUA_BENCH_GO");
    static struct driver drivers[10];
    const struct driver known[] = {
        { BENCH_OURS "@1", BENCH_WORK, OURS, 1 }, { "tokio@1", tokio, TOKIO, 1 }, { "go@1", go, GO, 1 },
        { BENCH_OURS "@2", BENCH_WORK, OURS, 2 }, { "tokio@2", tokio, TOKIO, 2 }, { "go@2", go, GO, 2 },
        { BENCH_OURS "@8", BENCH_WORK, OURS, 8 }, { "tokio@8", tokio, TOKIO, 8 }, { "go@8", go, GO, 8 },
        { BENCH_FLOOR, BENCH_WORK, FLOOR, 0 },
    };
    _Static_assert(sizeof known == sizeof drivers, "a place for each");
    memcpy(drivers, known, sizeof drivers);
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++)
        for (size_t j = 0; j < sizeof drivers / sizeof drivers[0]; j++)
            if (fits(&drivers[j], works[i].on))
                bench_register(&(struct bench){
                    .name = works[i].name,
                    .runtime = drivers[j].runtime,
                    .run = run,
                    .context = &drivers[j],
                    .gives_figures = true,
                    .every = works[i].every,
                });
}
