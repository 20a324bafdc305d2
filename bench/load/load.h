/* skua-bench-load: the generator of messages for servers that run in processes of their own (bench/README.md,
 * "Servers"). main.c is the command, generate.c sends and measures, others.c has others' programs do so for HTTP and
 * Redis' protocol, server.c is the process at the other end.
 */
#ifndef SKUA_BENCH_LOAD_H
#define SKUA_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MESSAGE = 64, THREADS_MAX = 256 };

/* ---- server.c ---- */

struct server {
    pid_t pid;
    int output;
    uint16_t port;
};

/* Binds the generator to the last processor it may use and the server, which is started, to the first one, or to none
 * of them if `free_server`. The server finds a port that is free in SKUA_BENCH_PORT, and prints the one it takes as
 * `port N` or at the end of an address. Ends the process if the server does not start. */
void server_start(struct server *server, char *const *argv, bool free_server);
void server_stop(struct server *server);
/* Processor time of all its threads, and of the processes that it has started. */
double server_cpu_ns(const struct server *server);

/* The server's system calls, while they are counted, which makes each of them slower: perf_event_open(2) of the
 * tracepoint raw_syscalls:sys_enter, on each thread that is there and those that they start. */
struct syscalls {
    long tracepoint;
    int fds[THREADS_MAX];
    int count;
};
/* False: it cannot be done here (no right to, no tracefs). */
bool syscalls_begin(struct syscalls *calls, const struct server *server);
double syscalls_end(struct syscalls *calls);

/* ---- generate.c ---- */

struct load;

/* Connects so many. Ends the process if it cannot. */
struct load *load_create(uint16_t port, int connections);
void load_destroy(struct load *load);

/* On each connection a message, and the next one when it has come back. Returns how many came back. */
uint64_t load_closed(struct load *load, uint64_t duration_ns);
/* A message each so many nanoseconds, on one connection after the other, whatever has come back; then waits for all.
 * How long one took counts from when it was due. */
uint64_t load_open(struct load *load, uint64_t duration_ns, double interval_ns);
/* One message there and back on each connection. */
void load_once(struct load *load);

/* Of the last call, p from 0 to 1, in ns. */
double load_latency(struct load *load, double p);

/* ---- others.c ---- */

enum http_load { HTTP_PLAIN, HTTP_PIPELINED, HTTP_MIXED };
enum kv_load { KV_GET, KV_SET };

/* These measure and print. */
void load_http(const struct server *server, enum http_load what, int seconds);
void load_kv(const struct server *server, enum kv_load what, int pipelined, int requests);

#endif
