/* See load.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/cases/measure.h"
#include "bench/load/load.h"

/* ---- the process ------------------------------------------------------------------------------------------------ */

static void bind_to(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        work_die("sched_setaffinity", strerror(errno));
}

/* The first and the last processor that this process may use. */
static void find_processors(int *first, int *last)
{
    cpu_set_t set;
    *first = *last = -1;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        work_die("sched_getaffinity", strerror(errno));
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET((size_t)i, &set)) {
            *first = *first < 0 ? i : *first;
            *last = i;
        }
}

static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* `port N`: it listens. */
static uint16_t read_port(int fd)
{
    char line[32];
    size_t length = 0;
    while (length < sizeof line - 1 && (length == 0 || line[length - 1] != '\n')) {
        ssize_t n = read(fd, &line[length], 1);
        if (n <= 0)
            work_die("server", "it did not start");
        length += (size_t)n;
    }
    line[length] = '\0';
    unsigned port;
    if (sscanf(line, "port %u", &port) != 1 || port == 0 || port > UINT16_MAX)
        work_die("server", "it printed no port");
    return (uint16_t)port;
}

void server_start(struct server *server, char *const *argv, bool free_server)
{
    int first, last, ends[2];
    find_processors(&first, &last);
    raise_limit();
    if (pipe(ends) != 0 || (server->pid = fork()) < 0)
        work_die("server", strerror(errno));
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!free_server && first != last)
            bind_to(first);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(argv[0], argv);
        work_die(argv[0], strerror(errno));
    }
    close(ends[1]);
    server->output = ends[0];
    if (first != last)
        bind_to(last);
    server->port = read_port(server->output);
}

void server_stop(struct server *server)
{
    int status = 0;
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(server->output);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        work_die("server", "it ended too early");
}

double server_cpu_ns(const struct server *server)
{
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(server->pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
        work_die("server", "its processor time cannot be read");
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* ---- system calls ------------------------------------------------------------------------------------------------ */

static long read_tracepoint(void)
{
    long id = -1;
    FILE *file = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "re");
    if (file == NULL || fscanf(file, "%ld", &id) != 1)
        id = -1;
    if (file != NULL)
        fclose(file);
    return id;
}

bool syscalls_begin(struct syscalls *calls, const struct server *server)
{
    long id = read_tracepoint();
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)server->pid);
    DIR *threads = id >= 0 ? opendir(path) : NULL;
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = (uint64_t)id, .inherit = 1
    };
    bool good = threads != NULL;
    calls->count = 0;
    for (struct dirent *entry; good && (entry = readdir(threads)) != NULL;) {
        int thread = atoi(entry->d_name);
        if (thread == 0)
            continue;
        int fd = (int)syscall(SYS_perf_event_open, &attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
        good = fd >= 0 && calls->count < THREADS_MAX;
        if (good)
            calls->fds[calls->count++] = fd;
    }
    if (threads != NULL)
        closedir(threads);
    if (!good)
        (void)syscalls_end(calls);
    return good;
}

double syscalls_end(struct syscalls *calls)
{
    double sum = 0;
    for (int i = 0; i < calls->count; i++) {
        uint64_t value = 0;
        if (read(calls->fds[i], &value, sizeof value) == (ssize_t)sizeof value)
            sum += (double)value;
        close(calls->fds[i]);
    }
    calls->count = 0;
    return sum;
}
