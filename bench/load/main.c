/* skua-bench-load NAME WORKERS SECONDS RATE PROGRAM [VARIANT]: starts `PROGRAM serve[VARIANT] WORKERS SECONDS`, a
 * server, in a process of its own, sends it messages, and prints what it cost, as the drivers do (bench/cases/main.c).
 * NAME is one of
 *
 *     echo_N           N connections, each with one message under way. The server has a processor to itself
 *     echo_two_N       likewise, the server where it likes to run
 *     echo_open_P      50 connections, P % of RATE messages per second, whatever has come back
 *     idle_connections 10,000 connections and timers, and nothing to do. `PROGRAM serve_timers[VARIANT]`
 *     http_plain, http_pipelined, http_mixed
 *                      `PROGRAM serve_http[VARIANT]`, by wrk
 *     kv_get, kv_set, kv_get_16, kv_set_16
 *                      `PROGRAM serve_kv[VARIANT]`, by redis-benchmark
 *     http_plain_two …, kv_get_two …
 *                      likewise, the server where it likes to run
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
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500 * MS}, NULL); /* memory has been given back, too */
    double cpu = server_cpu_ns(server);
    nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
    work_print("-", (server_cpu_ns(server) - cpu) / 1e3 / seconds, "us/s");
    load_destroy(load);
}

/* ---- which one -------------------------------------------------------------------------------------------------- */

enum kind { ECHO, ECHO_OPEN, IDLE, HTTP, KV };

struct load_case {
    const char *name; /* of echo without the number behind it */
    const char *serve;
    enum kind kind;
    int what, pipelined, requests; /* of HTTP and KV */
};

static const struct load_case cases[] = {
    {"echo_open_", "serve", ECHO_OPEN, 0, 0, 0},
    {"echo_two_", "serve", ECHO, 0, 0, 0},
    {"echo_", "serve", ECHO, 0, 0, 0},
    {"idle_connections", "serve_timers", IDLE, 0, 0, 0},
    {"http_plain", "serve_http", HTTP, HTTP_PLAIN, 1, 0},
    {"http_pipelined", "serve_http", HTTP, HTTP_PIPELINED, 16, 0},
    {"http_mixed", "serve_http", HTTP, HTTP_MIXED, 1, 0},
    {"kv_get_16", "serve_kv", KV, KV_GET, 16, 1000000},
    {"kv_set_16", "serve_kv", KV, KV_SET, 16, 1000000},
    {"kv_get", "serve_kv", KV, KV_GET, 1, 200000},
    {"kv_set", "serve_kv", KV, KV_SET, 1, 200000},
};

static const struct load_case *find_case(const char *name)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strncmp(name, cases[i].name, strlen(cases[i].name)) == 0)
            return &cases[i];
    work_die(name, "no such benchmark");
}

/* The number behind the name. */
static int number_of(const struct load_case *found, const char *name)
{
    int number = atoi(name + strlen(found->name));
    if (number <= 0)
        work_die(name, "no such benchmark");
    return number;
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fputs("usage: skua-bench-load NAME WORKERS SECONDS RATE PROGRAM [VARIANT]\n", stderr);
        return 2;
    }
    const char *name = argv[1];
    bool quick = atoi(argv[3]) < 10;
    const struct spans spans =
        quick ? (struct spans){100 * MS, 300 * MS, 50 * MS} : (struct spans){200 * MS, 1000 * MS, 100 * MS};
    const struct load_case *found = find_case(name);
    char what[64];
    snprintf(what, sizeof what, "%s%s", found->serve, argc == 7 ? argv[6] : "");
    char *serve[] = {argv[5], what, argv[2], argv[3], NULL};
    struct server server;
    server_start(&server, serve, strstr(name, "_two") != NULL);
    switch (found->kind) {
    case ECHO:
        echo_closed(&server, number_of(found, name), &spans);
        break;
    case ECHO_OPEN:
        echo_open(&server, atof(argv[4]) * number_of(found, name) / 100, &spans);
        break;
    case IDLE:
        idle_connections(&server, quick ? 2 : 5);
        break;
    case HTTP:
        load_http(&server, (enum http_load)found->what, quick ? 1 : 3);
        break;
    case KV:
        load_kv(&server, (enum kv_load)found->what, found->pipelined, found->requests / (quick ? 2 : 1));
        break;
    }
    server_stop(&server);
    return 0;
}
