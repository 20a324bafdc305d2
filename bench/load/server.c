/* See load.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

/* `port N`, or `… tcp://127.0.0.1:N`: it listens. */
static uint16_t read_port(int fd)
{
    char line[256];
    size_t length = 0;
    while (length < sizeof line - 1 && (length == 0 || line[length - 1] != '\n')) {
        ssize_t n = read(fd, &line[length], 1);
        if (n <= 0)
            work_die("server", "it did not start");
        length += (size_t)n;
    }
    line[length] = '\0';
    const char *colon = strrchr(line, ':');
    unsigned port;
    if (sscanf(colon != NULL ? colon : line, colon != NULL ? ":%u" : "port %u", &port) != 1 || port == 0 ||
        port > UINT16_MAX)
        work_die("server", "it printed no port");
    return (uint16_t)port;
}

static int try_port(uint16_t port, int (*use)(int, const struct sockaddr *, socklen_t), uint16_t *found)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : use(fd, (const struct sockaddr *)&address, length);
    if (rc == 0)
        rc = getsockname(fd, (struct sockaddr *)&address, &length);
    *found = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* For servers that are told their port and cannot say which one they took. */
static void offer_port(void)
{
    uint16_t port;
    char text[16];
    if (try_port(0, bind, &port) != 0)
        work_die("bind", strerror(errno));
    snprintf(text, sizeof text, "%u", port);
    setenv("SKUA_BENCH_PORT", text, 1);
}

static void wait_until_listening(uint16_t port)
{
    uint16_t ours;
    for (int tries = 0; try_port(port, connect, &ours) != 0; tries++) {
        if (tries == 1000)
            work_die("server", "it does not listen");
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

void server_start(struct server *server, char *const *argv, bool free_server)
{
    int first, last, ends[2];
    find_processors(&first, &last);
    raise_limit();
    offer_port();
    if (pipe(ends) != 0 || (server->pid = fork()) < 0)
        work_die("server", strerror(errno));
    if (server->pid == 0) {
        setpgid(0, 0);
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
    wait_until_listening(server->port);
}

void server_stop(struct server *server)
{
    int status = 0;
    kill(-server->pid, SIGKILL);
    while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(server->output);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        work_die("server", "it ended too early");
}

/* Each process of the server's group. The server is asked last. */
static int for_each_process(const struct server *server, int (*visit)(pid_t process, void *arg), void *arg)
{
    DIR *processes = opendir("/proc");
    int rc = processes == NULL ? -1 : 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(processes)) != NULL;) {
        pid_t process = atoi(entry->d_name);
        if (process > 0 && process != server->pid && getpgid(process) == server->pid)
            rc = visit(process, arg);
    }
    if (processes != NULL)
        closedir(processes);
    return rc == 0 ? visit(server->pid, arg) : rc;
}

static int add_cpu(pid_t process, void *arg)
{
    double *sum = arg;
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return -1;
    *sum += (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
    return 0;
}

double server_cpu_ns(const struct server *server)
{
    double sum = 0;
    if (for_each_process(server, add_cpu, &sum) != 0)
        work_die("server", "its processor time cannot be read");
    return sum;
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

static int count_calls_of(pid_t process, void *arg)
{
    struct syscalls *calls = arg;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *threads = opendir(path);
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = (uint64_t)calls->tracepoint, .inherit = 1};
    int rc = threads == NULL ? -1 : 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(threads)) != NULL;) {
        int thread = atoi(entry->d_name);
        if (thread == 0)
            continue;
        int fd = (int)syscall(SYS_perf_event_open, &attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
        rc = fd >= 0 && calls->count < THREADS_MAX ? 0 : -1;
        if (rc == 0)
            calls->fds[calls->count++] = fd;
    }
    if (threads != NULL)
        closedir(threads);
    return rc;
}

bool syscalls_begin(struct syscalls *calls, const struct server *server)
{
    *calls = (struct syscalls){.tracepoint = read_tracepoint()};
    if (calls->tracepoint >= 0 && for_each_process(server, count_calls_of, calls) == 0)
        return true;
    (void)syscalls_end(calls);
    return false;
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
