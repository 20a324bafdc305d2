/* udp_pps, unix_throughput, copy_unix, copy_tcp on Skua, with fibers. */
#include <stdlib.h>
#include <string.h>

#include "bench/cases/work.h"

/* ---- datagrams -------------------------------------------------------------------------------------------------- */

struct datagrams {
    skua_udp *socket;
    skua_datagram all[UDP_BATCH];
    char data[UDP_BATCH][UDP_SIZE];
};

static struct datagrams *open_udp(void)
{
    struct datagrams *self = work_memory(sizeof *self);
    memset(self, 0, sizeof *self);
    work_must(skua_udp_open(&self->socket, "udp://127.0.0.1:0", NULL));
    for (int i = 0; i < UDP_BATCH; i++)
        self->all[i] = (skua_datagram){ .data = self->data[i], .size = UDP_SIZE };
    return self;
}

static void close_udp(struct datagrams *self)
{
    skua_udp_close(self->socket);
    free(self);
}

/* Takes a batch, and says so by one datagram. */
static int take_datagrams(void *arg)
{
    struct datagrams *self = arg;
    for (int round = 0; round < UDP_ROUNDS; round++) {
        for (int got = 0; got < UDP_BATCH;) {
            int n = skua_udp_receive_many(self->socket, self->all, UDP_BATCH - got);
            work_must(n);
            work_check("a datagram", (int64_t)self->all[n - 1].length, UDP_SIZE);
            got += n;
        }
        work_must((int)skua_udp_send(self->socket, "", 1, NULL));
    }
    return 0;
}

static int64_t udp_pps(void)
{
    struct datagrams *from = open_udp(), *to = open_udp();
    skua_address address;
    skua_task *taker;
    char answer;
    work_must(skua_udp_address(to->socket, &address));
    work_must(skua_udp_connect(from->socket, &address));
    work_must(skua_udp_address(from->socket, &address));
    work_must(skua_udp_connect(to->socket, &address));
    work_must(skua_spawn(&taker, take_datagrams, to));
    for (int round = 0; round < UDP_ROUNDS; round++) {
        work_check("datagrams", skua_udp_send_many(from->socket, from->all, UDP_BATCH), UDP_BATCH);
        work_check("an answer", skua_udp_receive(from->socket, &answer, 1, NULL), 1);
    }
    work_must((int)skua_join(taker, NULL));
    close_udp(from);
    close_udp(to);
    return (int64_t)UDP_BATCH * UDP_ROUNDS;
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

static int fill(void *arg)
{
    skua_stream *to = arg;
    char *piece = work_memory(PIECE);
    memset(piece, 1, PIECE);
    for (int i = 0; i < PIECES; i++)
        work_must((int)skua_write_all(to, piece, PIECE));
    work_must(skua_stream_shutdown_write(to));
    free(piece);
    return 0;
}

static void drain(skua_stream *from)
{
    char *piece = work_memory(PIECE);
    int64_t sum = 0;
    ssize_t n;
    while ((n = skua_read(from, piece, PIECE)) > 0)
        sum += n;
    work_must((int)n);
    work_check("bytes", sum, (int64_t)PIECE * PIECES);
    free(piece);
}

static void open_unix(skua_stream *pair[2]) { work_must(skua_stream_pair(pair, NULL)); }

static void open_tcp(skua_stream *pair[2])
{
    skua_listener *listener;
    skua_address address;
    work_must(skua_listen(&listener, "tcp://127.0.0.1:0", NULL));
    work_must(skua_listener_address(listener, &address));
    work_must(skua_connect_to(&pair[0], &address, NULL));
    work_must(skua_accept(listener, &pair[1], NULL));
    skua_listener_close(listener);
}

static void close_pair(skua_stream *pair[2])
{
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
}

static int64_t unix_throughput(void)
{
    skua_stream *pair[2];
    skua_task *filler;
    open_unix(pair);
    work_must(skua_spawn(&filler, fill, pair[0]));
    drain(pair[1]);
    work_must((int)skua_join(filler, NULL));
    close_pair(pair);
    return PIECES;
}

struct copier {
    skua_stream *from, *to;
};

static int copy_all(void *arg)
{
    const struct copier *self = arg;
    work_check("bytes copied", skua_copy(self->to, self->from, UINT64_MAX, NULL), (int64_t)PIECE * PIECES);
    work_must(skua_stream_shutdown_write(self->to));
    return 0;
}

static int64_t copy_between(void (*open_pair)(skua_stream *pair[2]))
{
    skua_stream *in[2], *out[2];
    skua_task *filler, *copying;
    open_pair(in);
    open_pair(out);
    struct copier copier = { in[1], out[0] };
    work_must(skua_spawn(&filler, fill, in[0]));
    work_must(skua_spawn(&copying, copy_all, &copier));
    drain(out[1]);
    work_must((int)skua_join(filler, NULL));
    work_must((int)skua_join(copying, NULL));
    close_pair(in);
    close_pair(out);
    return PIECES;
}

static int64_t copy_unix(void) { return copy_between(open_unix); }
static int64_t copy_tcp(void) { return copy_between(open_tcp); }

const struct work work_of_streams[] = {
    { "udp_pps", udp_pps },
    { "unix_throughput", unix_throughput },
    { "copy_unix", copy_unix },
    { "copy_tcp", copy_tcp },
    { NULL, NULL },
};
