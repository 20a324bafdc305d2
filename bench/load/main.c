/* skua-bench-load NAME WORKERS SECONDS RATE PROGRAM [VARIANT]: starts `PROGRAM serve[VARIANT] WORKERS SECONDS`, a
 * server, in a process of its own, sends it messages, and prints what it cost, as the drivers do (bench/cases/main.c).
 * NAME is one of
 *
 *     echo_N           N connections, each with one message under way. The server has a processor to itself
 *     echo_two_N       likewise, the server where it likes to run
 *     echo_open_P      50 connections, P % of RATE messages per second, whatever has come back
 *     idle_connections 10,000 connections and timers, and nothing to do. `PROGRAM serve_timers[VARIANT]`
 *
 * Less than 10 SECONDS means that it is to be quick.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/cases/measure.h"
#include "bench/load/load.h"

#define MS UINT64_C(1000000)

enum { OPEN_CONNECTIONS = 50, IDLE_CONNECTIONS = 10000 };

struct spans {
    uint64_t warm_up_ns, measure_ns, count_ns;
};

static void print_latencies(struct load *load)
{
    work_print("p50", load_latency(load, 0.5) / 1e3, "us");
    work_print("p99", load_latency(load, 0.99) / 1e3, "us");
    work_print("p999", load_latency(load, 0.999) / 1e3, "us");
}

static void print_syscalls(const struct server *server, struct load *load, const struct spans *spans)
{
    struct syscalls calls;
    if (!syscalls_begin(&calls, server))
        return;
    double requests = (double)load_closed(load, spans->count_ns);
    work_print("syscalls", syscalls_end(&calls) / requests, "calls");
}

static void echo_closed(const struct server *server, int connections, const struct spans *spans)
{
    struct load *load = load_create(server->port, connections);
    (void)load_closed(load, spans->warm_up_ns);
    double cpu = server_cpu_ns(server);
    uint64_t begin = work_wall_ns();
    double requests = (double)load_closed(load, spans->measure_ns);
    double wall = (double)(work_wall_ns() - begin);
    cpu = server_cpu_ns(server) - cpu;
    work_print("-", wall / requests, "ns/op");
    work_print("server_cpu", cpu / requests, "ns/op");
    print_latencies(load);
    print_syscalls(server, load, spans);
    load_destroy(load);
}

static void echo_open(const struct server *server, double rate, const struct spans *spans)
{
    struct load *load = load_create(server->port, OPEN_CONNECTIONS);
    (void)load_open(load, spans->warm_up_ns, 1e9 / rate);
    double cpu = server_cpu_ns(server);
    double requests = (double)load_open(load, spans->measure_ns, 1e9 / rate);
    cpu = server_cpu_ns(server) - cpu;
    print_latencies(load);
    work_print("server_cpu", cpu / requests, "ns/op");
    load_destroy(load);
}

static void idle_connections(const struct server *server, int seconds)
{
    struct load *load = load_create(server->port, IDLE_CONNECTIONS);
    load_once(load);
    nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 500 * MS }, NULL); /* memory has been given back, too */
    double cpu = server_cpu_ns(server);
    nanosleep(&(struct timespec){ .tv_sec = seconds }, NULL);
    work_print("-", (server_cpu_ns(server) - cpu) / 1e3 / seconds, "us/s");
    load_destroy(load);
}

/* The number behind what the name begins with; -1: it begins otherwise. */
static int number_after(const char *name, const char *begin)
{
    size_t length = strlen(begin);
    return strncmp(name, begin, length) == 0 && name[length] >= '0' && name[length] <= '9' ? atoi(&name[length]) : -1;
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fputs("usage: skua-bench-load NAME WORKERS SECONDS RATE PROGRAM [VARIANT]\n", stderr);
        return 2;
    }
    const char *name = argv[1];
    int seconds = atoi(argv[3]);
    bool idle = strcmp(name, "idle_connections") == 0;
    const struct spans spans = seconds < 10 ? (struct spans){ 100 * MS, 300 * MS, 50 * MS }
                                            : (struct spans){ 200 * MS, 1000 * MS, 100 * MS };
    char what[64];
    snprintf(what, sizeof what, "%s%s", idle ? "serve_timers" : "serve", argc == 7 ? argv[6] : "");
    char *serve[] = { argv[5], what, argv[2], argv[3], NULL };
    int pinned = number_after(name, "echo_"), beside = number_after(name, "echo_two_");
    int percent = number_after(name, "echo_open_");
    struct server server;
    if (!idle && pinned <= 0 && beside <= 0 && percent <= 0)
        work_die(name, "no such benchmark");
    server_start(&server, serve, beside > 0);
    if (idle)
        idle_connections(&server, seconds < 10 ? 2 : 5);
    else if (percent > 0)
        echo_open(&server, atof(argv[4]) * percent / 100, &spans);
    else
        echo_closed(&server, pinned > 0 ? pinned : beside, &spans);
    server_stop(&server);
    return 0;
}
