/* An echo server of futures alone: the one that accepts, and one for each connection, which is a struct of 700 bytes
 * and no stack. With numbers it connects to itself, by futures as well, and ends.
 *
 *     skua-echo_futures [tcp://127.0.0.1:7000]          serves until SIGINT or SIGTERM
 *     skua-echo_futures tcp://127.0.0.1:0 100 1000      100 connections, 1,000 messages on each
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skua.h>

enum { MESSAGE = 64 };

/* ---- the server ------------------------------------------------------------------------------------------------- */

struct echo {
    SKUA_FRAME;
    struct { skua_stream *peer; } in;
    skua_io io;
    char buffer[512];
};
SKUA_ASYNC(echo)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_read_start(&self->io, self->in.peer, self->buffer, sizeof self->buffer));
        if (SKUA_RESULT(&self->io) <= 0)
            break;
        SKUA_AWAIT(skua_write_all_start(&self->io, self->in.peer, self->buffer, (size_t)SKUA_RESULT(&self->io)));
        if (SKUA_RESULT(&self->io) < 0)
            break;
    }
    skua_stream_close(self->in.peer);
    SKUA_END(SKUA_RESULT(&self->io));
}

/* Until it is cancelled. Connections go on then; the runtime's end waits for them. */
struct serve {
    SKUA_FRAME;
    struct { skua_listener *listener; } in;
    skua_accepting accepting;
    skua_stream *peer;
    int64_t served;
};
SKUA_ASYNC(serve)
{
    SKUA_BEGIN(self);
    for (self->served = 0;; self->served++) {
        SKUA_AWAIT(skua_accept_start(&self->accepting, self->in.listener, &self->peer, NULL));
        if (SKUA_RESULT(&self->accepting) < 0)
            break;
        if (SKUA_GO(echo, .peer = self->peer) < 0)
            skua_stream_close(self->peer); /* there is no memory for it */
    }
    SKUA_END(SKUA_RESULT(&self->accepting) == -ECANCELED ? self->served : SKUA_RESULT(&self->accepting));
}

/* ---- clients ---------------------------------------------------------------------------------------------------- */

struct client {
    SKUA_FRAME;
    struct { const skua_address *server; int rounds; } in;
    union { /* one at a time */
        skua_connecting connecting;
        skua_io io;
    };
    skua_stream *stream;
    int64_t result;
    int round;
    char sent[MESSAGE], got[MESSAGE];
};
SKUA_ASYNC(client)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_connect_to_start(&self->connecting, &self->stream, self->in.server, NULL));
    if (SKUA_RESULT(&self->connecting) < 0)
        SKUA_RETURN(SKUA_RESULT(&self->connecting));
    self->result = 0;
    for (self->round = 0; self->result == 0 && self->round < self->in.rounds; self->round++) {
        memset(self->sent, self->round, MESSAGE);
        SKUA_AWAIT(skua_write_all_start(&self->io, self->stream, self->sent, MESSAGE));
        if (SKUA_RESULT(&self->io) == MESSAGE)
            SKUA_AWAIT(skua_read_exactly_start(&self->io, self->stream, self->got, MESSAGE));
        if (SKUA_RESULT(&self->io) < 0)
            self->result = SKUA_RESULT(&self->io);
        else if (SKUA_RESULT(&self->io) < MESSAGE || memcmp(self->sent, self->got, MESSAGE) != 0)
            self->result = -EPROTO;
    }
    skua_stream_close(self->stream);
    SKUA_END(self->result < 0 ? self->result : self->round);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static const char *where = "tcp://127.0.0.1:7000";
static int clients, rounds;

/* Returns how many messages came back, or an error. */
static int64_t run_clients(const skua_address *server)
{
    skua_task **tasks = calloc((size_t)clients, sizeof *tasks);
    int64_t messages = 0, error = tasks != NULL ? 0 : -ENOMEM, result;
    int started = 0;
    for (; error == 0 && started < clients; started += error == 0)
        error = SKUA_SPAWN(&tasks[started], client, .server = server, .rounds = rounds);
    for (int i = 0; i < started; i++) {
        int rc = skua_join(tasks[i], &result);
        if (rc < 0 || result < 0)
            error = rc < 0 ? rc : result;
        else
            messages += result;
    }
    free(tasks);
    return error < 0 ? error : messages;
}

static int64_t wait_for_signal(void)
{
    skua_signals *stop;
    int rc = skua_signals_open(&stop, NULL, (const int[]){ SIGINT, SIGTERM }, 2);
    if (rc < 0)
        return rc;
    rc = skua_signal_wait(stop);
    skua_signals_close(stop);
    return rc;
}

static int run(void *arg)
{
    skua_listener *listener;
    skua_address address;
    skua_task *server;
    char text[SKUA_ADDRESS_TEXT_MAX];
    int64_t served = 0;
    (void)arg;
    int rc = skua_listen(&listener, where, NULL);
    if (rc < 0)
        return rc;
    (void)skua_listener_address(listener, &address);
    (void)skua_address_format(&address, text, sizeof text);
    printf("listening at %s\n", text);
    fflush(stdout);
    rc = SKUA_SPAWN(&server, serve, .listener = listener);
    if (rc == 0) {
        int64_t result = clients > 0 ? run_clients(&address) : wait_for_signal();
        if (clients > 0 && result >= 0)
            printf("%lld messages over %d connections\n", (long long)result, clients);
        rc = result < 0 ? (int)result : 0;
        skua_cancel(server);
        int joined = skua_join(server, &served);
        if (rc == 0 && (joined < 0 || served < 0))
            rc = joined < 0 ? joined : (int)served;
        printf("%lld connections served\n", (long long)served);
    }
    skua_listener_close(listener);
    return rc;
}

int main(int argc, char **argv)
{
    where = argc > 1 ? argv[1] : where;
    clients = argc > 2 ? atoi(argv[2]) : 0;
    rounds = argc > 3 ? atoi(argv[3]) : 100;
    int rc = skua_main(run, NULL);
    if (rc < 0)
        fprintf(stderr, "%s\n", skua_strerror(rc));
    return rc < 0;
}
