/* Benchmarks that are measured in a process of their own, by a driver: a program that runs one benchmark once and
 * prints its figures (README.md). So memory, collectors and threads of one measurement cannot disturb the next, every
 * runtime is measured the same way, and what starting a process takes is in no figure, since drivers time themselves.
 *
 * skua-bench-work is the driver for this project, for the floors and for what is serial. Those of other runtimes are
 * named in the environment: SKUA_BENCH_TOKIO, _GO, _TBB, _OPENMP, _RAYON, _LIBUV, _NODE, _HYPER, _FASTHTTP, _NGINX and
 * _REDIS; without these there are no peers. Servers are measured by skua-bench-load, which starts the driver as its
 * server.
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
    int kind;            /* OURS, FLOOR, TOKIO, …, below */
    int workers;         /* 0: has none */
    const char *variant; /* stands behind the benchmark's name, for the program; or NULL */
};

struct child {
    pid_t pid;
    int output;
    char text[4096];
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
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
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

/* Lines `FIGURE VALUE UNIT`. False: something else, or nothing. */
static bool take_figures(struct bench_state *state, char *text)
{
    bool has_any = false;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char figure[32], unit[32];
        double value;
        if (sscanf(line, "%31s %lf %31s", figure, &value, unit) != 3)
            return false;
        has_any = true;
        bench_figure(state, figure, value, unit);
    }
    return has_any;
}

/* What each of two took at once per operation, halved: what the machine takes. */
static bool take_twins(struct bench_state *state, const struct child twins[2])
{
    double wall[2], cpu[2];
    for (int i = 0; i < 2; i++)
        if (sscanf(twins[i].text, "- %lf ns/op cpu %lf ns/op", &wall[i], &cpu[i]) != 2)
            return false;
    bench_figure(state, "-", (wall[0] + wall[1]) / 4, "ns/op");
    bench_figure(state, "cpu", (cpu[0] + cpu[1]) / 2, "ns/op");
    return true;
}

/* Returns 0 or an errno value. */
static int start_driver(struct child *child, const struct bench_state *state, const struct driver *driver)
{
    char program[4096], name[64], workers[16], seconds[16];
    snprintf(program, sizeof program, "%s", driver->program);
    snprintf(name, sizeof name, "%s%s", bench_name(state), driver->variant != NULL ? driver->variant : "");
    snprintf(workers, sizeof workers, "%d", driver->workers);
    snprintf(seconds, sizeof seconds, "%d", bench_is_quick(state) ? 2 : 10);
    char *argv[] = {program, name, workers, seconds, NULL};
    return start(&child->pid, &child->output, argv);
}

/* The same for the generator with the driver as its server. `rate`: of messages, for open loops. */
static int start_load(struct child *child, const char *bench, bool quick, double rate, const struct driver *driver)
{
    char load[] = BENCH_LOAD, program[4096], name[64], variant[32], workers[16], seconds[16], rate_text[32];
    snprintf(program, sizeof program, "%s", driver->program);
    snprintf(name, sizeof name, "%s", bench);
    snprintf(variant, sizeof variant, "%s", driver->variant != NULL ? driver->variant : "");
    snprintf(workers, sizeof workers, "%d", driver->workers);
    snprintf(seconds, sizeof seconds, "%d", quick ? 2 : 10);
    snprintf(rate_text, sizeof rate_text, "%.0f", rate);
    char *argv[] = {load, name, workers, seconds, rate_text, program, variant, NULL};
    return start(&child->pid, &child->output, argv);
}

/* Waits for its end. Returns what went wrong, or NULL. */
static const char *finish(struct child *child)
{
    bool ended = read_all(child->output, child->text, sizeof child->text);
    int status = 0;
    close(child->output);
    if (!ended)
        kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!ended)
        return "its process did not end in time";
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? NULL : "its process failed";
}

static void run_processes(struct bench_state *state, int count)
{
    struct child children[2];
    const char *wrong = NULL;
    int started = 0;
    while (started < count && wrong == NULL) {
        int rc = start_driver(&children[started], state, bench_context(state));
        if (rc == 0)
            started++;
        else
            wrong = strerror(rc);
    }
    for (int i = 0; i < started; i++) {
        const char *why = finish(&children[i]);
        wrong = why != NULL ? why : wrong;
    }
    if (wrong == NULL && !(count == 2 ? take_twins(state, children) : take_figures(state, children[0].text)))
        wrong = "its process printed something else than figures";
    if (wrong != NULL)
        bench_fail(state, wrong);
}

/* What the bare loop does of echo_50 per second: the median of three. 0: it could not be measured. */
static double bare_capacity(bool quick)
{
    static const struct driver bare = {BENCH_FLOOR, BENCH_WORK, 0, 0, NULL};
    static double capacity;
    double found[3] = {0};
    for (int i = 0; i < 3 && capacity <= 0; i++) {
        struct child child;
        double ns;
        if (start_load(&child, "echo_50", quick, 0, &bare) != 0 || finish(&child) != NULL ||
            sscanf(child.text, "- %lf", &ns) != 1)
            return 0;
        found[i] = 1e9 / ns;
    }
    if (capacity <= 0) {
        double low = found[0] < found[1] ? found[0] : found[1], high = found[0] < found[1] ? found[1] : found[0];
        capacity = found[2] < low ? low : found[2] > high ? high : found[2];
        printf("the bare loop does %.0f requests per second, of which open loops take parts\n", capacity);
    }
    return capacity;
}

static void run_load(struct bench_state *state)
{
    struct child child;
    bool quick = bench_is_quick(state), open = strncmp(bench_name(state), "echo_open", 9) == 0;
    double rate = open ? bare_capacity(quick) : 0;
    int rc = open && rate <= 0 ? EIO : start_load(&child, bench_name(state), quick, rate, bench_context(state));
    const char *wrong = rc != 0 ? strerror(rc) : finish(&child);
    if (wrong == NULL && !take_figures(state, child.text))
        wrong = "its process printed something else than figures";
    if (wrong != NULL)
        bench_fail(state, wrong);
}

static void run(struct bench_state *state) { run_processes(state, 1); }
static void run_twins(struct bench_state *state) { run_processes(state, 2); }

/* ---- the benchmarks ------------------------------------------------------------------------------------------ */

/* On how many workers (MANY: 8), and on what. Tokio's tasks have no stacks whose memory could be compared. */
enum {
    ONE = 1 << 0,
    TWO = 1 << 1,
    MANY = 1 << 2,
    OURS = 1 << 3,
    FLOOR = 1 << 4,
    TOKIO = 1 << 5,
    GO = 1 << 6,
    SERIAL = 1 << 7,
    TWIN = 1 << 8,
    TBB = 1 << 9,
    STD = 1 << 10, /* serial, of the C++ library */
    OPENMP = 1 << 11,
    GUIDED = 1 << 12, /* OpenMP with another schedule */
    RAYON = 1 << 13,
    FULL = 1 << 14,          /* not with --quick */
    SIM = 1 << 15,           /* ours, on simulated machines of each size */
    ASYNC_CHANNEL = 1 << 16, /* another crate's channels on tokio */
    FIBERS = 1 << 17,        /* ours, with fibers for what OURS does with futures */
    LOAD = 1 << 18,          /* measured from outside, by skua-bench-load */
    LIBUV = 1 << 19,
    NODE = 1 << 20,
    READ_WRITE = 1 << 21, /* bare, through memory and not by splice */
    HYPER = 1 << 22,
    FASTHTTP = 1 << 23,
    NGINX = 1 << 24,
    REDIS = 1 << 25,
    PEERS = TOKIO | GO,
    ALL = OURS | PEERS,
    FORKS = OURS | SERIAL | TBB | OPENMP | RAYON,
    LOOPS = OURS | SERIAL | TBB | OPENMP | GUIDED | RAYON,
    SERVERS = LOAD | OURS | FIBERS | PEERS | LIBUV | NODE | FLOOR,
    WEB = LOAD | OURS | GO | HYPER | FASTHTTP | NGINX
};

static const struct {
    const char *name;
    int on;
    int every;
} works[] = {
    {"spawn_many", ONE | TWO | ALL | FLOOR, 0},
    {"spawn_many_cold", ONE | TWO | ALL | FLOOR, 0},
    {"spawn_await", ONE | TWO | ALL | FLOOR, 0},
    {"chained_spawn", ONE | TWO | ALL | FLOOR, 0},
    {"group_1000", ONE | TWO | ALL, 0},
    {"fiber_group_1000", ONE | TWO | ALL, 0},
    {"group_collect_1000", ONE | TWO | ALL, 0},
    {"yield_many", ONE | TWO | ALL | FLOOR, 0},
    {"fiber_switch", TWO | OURS | FLOOR, 0},
    {"fiber_switch_modes", FLOOR, 0},
    {"fiber_spawn", ONE | TWO | ALL, 0},
    {"fiber_yield_many", ONE | TWO | ALL | FLOOR, 0},
    {"fiber_yield_two", ONE | TWO | ALL, 0},
    {"pingpong", ONE | TWO | ALL, 0},
    {"fiber_pingpong", ONE | TWO | ALL, 0},
    {"sleepers", ONE | TWO | ALL, 0},
    {"memory/future", TWO | ALL, SELDOM},
    {"memory/join", TWO | ALL, SELDOM},
    {"memory/fiber", TWO | OURS | GO, SELDOM},
    {"idle", MANY | ALL, SELDOM},
    {"fib", ONE | TWO | FORKS | GO | TWIN, 0},
    {"fib_compute", ONE | TWO | OURS | SERIAL | TWIN, 0},
    {"skynet", ONE | TWO | FORKS | GO | TWIN, 0},
    {"skynet_100m", ONE | TWO | OURS | SERIAL | RAYON | FULL, SELDOM},
    {"nqueens", ONE | TWO | FORKS | GO | TWIN, 0},
    {"tree_sum", ONE | TWO | FORKS | TWIN, 0},
    {"tree_sum_small", ONE | TWO | FORKS | GO, 0},
    {"matmul", ONE | TWO | OURS | SERIAL | TBB | OPENMP, 0},
    {"matmul_2048", ONE | TWO | OURS | SERIAL | TBB | OPENMP | FULL, SELDOM},
    {"bursts", ONE | TWO | FORKS | GO, 0},
    {"mixed_latency", ONE | TWO | ALL, SELDOM},
    {"hogs_latency", ONE | TWO | OURS | GO, SELDOM}, /* on tokio nothing else would run */
    {"parallel_for_1ns", ONE | TWO | LOOPS, 0},
    {"parallel_for_10ns", ONE | TWO | LOOPS, 0},
    {"parallel_for_100ns", ONE | TWO | LOOPS, 0},
    {"parallel_for_1us", ONE | TWO | LOOPS, 0},
    {"parallel_for_short_1ns", ONE | TWO | LOOPS, 0},
    {"parallel_for_short_10ns", ONE | TWO | LOOPS, 0},
    {"parallel_for_short_100ns", ONE | TWO | LOOPS, 0},
    {"parallel_for_short_1us", ONE | TWO | LOOPS, 0},
    {"reduce", ONE | TWO | FORKS, 0},
    {"reduce_double", ONE | TWO | FORKS, 0},
    {"sort_uniform", ONE | TWO | OURS | STD | TBB | RAYON, SELDOM},
    {"sort_sorted", ONE | TWO | OURS | STD | TBB | RAYON, SELDOM},
    {"sort_few", ONE | TWO | OURS | STD | TBB | RAYON, SELDOM},
    {"ping_pong", ONE | TWO | FIBERS | ALL | ASYNC_CHANNEL, 0},
    {"ping_pong_1000", ONE | TWO | FIBERS | ALL | ASYNC_CHANNEL, 0},
    {"chan_1_1_128", ONE | TWO | FIBERS | ALL | ASYNC_CHANNEL, 0},
    {"chan_4_4_128", ONE | TWO | FIBERS | OURS | GO | ASYNC_CHANNEL, 0},
    {"chan_4_1_unbounded", ONE | TWO | FIBERS | OURS | TOKIO | ASYNC_CHANNEL, 0},
    {"chan_foreign", ONE | TWO | FIBERS | OURS | TOKIO | ASYNC_CHANNEL, 0},
    {"select_4", ONE | TWO | FIBERS | ALL | ASYNC_CHANNEL, 0},
    {"oneshot", ONE | TWO | FIBERS | ALL, 0},
    {"broadcast_1_64", ONE | TWO | FIBERS | ALL, 0},
    {"mutex_100", ONE | TWO | FIBERS | ALL, 0},
    {"mutex_uncontended", ONE | TWO | FIBERS | ALL | FLOOR, 0},
    {"rwlock_read", ONE | TWO | FIBERS | ALL, 0},
    {"semaphore", ONE | TWO | FIBERS | ALL, 0},
    {"echo_1", ONE | SERVERS, SELDOM},
    {"echo_50", ONE | SERVERS, SELDOM},
    {"echo_500", ONE | SERVERS, SELDOM},
    {"echo_open_50", ONE | SERVERS, SELDOM},
    {"echo_open_80", ONE | SERVERS, SELDOM},
    {"echo_two_50", ONE | TWO | SERVERS, SELDOM},
    {"echo_two_500", ONE | TWO | SERVERS, SELDOM},
    {"http_plain", ONE | WEB | NODE | FLOOR, SELDOM},
    {"http_plain_two", TWO | WEB, SELDOM},
    {"http_pipelined", ONE | WEB | NODE | FLOOR, SELDOM},
    {"http_pipelined_two", TWO | WEB, SELDOM},
    {"http_mixed", ONE | LOAD | OURS | GO, SELDOM},
    {"http_mixed_two", TWO | LOAD | OURS | GO, SELDOM},
    {"kv_get", ONE | LOAD | OURS | REDIS, SELDOM},
    {"kv_set", ONE | LOAD | OURS | REDIS, SELDOM},
    {"kv_get_16", ONE | LOAD | OURS | REDIS, SELDOM},
    {"kv_set_16", ONE | LOAD | OURS | REDIS, SELDOM},
    {"kv_get_two", ONE | TWO | LOAD | OURS | REDIS, SELDOM},
    {"kv_set_two", ONE | TWO | LOAD | OURS | REDIS, SELDOM},
    {"kv_get_16_two", ONE | TWO | LOAD | OURS | REDIS, SELDOM},
    {"kv_set_16_two", ONE | TWO | LOAD | OURS | REDIS, SELDOM},
    {"idle_connections", TWO | LOAD | OURS | PEERS | FLOOR, SELDOM},
    {"timers_1m", TWO | ALL, SELDOM},
    {"timer_arm_cancel", ONE | TWO | ALL, 0},
    {"sleep_lateness", ONE | TWO | ALL | FLOOR, SELDOM},
    {"udp_pps", ONE | TWO | ALL | FLOOR, 0},
    {"unix_throughput", ONE | TWO | ALL | FLOOR, 0},
    {"copy_unix", ONE | TWO | OURS | FLOOR | READ_WRITE, SELDOM},
    {"copy_tcp", ONE | TWO | OURS | FLOOR | READ_WRITE | GO, SELDOM},
    {"sim_scaling_tree", SIM, SELDOM},
    {"sim_scaling_lopsided", SIM, SELDOM},
    {"sim_scaling_loop", SIM, SELDOM},
    {"sim_scaling_tasks", SIM, SELDOM},
};

static bool fits(const struct driver *driver, int on)
{
    if (driver->kind == SIM)
        return (on & SIM) != 0;
    int workers = driver->workers == 1 ? ONE : driver->workers == 2 ? TWO : MANY;
    return driver->program != NULL && (on & driver->kind) != 0 && (driver->workers == 0 || (on & workers) != 0);
}

/* On which runtimes; the programs are known only when it runs. */
static struct driver drivers[] = {
    {BENCH_OURS "@1", BENCH_WORK, OURS, 1, NULL},
    {BENCH_OURS "@2", BENCH_WORK, OURS, 2, NULL},
    {BENCH_OURS "-fiber@1", BENCH_WORK, FIBERS, 1, "/fiber"},
    {BENCH_OURS "-fiber@2", BENCH_WORK, FIBERS, 2, "/fiber"},
    {BENCH_OURS "@8", BENCH_WORK, OURS, 8, NULL},
    {BENCH_FLOOR, BENCH_WORK, FLOOR, 0, NULL},
    {BENCH_SERIAL, BENCH_WORK, SERIAL, 0, NULL},
    {BENCH_TWIN, BENCH_WORK, TWIN, 0, "/twin"},
    {"tokio@1", NULL, TOKIO, 1, NULL},
    {"tokio@2", NULL, TOKIO, 2, NULL},
    {"tokio@8", NULL, TOKIO, 8, NULL},
    {"go@1", NULL, GO, 1, NULL},
    {"go@2", NULL, GO, 2, NULL},
    {"go@8", NULL, GO, 8, NULL},
    {"tbb@1", NULL, TBB, 1, NULL},
    {"tbb@2", NULL, TBB, 2, NULL},
    {BENCH_SERIAL, NULL, STD, 0, NULL},
    {"openmp@1", NULL, OPENMP, 1, NULL},
    {"openmp@2", NULL, OPENMP, 2, NULL},
    {"omp-guided@1", NULL, GUIDED, 1, "/guided"},
    {"omp-guided@2", NULL, GUIDED, 2, "/guided"},
    {"rayon@1", NULL, RAYON, 1, NULL},
    {"rayon@2", NULL, RAYON, 2, NULL},
    {"async-channel@1", NULL, ASYNC_CHANNEL, 1, "/async_channel"},
    {"async-channel@2", NULL, ASYNC_CHANNEL, 2, "/async_channel"},
    {"libuv@1", NULL, LIBUV, 1, NULL},
    {"node@1", NULL, NODE, 1, NULL},
    {"hyper@1", NULL, HYPER, 1, NULL},
    {"hyper@2", NULL, HYPER, 2, NULL},
    {"fasthttp@1", NULL, FASTHTTP, 1, NULL},
    {"fasthttp@2", NULL, FASTHTTP, 2, NULL},
    {"nginx@1", NULL, NGINX, 1, NULL},
    {"nginx@2", NULL, NGINX, 2, NULL},
    {"redis@1", NULL, REDIS, 1, NULL},
    {"read-write@1", BENCH_WORK, READ_WRITE, 0, "/read_write"},
    {"sim@1", BENCH_WORK, SIM, 1, NULL},
    {"sim@8", BENCH_WORK, SIM, 8, NULL},
    {"sim@64", BENCH_WORK, SIM, 64, NULL},
    {"sim@128", BENCH_WORK, SIM, 128, NULL},
    {"sim@256", BENCH_WORK, SIM, 256, NULL},
    {"sim@512", BENCH_WORK, SIM, 512, NULL},
};

static void find_programs(void)
{
    static const struct {
        int kinds;
        const char *variable;
    } peers[] = {{TOKIO | ASYNC_CHANNEL, "SKUA_BENCH_TOKIO"},
                 {GO, "SKUA_BENCH_GO"},
                 {TBB | STD, "SKUA_BENCH_TBB"},
                 {OPENMP | GUIDED, "SKUA_BENCH_OPENMP"},
                 {RAYON, "SKUA_BENCH_RAYON"},
                 {LIBUV, "SKUA_BENCH_LIBUV"},
                 {NODE, "SKUA_BENCH_NODE"},
                 {HYPER, "SKUA_BENCH_HYPER"},
                 {FASTHTTP, "SKUA_BENCH_FASTHTTP"},
                 {NGINX, "SKUA_BENCH_NGINX"},
                 {REDIS, "SKUA_BENCH_REDIS"}};
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
        for (size_t j = 0; j < sizeof peers / sizeof peers[0]; j++)
            if ((drivers[i].kind & peers[j].kinds) != 0)
                drivers[i].program = getenv(peers[j].variable);
}

static void register_on(size_t work, const struct driver *driver)
{
    bench_register(&(struct bench){
        .name = works[work].name,
        .runtime = driver->runtime,
        .run = (works[work].on & LOAD) != 0 ? run_load
               : driver->kind == TWIN       ? run_twins
                                            : run,
        .context = driver,
        .gives_figures = true,
        .every = works[work].every,
        .full_only = (works[work].on & FULL) != 0,
    });
}

/* The driver with another number of workers. Lives as long as the process. */
static const struct driver *with_workers(const struct driver *driver, int workers)
{
    struct driver *copy = malloc(sizeof *copy);
    char *name = NULL;
    if (copy == NULL || asprintf(&name, "%.*s@%d", (int)strcspn(driver->runtime, "@"), driver->runtime, workers) < 0)
        abort();
    *copy = *driver;
    copy->runtime = name;
    copy->workers = workers;
    return copy;
}

/* SKUA_BENCH_WORKERS: numbers above 2, on which that is measured too what is on one worker and on two. */
static void register_more(size_t work)
{
    const char *text = getenv("SKUA_BENCH_WORKERS");
    char *rest;
    for (long workers; text != NULL && (workers = strtol(text, &rest, 10), rest != text); text = rest)
        for (size_t i = 0; i < sizeof drivers / sizeof drivers[0] && workers > 2; i++)
            if ((works[work].on & (ONE | TWO)) == (ONE | TWO) && drivers[i].workers == 2 &&
                fits(&drivers[i], works[work].on))
                register_on(work, with_workers(&drivers[i], (int)workers));
}

BENCH_FILE
{
    find_programs();
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        for (size_t j = 0; j < sizeof drivers / sizeof drivers[0]; j++)
            if (fits(&drivers[j], works[i].on))
                register_on(i, &drivers[j]);
        register_more(i);
    }
}
