/* A key-value server that speaks with Redis' clients.
 *
 *     skua-kv [--listen tcp://127.0.0.1:6379] [--workers N] [--memory MIB] [--clients N]
 *
 * A fiber for each connection: it reads what has come, answers all commands in it, and writes the answers by one call,
 * after the others whose commands came at the same time have had theirs run: so the answers go out one behind the
 * other, and a client with many connections, which is busier with them than the server, finds more at each look.
 * All share one table (store.h). What clients can make it use is bounded: their number, the bytes of a command and of
 * its answer under way, what they have stored altogether (--memory), and a quarter as much for what is under way.
 * SIGINT and SIGTERM end it: commands that were read are answered, and connections closed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "input.h"

#define LINGER_NS (5 * SKUA_S)

struct server {
    const char *address;
    uint32_t workers, clients; /* 0 workers: as many as the runtime likes */
    size_t memory;
    struct store store;
    struct budget traffic;     /* what connections use */
    skua_listener *listener;
    skua_group connections;
    skua_event stop;           /* a client has asked for the end, or nobody can be accepted */
    int error;
};

struct connection {
    struct server *server;
    skua_stream *stream;
    struct input input;
    struct reply reply;
};

/* ---- a connection ----------------------------------------------------------------------------------------------- */

/* Who is still sending gets to know why nobody listens: closing at once would have what has come unread reset the
 * connection, and the answer lost. */
static void linger(struct connection *c)
{
    (void)skua_stream_shutdown_write(c->stream);
    SKUA_DEADLINE(LINGER_NS);
    while (skua_read(c->stream, c->input.buffer, c->input.size) > 0)
        ;
}

static bool refuse(struct connection *c)
{
    reply_make_room(&c->reply);
    reply_error(&c->reply, "%s", c->input.error);
    reply_flush(&c->reply);
    linger(c);
    return false;
}

/* Runs what has come as a whole. False: nothing more is to be read. */
static bool answer(struct connection *c)
{
    struct server *server = c->server;
    struct request request = { .store = &server->store, .traffic = &server->traffic, .reply = &c->reply,
                               .stop = &server->stop };
    int rc = 0;
    while (c->reply.error == 0 && !request.is_last && (rc = input_next(&c->input)) > 0) {
        request.arguments = c->input.arguments;
        request.count = c->input.count;
        commands_run(&request);
    }
    if (rc < 0)
        return refuse(c);
    (void)skua_yield(); /* cancelled: what was read is answered all the same */
    reply_flush(&c->reply);
    return c->reply.error == 0 && !request.is_last;
}

static void talk(struct connection *c)
{
    char *to;
    size_t size;
    ssize_t n;
    do {
        if (input_make_room(&c->input, &to, &size) < 0) {
            (void)refuse(c);
            return;
        }
        n = skua_read(c->stream, to, size);
        if (n <= 0)
            return;
        c->input.end += (size_t)n;
    } while (answer(c));
}

static int serve(void *arg)
{
    struct connection *c = arg;
    struct budget *traffic = &c->server->traffic;
    if (input_init(&c->input, traffic) == 0) {
        talk(c);
        input_fini(&c->input);
    }
    skua_stream_close(c->stream);
    free(c);
    budget_give(traffic, sizeof *c);
    return 0;
}

/* ---- the server ------------------------------------------------------------------------------------------------- */

/* -ENOMEM; -EAGAIN: there are too many. */
static int begin_connection(struct server *server, skua_stream *stream)
{
    if (!budget_take(&server->traffic, sizeof(struct connection)))
        return -ENOMEM;
    struct connection *c = malloc(sizeof *c);
    int rc = -ENOMEM;
    if (c != NULL) {
        c->server = server;
        c->stream = stream;
        reply_init(&c->reply, stream);
        rc = skua_group_try_go(&server->connections, serve, c);
    }
    if (rc < 0) {
        free(c);
        budget_give(&server->traffic, sizeof *c);
    }
    return rc;
}

static int accept_all(void *arg)
{
    static const char turned_away[] = "-ERR max number of clients reached\r\n";
    struct server *server = arg;
    skua_stream *stream;
    int rc;
    while ((rc = skua_accept(server->listener, &stream, NULL)) == 0)
        if (begin_connection(server, stream) < 0) {
            (void)skua_write(stream, turned_away, sizeof turned_away - 1); /* a new socket has room for it */
            skua_stream_close(stream);
        }
    if (rc != -ECANCELED) {
        server->error = rc;
        skua_event_set(&server->stop);
    }
    return 0;
}

/* Until a signal, a client's SHUTDOWN, or an error of accepting. */
static int wait_for_end(struct server *server)
{
    skua_signals *signals;
    skua_op signal, asked;
    int rc = skua_signals_open(&signals, NULL, (const int[]){ SIGINT, SIGTERM }, 2);
    if (rc < 0)
        return rc;
    int64_t which;
    do /* an arm of readiness may be over in vain */
        which = SKUA_SELECT(skua_signal_pending_prepare(&signal, signals),
                            skua_event_wait_prepare(&asked, &server->stop));
    while (which == 0 && skua_signal_try_wait(signals) == -EAGAIN);
    skua_signals_close(signals);
    return which < 0 ? (int)which : 0;
}

static int run(void *arg)
{
    struct server *server = arg;
    skua_address address;
    char text[SKUA_ADDRESS_TEXT_MAX];
    int rc = skua_listen(&server->listener, server->address, NULL);
    if (rc < 0)
        return rc;
    (void)skua_listener_address(server->listener, &address);
    (void)skua_address_format(&address, text, sizeof text);
    printf("listening at %s\n", text);
    fflush(stdout);
    store_init(&server->store, server->memory);
    server->traffic.limit = server->memory / 4 + ((size_t)1 << 20);
    skua_group_init_with(&server->connections, &(skua_group_attr){ .limit = server->clients });
    {
        SKUA_GROUP(helpers); /* cancelled and waited for at the end of the block */
        rc = skua_group_go(&helpers, accept_all, server);
        if (rc == 0)
            rc = skua_group_go(&helpers, store_sweep, &server->store);
        if (rc == 0)
            rc = wait_for_end(server);
    }
    skua_group_cancel(&server->connections);
    (void)skua_group_wait(&server->connections); /* -ECANCELED */
    skua_group_fini(&server->connections);
    skua_listener_close(server->listener);
    store_fini(&server->store);
    return rc < 0 ? rc : server->error;
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static bool parse_options(struct server *server, char **argv)
{
    for (char **at = argv + 1; *at != NULL; at += 2) {
        unsigned long number = at[1] != NULL ? strtoul(at[1], NULL, 10) : 0;
        if (at[1] != NULL && strcmp(*at, "--listen") == 0)
            server->address = at[1];
        else if (strcmp(*at, "--workers") == 0 && number > 0 && number <= 1024)
            server->workers = (uint32_t)number;
        else if (strcmp(*at, "--memory") == 0 && number > 0 && number <= SIZE_MAX >> 20)
            server->memory = number << 20;
        else if (strcmp(*at, "--clients") == 0 && number > 0 && number <= UINT32_MAX)
            server->clients = (uint32_t)number;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct server server = { .address = "tcp://127.0.0.1:6379", .clients = 10000, .memory = (size_t)1 << 30,
                                    .stop = SKUA_EVENT_INIT(SKUA_EVENT_MANUAL) };
    skua_runtime *runtime;
    (void)argc;
    if (!parse_options(&server, argv)) {
        fprintf(stderr, "usage: skua-kv [--listen ADDRESS] [--workers N] [--memory MIB] [--clients N]\n");
        return 2;
    }
    commands_init();
    int64_t rc = skua_runtime_create(&runtime, &(skua_config){ .workers = server.workers });
    if (rc == 0) {
        rc = skua_block_on(runtime, run, &server);
        (void)skua_runtime_destroy(runtime);
    }
    if (rc < 0)
        fprintf(stderr, "skua-kv: %s\n", skua_strerror((int)rc));
    return rc < 0;
}
