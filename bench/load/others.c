/* Generators of others, for servers whose protocol is one of others: wrk for HTTP, redis-benchmark for Redis'. They run
 * on the generator's processor, and what they print is read (load.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/cases/measure.h"
#include "bench/load/load.h"

enum { OUTPUT_MAX = 16384, COMPUTING_CONNECTIONS = 8, KV_KEYS = 10000 };

/* ---- programs --------------------------------------------------------------------------------------------------- */

struct program {
    pid_t pid;
    int output;
};

static struct program start(const char *const *argv)
{
    struct program program = {.pid = -1};
    int ends[2];
    if (pipe(ends) != 0 || (program.pid = fork()) < 0)
        work_die(argv[0], strerror(errno));
    if (program.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(argv[0], (char *const *)argv);
        work_die(argv[0], strerror(errno));
    }
    close(ends[1]);
    program.output = ends[0];
    return program;
}

static void finish(const struct program *program, const char *name, char *text)
{
    size_t length = 0;
    int status = 0;
    for (;;) {
        ssize_t n = read(program->output, &text[length], OUTPUT_MAX - 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    text[length] = '\0';
    close(program->output);
    while (waitpid(program->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        work_die(name, "it failed");
}

/* What stands behind `label`, or the end of the process. */
static const char *behind(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    if (at == NULL)
        work_die("a generator", text);
    return at + strlen(label);
}

/* ---- wrk -------------------------------------------------------------------------------------------------------- */

/* "1.23ms", "45.00us", "2.00s", in µs. */
static double microseconds(const char *text)
{
    char *unit;
    double value = strtod(text, &unit);
    return unit[0] == 'u' ? value : unit[0] == 'm' && unit[1] == 's' ? value * 1e3 : unit[0] == 's' ? value * 1e6 : -1;
}

/* So many requests at once, by wrk's own means. */
static void write_script(char *path, int pipelined)
{
    int fd = mkstemp(path);
    FILE *script = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (script == NULL)
        work_die(path, strerror(errno));
    fprintf(script,
            "local all\n"
            "function init(args)\n"
            "    local each = {}\n"
            "    for i = 1, %d do each[i] = wrk.format() end\n"
            "    all = table.concat(each)\n"
            "end\n"
            "function request() return all end\n",
            pipelined);
    if (fclose(script) != 0)
        work_die(path, strerror(errno));
}

struct wrk_call {
    uint16_t port;
    int connections, seconds, pipelined;
    const char *path;
};

/* Its output, after `url` has been asked for as long as said. */
static void run_wrk(const struct wrk_call *call, char *text)
{
    char connections[16], duration[16], url[96], script[] = "/tmp/skua-bench-XXXXXX";
    const char *argv[] = {"wrk", "-t1", "--latency", connections, duration, url, NULL, NULL, NULL};
    snprintf(connections, sizeof connections, "-c%d", call->connections);
    snprintf(duration, sizeof duration, "-d%ds", call->seconds);
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", call->port, call->path);
    if (call->pipelined > 1) {
        write_script(script, call->pipelined);
        argv[6] = "-s";
        argv[7] = script;
    }
    struct program program = start(argv);
    finish(&program, argv[0], text);
    if (call->pipelined > 1)
        unlink(script);
    if (strstr(text, "Non-2xx") != NULL || strstr(text, "Socket errors") != NULL)
        work_die(argv[0], text);
}

/* "  12345 requests in 1.00s, …" */
static double wrk_requests(const char *text)
{
    const char *at = behind(text, " requests in ") - strlen(" requests in ");
    while (at > text && at[-1] != ' ')
        at--;
    return strtod(at, NULL);
}

/* Asks for a long computation on a few connections until it is stopped: all workers are busy with it. */
static struct program start_computing(uint16_t port)
{
    char connections[16], url[96];
    const char *argv[] = {"wrk", "-t1", connections, "-d60s", "--timeout", "60s", url, NULL};
    snprintf(connections, sizeof connections, "-c%d", COMPUTING_CONNECTIONS);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/nqueens/12", port);
    struct program program = start(argv);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    return program;
}

static void stop(const struct program *program)
{
    kill(program->pid, SIGKILL);
    while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(program->output);
}

void load_http(const struct server *server, enum http_load what, int seconds)
{
    char text[OUTPUT_MAX];
    struct wrk_call call = {.port = server->port,
                            .connections = what == HTTP_MIXED ? 10 : 50,
                            .seconds = seconds,
                            .pipelined = what == HTTP_PIPELINED ? 16 : 1,
                            .path = "/"};
    struct program computing = {.pid = -1};
    if (what == HTTP_MIXED)
        computing = start_computing(server->port);
    double cpu = server_cpu_ns(server);
    run_wrk(&call, text);
    cpu = server_cpu_ns(server) - cpu;
    work_print("-", 1e9 / strtod(behind(text, "Requests/sec:"), NULL), "ns/op");
    if (what != HTTP_PIPELINED) { /* of requests that are sent together wrk does not tell */
        const char *distribution = behind(text, "Latency Distribution"); /* above it there are other percentages */
        work_print("p50", microseconds(behind(distribution, "50%")), "us");
        work_print("p99", microseconds(behind(distribution, "99%")), "us");
    }
    if (what == HTTP_MIXED) {
        stop(&computing);
        return; /* what a request takes of the processor cannot be told from what the computation does */
    }
    work_print("server_cpu", cpu / wrk_requests(text), "ns/op");
    struct syscalls calls;
    if (!syscalls_begin(&calls, server))
        return;
    call.seconds = 1;
    run_wrk(&call, text);
    work_print("syscalls", syscalls_end(&calls) / wrk_requests(text), "calls");
}

/* ---- redis-benchmark -------------------------------------------------------------------------------------------- */

static void run_redis_benchmark(uint16_t port, const char *test, int pipelined, int requests, char *text)
{
    char port_text[16], pipelined_text[16], requests_text[16], keys[16];
    const char *argv[] = {"redis-benchmark",
                          "--csv",
                          "-h",
                          "127.0.0.1",
                          "-p",
                          port_text,
                          "-c",
                          "50",
                          "-r",
                          keys,
                          "-t",
                          test,
                          "-P",
                          pipelined_text,
                          "-n",
                          requests_text,
                          NULL};
    snprintf(keys, sizeof keys, "%d", KV_KEYS);
    snprintf(port_text, sizeof port_text, "%u", port);
    snprintf(pipelined_text, sizeof pipelined_text, "%d", pipelined);
    snprintf(requests_text, sizeof requests_text, "%d", requests);
    struct program program = start(argv);
    finish(&program, argv[0], text);
}

void load_kv(const struct server *server, enum kv_load what, int pipelined, int requests)
{
    char text[OUTPUT_MAX];
    double rate, p50_ms, p99_ms;
    run_redis_benchmark(server->port, "set", 16, KV_KEYS * 10, text); /* all keys are there */
    double cpu = server_cpu_ns(server);
    run_redis_benchmark(server->port, what == KV_GET ? "get" : "set", pipelined, requests, text);
    cpu = server_cpu_ns(server) - cpu;
    const char *line = behind(text, what == KV_GET ? "\n\"GET\"," : "\n\"SET\",");
    if (sscanf(line, "\"%lf\",\"%*f\",\"%*f\",\"%lf\",\"%*f\",\"%lf\"", &rate, &p50_ms, &p99_ms) != 3)
        work_die("redis-benchmark", text);
    work_print("-", 1e9 / rate, "ns/op");
    work_print("server_cpu", cpu / requests, "ns/op");
    work_print("p50", p50_ms * 1e3, "us");
    work_print("p99", p99_ms * 1e3, "us");
}
