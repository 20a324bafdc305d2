/* Streams and sockets: bytes come through in order, in fibers, futures and plain threads; ends, errors, closing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <skua/socket.h>

#include "support/with_runtime.h"

/* Real descriptors need real workers. */
static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
}

static int echo(void *arg)
{
    skua_stream *peer = arg;
    char buffer[512];
    ssize_t n;
    while ((n = skua_read(peer, buffer, sizeof buffer)) > 0)
        if ((n = skua_write_all(peer, buffer, (size_t)n)) < 0)
            break;
    skua_stream_close(peer);
    return (int)n;
}

static int serve(void *arg)
{
    skua_listener *listener = arg;
    skua_stream *peer;
    int rc;
    while ((rc = skua_accept(listener, &peer, NULL)) >= 0)
        if ((rc = skua_go(echo, peer)) < 0)
            skua_stream_close(peer);
    return rc;
}

enum { CLIENTS = 30, ROUNDS = 40 };

static int client(void *arg)
{
    const skua_address *address = arg;
    skua_stream *stream;
    char sent[64], got[64];
    CHECK_OK(skua_connect_to(&stream, address, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        memset(sent, 'a' + i % 26, sizeof sent);
        CHECK_EQ(skua_write_all(stream, sent, sizeof sent), sizeof sent);
        CHECK_EQ(skua_read_exactly(stream, got, sizeof got, NULL), sizeof got);
        CHECK(memcmp(sent, got, sizeof got) == 0);
    }
    CHECK_OK(skua_stream_shutdown_write(stream));
    CHECK_EQ(skua_read(stream, got, sizeof got), 0);
    skua_stream_close(stream);
    return 0;
}

static void serve_at(const char *where)
{
    skua_listener *listener;
    skua_address address;
    skua_task *server, *clients[CLIENTS];
    int64_t result;
    CHECK_OK(skua_listen(&listener, where, NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK_OK(skua_spawn(&server, serve, listener));
    for (int i = 0; i < CLIENTS; i++)
        CHECK_OK(skua_spawn(&clients[i], client, &address));
    for (int i = 0; i < CLIENTS; i++)
        CHECK_OK(skua_join(clients[i], NULL));
    skua_cancel(server);
    CHECK_OK(skua_join(server, &result));
    CHECK_EQ(result, -ECANCELED);
    skua_listener_close(listener);
}

static int everywhere(void *arg)
{
    (void)arg;
    serve_at("tcp://127.0.0.1:0");
    serve_at("tcp://[::1]:0");
    char address[64]; /* of this process alone: others may run the same test */
    snprintf(address, sizeof address, "unix:@skua-test-stream-%ld", (long)getpid());
    serve_at(address);
    return 0;
}
TEST(echo_over_tcp_and_unix) { run_for_real(everywhere); }

struct echo2 {
    SKUA_FRAME;
    struct { skua_stream *peer; } in;
    skua_io io;
    char buffer[64];
};
SKUA_ASYNC(echo2)
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

static int in_futures(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        skua_stream *pair[2];
        skua_task *task;
        int64_t result;
        char big[10000], got[10000];
        memset(big, 'a' + i, sizeof big);
        CHECK_OK(skua_stream_pair(pair, NULL));
        CHECK_OK(SKUA_SPAWN(&task, echo2, .peer = pair[1]));
        CHECK_EQ(skua_write_all(pair[0], big, sizeof big), sizeof big);
        CHECK_EQ(skua_read_exactly(pair[0], got, sizeof got, NULL), sizeof got);
        CHECK(memcmp(big, got, sizeof got) == 0);
        if (i % 2 == 0)
            CHECK_OK(skua_stream_shutdown_write(pair[0]));
        else
            skua_cancel(task);
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, i % 2 == 0 ? 0 : -ECANCELED);
        skua_stream_close(pair[0]);
    }
    return 0;
}
TEST(streams_in_futures) { run_for_real(in_futures); }

/* More than fits at once, in every form. */
enum { LARGE = 400000 };
struct sends_large {
    SKUA_FRAME;
    struct { skua_stream *to; char *data; } in;
    skua_io io;
    struct iovec halves[2];
    size_t sent;
};
static void halve(struct sends_large *self)
{
    size_t rest = LARGE - self->sent, half = rest / 2;
    self->halves[0] = (struct iovec){ self->in.data + self->sent, half };
    self->halves[1] = (struct iovec){ self->in.data + self->sent + half, rest - half };
}
SKUA_ASYNC(sends_large)
{
    SKUA_BEGIN(self);
    for (self->sent = 0; self->sent < LARGE; self->sent += (size_t)SKUA_RESULT(&self->io)) {
        halve(self);
        SKUA_AWAIT(skua_writev_start(&self->io, self->in.to, self->halves, 2));
        if (SKUA_RESULT(&self->io) <= 0)
            SKUA_RETURN(SKUA_RESULT(&self->io));
        CHECK_EQ(self->io.done, SKUA_RESULT(&self->io));
    }
    SKUA_AWAIT(skua_write_all_start(&self->io, self->in.to, self->in.data, LARGE));
    CHECK(SKUA_RESULT(&self->io) < 0 || SKUA_RESULT(&self->io) == LARGE);
    SKUA_END(SKUA_RESULT(&self->io));
}

struct takes_large {
    SKUA_FRAME;
    struct { skua_stream *from; char *data; } in;
    skua_io io;
    char head[10], tail[90];
    struct iovec halves[2];
};
SKUA_ASYNC(takes_large)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_read_exactly_start(&self->io, self->in.from, self->in.data, 0));
    CHECK_EQ(SKUA_RESULT(&self->io), 0);
    SKUA_AWAIT(skua_read_exactly_start(&self->io, self->in.from, self->in.data, LARGE));
    CHECK_EQ(SKUA_RESULT(&self->io), LARGE);
    self->halves[0] = (struct iovec){ self->head, sizeof self->head };
    self->halves[1] = (struct iovec){ self->tail, sizeof self->tail };
    SKUA_AWAIT(skua_readv_start(&self->io, self->in.from, self->halves, 2));
    CHECK_EQ(SKUA_RESULT(&self->io), 100); /* they were there */
    CHECK(memcmp(self->head, self->in.data, 10) == 0 && memcmp(self->tail, self->in.data + 10, 90) == 0);
    SKUA_AWAIT(skua_readv_start(&self->io, self->in.from, self->halves, 0));
    CHECK_EQ(SKUA_RESULT(&self->io), 0);
    SKUA_AWAIT(skua_read_exactly_start(&self->io, self->in.from, self->in.data, LARGE));
    SKUA_END(SKUA_RESULT(&self->io)); /* as far as it goes */
}

static int large_in_futures(void *arg)
{
    (void)arg;
    char *data = malloc(LARGE), *got = malloc(LARGE);
    for (int i = 0; i < LARGE; i++)
        data[i] = (char)(i % 253);
    for (int i = 0; i < 4; i++) {
        skua_stream *pair[2];
        skua_task *sender, *taker;
        int64_t sent, taken;
        CHECK_OK(skua_stream_pair(pair, NULL));
        CHECK_OK(SKUA_SPAWN(&sender, sends_large, .to = pair[1], .data = data));
        if (i < 2) {
            CHECK_OK(SKUA_SPAWN(&taker, takes_large, .from = pair[0], .data = got));
            CHECK_OK(skua_join(sender, &sent));
            CHECK_EQ(sent, LARGE);
            if (i == 0)
                CHECK_OK(skua_stream_shutdown_write(pair[1]));
            else
                skua_cancel(taker); /* it misses 100 bytes */
            CHECK_OK(skua_join(taker, &taken));
            CHECK(i == 0 ? taken == LARGE - 100 : taken == -ECANCELED);
            CHECK(i != 0 || memcmp(got, data + 100, LARGE - 100) == 0);
        } else { /* nobody reads */
            CHECK_OK(skua_sleep(SKUA_MS));
            skua_cancel(sender);
            CHECK_OK(skua_join(sender, &sent));
            CHECK_EQ(sent, -ECANCELED);
        }
        skua_stream_close(pair[0]);
        skua_stream_close(pair[1]);
    }
    free(data);
    free(got);
    return 0;
}
TEST(large_amounts_in_futures) { run_for_real(large_in_futures); }

/* More than fits: the writer waits for the reader. */
enum { BULK = 3000000 };
static int writes_bulk(void *arg)
{
    char block[7001];
    for (size_t done = 0; done < BULK;) {
        size_t size = BULK - done < sizeof block ? BULK - done : sizeof block;
        for (size_t i = 0; i < size; i++)
            block[i] = (char)((done + i) % 251);
        CHECK_EQ(skua_write_all(arg, block, size), size);
        done += size;
    }
    skua_stream_close(arg);
    return 0;
}
static int reads_bulk(skua_stream *from)
{
    char block[5003];
    size_t done = 0;
    ssize_t n;
    while ((n = skua_read(from, block, sizeof block)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            CHECK_EQ(block[i], (char)((done + (size_t)i) % 251));
        done += (size_t)n;
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(done, BULK);
    skua_stream_close(from);
    return 0;
}
static int bulk(void *arg)
{
    (void)arg;
    skua_stream *pair[2], *ends[2];
    skua_task *task;
    int fds[2];
    CHECK_OK(skua_stream_pair(pair, NULL));
    CHECK_OK(skua_spawn(&task, writes_bulk, pair[1]));
    CHECK_OK(reads_bulk(pair[0]));
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(skua_stream_open(&ends[0], NULL, fds[0]));
    CHECK_OK(skua_stream_open(&ends[1], NULL, fds[1]));
    CHECK_OK(skua_spawn(&task, writes_bulk, ends[1]));
    CHECK_OK(reads_bulk(ends[0]));
    CHECK_OK(skua_join(task, NULL));
    return 0;
}
TEST(more_than_fits_at_once) { run_for_real(bulk); }

static int errors(void *arg)
{
    (void)arg;
    skua_stream *stream, *pair[2], *ends[2];
    skua_listener *listener, *second;
    skua_address address;
    char byte = 'x', text[SKUA_ADDRESS_TEXT_MAX];
    int fds[2];
    CHECK_EQ(skua_connect(&stream, "nowhere", NULL), -EINVAL);
    CHECK_EQ(skua_connect(&stream, "tcp://127.0.0.1", NULL), -EINVAL);
    CHECK_EQ(skua_connect(&stream, "unix:/nonexistent/skua", NULL), -ENOENT);
    CHECK_OK(skua_listen(&listener, "tcp://127.0.0.1:0", NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK(skua_address_format(&address, text, sizeof text) > 0);
    CHECK_EQ(skua_listen(&second, text, NULL), -EADDRINUSE);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_accept(listener, &stream, NULL), -ETIMEDOUT);
    }
    skua_listener_close(listener);
    CHECK_EQ(skua_connect(&stream, text, NULL), -ECONNREFUSED);
    CHECK_OK(skua_stream_pair(pair, NULL));
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_read(pair[0], &byte, 1), -ETIMEDOUT);
    }
    CHECK_EQ(skua_read(pair[0], &byte, 0), 0);
    skua_stream_close(pair[1]);
    CHECK_EQ(skua_write(pair[0], &byte, 1), -EPIPE);
    CHECK_EQ(skua_read(pair[0], &byte, 1), 0);
    skua_stream_close(pair[0]);
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(skua_stream_open(&ends[0], NULL, fds[0]));
    CHECK_OK(skua_stream_open(&ends[1], NULL, fds[1]));
    skua_stream_close(ends[0]);
    CHECK_EQ(skua_write(ends[1], &byte, 1), -EPIPE);
    skua_stream_close(ends[1]);
    CHECK_EQ(skua_stream_open(&stream, NULL, -1), -EBADF);
    return 0;
}
TEST(what_can_go_wrong) { run_for_real(errors); }

static void check_address(const char *text, int rc)
{
    skua_address address;
    char again[SKUA_ADDRESS_TEXT_MAX];
    CHECK_EQ(skua_address_parse(&address, text), rc);
    if (rc == 0) {
        CHECK_EQ(skua_address_format(&address, again, sizeof again), strlen(text));
        CHECK_STR(again, text);
    }
}
TEST(addresses)
{
    check_address("tcp://127.0.0.1:0", 0);
    check_address("tcp://10.1.2.3:65535", 0);
    check_address("tcp://[::1]:80", 0);
    check_address("tcp://[fe80::1:2]:80", 0);
    check_address("unix:/run/a.sock", 0);
    check_address("unix:@name", 0);
    static const char *const wrong[] = { "", "tcp://", "tcp://1.2.3.4", "tcp://1.2.3.4:", "tcp://1.2.3.4:65536",
                                         "tcp://1.2.3.4:8x", "tcp://1.2.3:80", "tcp://::1:80", "tcp://[::1:80",
                                         "tcp://[]:80", "tcp://[1.2.3.4]:80", "unix:", "unix:@", "sctp://1.2.3.4:5",
                                         "tcp://1.2.3.4:99999999999999999999", "tcp://host.example:80" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_address(wrong[i], -EINVAL);
    char path[300] = "unix:";
    memset(path + 5, 'a', 200);
    path[205] = '\0';
    check_address(path, -ENAMETOOLONG);
}

/* Each says something of its own, and what is well-formed nothing. */
TEST(addresses_are_explained)
{
    static const struct {
        const char *address, *says;
    } wrong[] = {
        { "", "tcp://" },           { "localhost:80", "begins" },        { "tcp:127.0.0.1:80", "begins" },
        { "tcp://1.2.3.4", "port" }, { "tcp://[::1]", "port" },          { "tcp://::1:80", "brackets" },
        { "tcp://a:8x", "65535" },  { "udp://1.2.3.4:65536", "65535" },  { "tcp://:80", "host" },
        { "tcp://1.2.3:80", "host" }, { "tcp://[::1:80", "brackets" },   { "unix:", "name" },
        { "unix:@", "name" },       { "tcp://under stood:80", "letters" },
    };
    static const char *const right[] = { "tcp://127.0.0.1:80", "udp://[::1]:0", "unix:@name", "tcp://localhost:80" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *text = skua_address_explain(wrong[i].address);
        CHECK(text != NULL);
        CHECK(strstr(text, wrong[i].says) != NULL);
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        CHECK(skua_address_explain(right[i]) == NULL);
    char path[300] = "unix:";
    memset(path + 5, 'a', 200);
    path[205] = '\0';
    CHECK(strstr(skua_address_explain(path), "long") != NULL);
}

static int selects(void *arg)
{
    (void)arg;
    skua_stream *a[2], *b[2];
    skua_op ops[2];
    char byte = 'x';
    CHECK_OK(skua_stream_pair(a, NULL));
    CHECK_OK(skua_stream_pair(b, NULL));
    skua_op *arms[] = { skua_stream_readable_prepare(&ops[0], a[0]), skua_stream_readable_prepare(&ops[1], b[0]) };
    for (int i = 0; i < 2; i++) { /* as far as is known both are ready at first: a read tells */
        SKUA_DEADLINE(0);
        CHECK_EQ(skua_read(i ? b[0] : a[0], &byte, 1), -ETIMEDOUT);
    }
    for (int i = 0; i < 2; i++) {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_read(i ? b[0] : a[0], &byte, 1), -ETIMEDOUT);
    }
    CHECK_EQ(skua_select_until(arms, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(skua_write(b[1], &byte, 1), 1);
    CHECK_EQ(skua_select(arms, 2), 1);
    CHECK_EQ(skua_read(b[0], &byte, 1), 1);
    for (int i = 0; i < 2; i++) {
        skua_stream_close(a[i]);
        skua_stream_close(b[i]);
    }
    return 0;
}
TEST(streams_as_arms) { run_for_real(selects); }

/* ---- what comes in pieces --------------------------------------------------------------------------------------- */

/* A read may end before what there is to read does: at urgent data, and where descriptors came with the bytes. */
static void send_with_descriptor(int socket, char byte)
{
    struct iovec vector = { &byte, 1 };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    memset(&control, 0, sizeof control);
    control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                                       .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.header), &socket, sizeof socket);
    CHECK_EQ(sendmsg(socket, &message, 0), 1);
}
static int reads_three(void *arg)
{
    char got[100];
    ssize_t done = 0, n;
    while (done < 3 && (n = skua_read(arg, got + done, sizeof got - (size_t)done)) > 0)
        done += n;
    CHECK_EQ(done, 3);
    CHECK(memcmp(got, "abc", 3) == 0);
    return 0;
}
static void make_tcp_pair(skua_stream *pair[2])
{
    skua_listener *listener;
    skua_address address;
    CHECK_OK(skua_listen(&listener, "tcp://127.0.0.1:0", NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK_OK(skua_connect_to(&pair[0], &address, NULL));
    CHECK_OK(skua_accept(listener, &pair[1], NULL));
    skua_listener_close(listener);
}
static int pieces(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        skua_stream *pair[2];
        skua_task *reader;
        if (i == 0)
            make_tcp_pair(pair);
        else
            CHECK_OK(skua_stream_pair(pair, NULL));
        int fd = skua_stream_fd(pair[1]);
        char byte;
        {
            SKUA_DEADLINE(SKUA_MS); /* so that it is waited for what comes */
            CHECK_EQ(skua_read(pair[0], &byte, 1), -ETIMEDOUT);
        }
        CHECK_EQ(send(fd, "a", 1, 0), 1);
        if (i == 2)
            send_with_descriptor(fd, 'b');
        else if (send(fd, "!", 1, MSG_OOB) == 1 || i == 0)
            CHECK_EQ(send(fd, "b", 1, 0), 1);
        else
            CHECK_EQ(send(fd, "b", 1, 0), 1); /* a kernel without out-of-band data on unix sockets */
        CHECK_EQ(send(fd, "c", 1, 0), 1);
        CHECK_OK(skua_spawn(&reader, reads_three, pair[0]));
        CHECK_OK(skua_join(reader, NULL));
        skua_stream_close(pair[0]);
        skua_stream_close(pair[1]);
    }
    return 0;
}
TEST(reads_that_end_before_what_there_is) { run_for_real(pieces); }

static void *client_thread(void *arg)
{
    struct {
        skua_runtime *rt;
        const skua_address *address;
    } *in = arg;
    skua_stream *stream;
    char byte = 'q';
    CHECK_OK(skua_connect_to(&stream, in->address, &(skua_socket_options){ .runtime = in->rt }));
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(skua_write_all(stream, &byte, 1), 1);
        CHECK_EQ(skua_read(stream, &byte, 1), 1);
    }
    skua_stream_close(stream);
    return NULL;
}
static int with_threads(void *arg)
{
    (void)arg;
    skua_listener *listener;
    skua_address address;
    skua_task *server;
    pthread_t thread;
    struct {
        skua_runtime *rt;
        const skua_address *address;
    } in = { skua_runtime_self(), &address };
    CHECK_OK(skua_listen(&listener, "tcp://127.0.0.1:0", NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK_OK(skua_spawn(&server, serve, listener));
    CHECK_EQ(pthread_create(&thread, NULL, client_thread, &in), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0)
        CHECK_OK(skua_sleep(SKUA_MS));
    skua_cancel(server);
    CHECK_OK(skua_join(server, NULL));
    skua_listener_close(listener);
    return 0;
}
TEST(plain_threads_use_streams) { run_for_real(with_threads); }
