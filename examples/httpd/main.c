/* skua-httpd: see httpd.h for what is where, and `skua-httpd --help`.
 *
 * Ending, on SIGINT or SIGTERM:
 *   1 connections that the kernel has accepted are taken, and the listener is closed
 *   2 idle connections end; those that have asked for something end with its answer, which says so
 *   3 after --drain-timeout what is left is cancelled
 *   4 the log is written to its end
 */
#define _GNU_SOURCE
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- connections ------------------------------------------------------------------------------------------------ */

struct arrival {
    struct server *server;
    skua_stream *stream;
    char peer[]; /* if there is a log */
};

static int serve(void *arg)
{
    struct arrival *arrival = arg;
    connection_serve(arrival->server, arrival->stream, arrival->peer);
    free(arrival);
    return 0;
}

/* "127.0.0.1:40000"; of a unix socket's other end there is nothing to be said. */
static void write_peer(char *text, size_t size, const skua_address *peer)
{
    static const char scheme[] = "tcp://";
    if (skua_address_format(peer, text, size) < 0 || strncmp(text, scheme, sizeof scheme - 1) != 0)
        (void)snprintf(text, size, "-");
    else
        memmove(text, text + sizeof scheme - 1, strlen(text) - (sizeof scheme - 1) + 1);
}

static void welcome(struct server *server, skua_stream *stream, const skua_address *peer)
{
    size_t text = server->log != NULL ? SKUA_ADDRESS_TEXT_MAX : 0;
    struct arrival *arrival = malloc(sizeof *arrival + text);
    if (arrival != NULL) {
        arrival->server = server;
        arrival->stream = stream;
        if (text > 0)
            write_peer(arrival->peer, text, peer);
        if (skua_go(serve, arrival) == 0)
            return;
    }
    free(arrival); /* there is no memory for it */
    skua_stream_close(stream);
}

struct accepting {
    struct server *server;
    skua_listener *listener;
};

/* Until it is cancelled, and then whoever is there already. */
static int accept_all(void *arg)
{
    struct accepting *accepting = arg;
    skua_stream *stream;
    skua_address peer;
    int rc;
    while ((rc = skua_accept(accepting->listener, &stream, &peer)) == 0)
        welcome(accepting->server, stream, &peer);
    if (rc != -ECANCELED)
        return rc;
    SKUA_SHIELD();
    skua_accept_op op;
    skua_op *const arm = skua_accept_prepare(&op, accepting->listener, &stream, &peer);
    while (skua_select_try(&arm, 1) == 0 && op.result == 0)
        welcome(accepting->server, stream, &peer);
    return 0;
}

/* ---- the end, signals ------------------------------------------------------------------------------------------- */

static int wait_for_end(struct server *server, skua_signals *signals)
{
    int number;
    while ((number = skua_signal_wait(signals)) == SIGHUP)
        if (server->log != NULL)
            log_reopen(server->log);
    return number < 0 ? number : 0;
}

static void print_stats(const struct server *server)
{
    skua_stats stats;
    skua_runtime_stats(skua_runtime_self(), &stats);
    fprintf(stderr,
            "workers %" PRIu32 ", tasks %" PRIu64 ", runs %" PRIu64 ", stolen %" PRIu64 ", sleeps %" PRIu64
            ", wakes %" PRIu64 ", timers %" PRIu64 ", events %" PRIu64 " looked for, %" PRIu64 " slept for, %" PRIu64
            " by the guard\n",
            stats.workers, stats.spawned, stats.polls, stats.stolen, stats.parks, stats.wakes, stats.timers,
            stats.events_looked, stats.events_slept, stats.events_guard);
    (void)server;
}

/* ---- hogs ------------------------------------------------------------------------------------------------------- */

static _Atomic bool hogs_are_to_end;

static int hog(void *arg)
{
    (void)arg;
    while (!atomic_load_explicit(&hogs_are_to_end, memory_order_relaxed)) {
        for (uint64_t end = skua_after(SKUA_MS); skua_now() < end;)
            ;
        if (skua_yield() < 0)
            break;
    }
    return 0;
}

/* ---- starting --------------------------------------------------------------------------------------------------- */

static int run_tasks(struct server *server, skua_listener *listener, skua_signals *signals)
{
    struct accepting accepting = { server, listener };
    skua_task *keeper, *acceptor;
    int64_t result = 0;
    int rc = skua_spawn(&keeper, keeper_run, &server->keeper);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; rc == 0 && i < server->options->hogs; i++)
        rc = skua_go(hog, NULL);
    if (rc == 0)
        rc = skua_spawn(&acceptor, accept_all, &accepting);
    if (rc == 0) {
        rc = wait_for_end(server, signals);
        skua_cancel(acceptor);
        int joined = skua_join(acceptor, &result);
        rc = joined < 0 ? joined : result < 0 ? (int)result : rc;
        skua_listener_close(listener);
        keeper_stop(&server->keeper, skua_after(server->options->drain_ns));
    }
    atomic_store_explicit(&hogs_are_to_end, true, memory_order_relaxed);
    skua_cancel(keeper);
    int joined = skua_join(keeper, NULL);
    return rc < 0 ? rc : joined;
}

static int say_where(const skua_listener *listener)
{
    skua_address address;
    char text[SKUA_ADDRESS_TEXT_MAX];
    int rc = skua_listener_address(listener, &address);
    rc = rc == 0 ? skua_address_format(&address, text, sizeof text) : rc;
    if (rc < 0)
        return rc;
    printf("listening at %s\n", text);
    fflush(stdout);
    return 0;
}

static int failed(const char *what, int error)
{
    fprintf(stderr, "skua-httpd: %s: %s\n", what, skua_strerror(error));
    return 1;
}

static int open_root(struct server *server)
{
    if (server->options->root == NULL)
        return 0;
    server->root = skua_file_open(server->options->root, O_RDONLY | O_DIRECTORY, 0);
    return server->root < 0 ? server->root : 0;
}

static int run_listening(struct server *server, skua_signals *signals)
{
    const struct options *options = server->options;
    const skua_socket_options socket_options = { .replace_file = true };
    skua_listener *listener;
    int rc = skua_listen(&listener, options->listen, &socket_options);
    if (rc < 0) {
        const char *why = skua_address_explain(options->listen);
        if (why == NULL)
            return failed(options->listen, rc);
        fprintf(stderr, "skua-httpd: --listen %s: %s\n", options->listen, why);
        return 1;
    }
    rc = say_where(listener);
    rc = rc < 0 ? rc : run_tasks(server, listener, signals);
    if (rc < 0)
        return failed("serving", rc);
    struct keeper *keeper = &server->keeper;
    fprintf(stderr, "%" PRIu64 " requests over %" PRIu64 " connections, %" PRIu64 " timed out\n", keeper->requests,
            keeper->connections, keeper->timeouts);
    if (options->stats)
        print_stats(server);
    return 0;
}

static int run(void *arg)
{
    struct server *server = arg;
    skua_signals *signals;
    int rc = skua_signals_open(&signals, NULL, (const int[]){ SIGINT, SIGTERM, SIGHUP }, 3);
    if (rc < 0)
        return failed("signals", rc);
    rc = open_root(server);
    if (rc < 0) {
        rc = failed(server->options->root, rc);
    } else {
        if (server->options->log != NULL && (rc = log_open(&server->log, server->options->log)) < 0)
            rc = failed(server->options->log, rc);
        else
            rc = run_listening(server, signals);
        if (server->log != NULL)
            log_close(server->log);
        if (server->root >= 0)
            (void)close(server->root);
    }
    skua_signals_close(signals);
    return rc;
}

static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct options options;
    struct server server = { .options = &options, .root = -1 };
    skua_runtime *runtime;
    int rc = options_parse(&options, argc, argv);
    if (rc != OPTIONS_GO_ON)
        return rc;
    raise_limit();
    (void)signal(SIGPIPE, SIG_IGN); /* sendfile(2) has no flag against it */
    tzset(); /* reads a file, once: not in a worker */
    keeper_init(&server.keeper, &options);
    rc = skua_runtime_create(&runtime, &(skua_config){ .workers = options.workers });
    if (rc < 0)
        return failed("starting", rc);
    rc = (int)skua_block_on(runtime, run, &server);
    int ended = skua_runtime_destroy(runtime);
    return rc < 0 || ended < 0 ? failed("ending", rc < 0 ? rc : ended) : rc;
}
