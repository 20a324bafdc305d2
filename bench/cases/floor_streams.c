/* The floors of udp_pps, unix_throughput and the copies: one thread with descriptors that do not block, which does by
 * turns what the tasks do.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cases/work.h"

static int must(int rc, const char *what)
{
    if (rc < 0)
        work_die(what, strerror(errno));
    return rc;
}

static struct sockaddr_in bound_address(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    must(getsockname(fd, (struct sockaddr *)&address, &length), "getsockname");
    return address;
}

static int bind_socket(int type)
{
    const struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = must(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
    must(bind(fd, (const struct sockaddr *)&any, sizeof any), "bind");
    return fd;
}

/* ---- datagrams -------------------------------------------------------------------------------------------------- */

struct datagrams {
    struct mmsghdr messages[UDP_BATCH];
    struct iovec vectors[UDP_BATCH];
    char data[UDP_BATCH][UDP_SIZE];
};

static void set_datagrams(struct datagrams *self)
{
    memset(self, 0, sizeof *self);
    for (int i = 0; i < UDP_BATCH; i++) {
        self->vectors[i] = (struct iovec){ self->data[i], UDP_SIZE };
        self->messages[i].msg_hdr = (struct msghdr){ .msg_iov = &self->vectors[i], .msg_iovlen = 1 };
    }
}

static int64_t udp_pps(void)
{
    static struct datagrams from, to;
    int fds[2] = { bind_socket(SOCK_DGRAM), bind_socket(SOCK_DGRAM) };
    struct sockaddr_in addresses[2] = { bound_address(fds[0]), bound_address(fds[1]) };
    for (int i = 0; i < 2; i++)
        must(connect(fds[i], (const struct sockaddr *)&addresses[!i], sizeof addresses[i]), "connect");
    set_datagrams(&from);
    set_datagrams(&to);
    for (int round = 0; round < UDP_ROUNDS; round++) {
        char answer;
        work_check("sendmmsg", sendmmsg(fds[0], from.messages, UDP_BATCH, 0), UDP_BATCH);
        for (int got = 0; got < UDP_BATCH;)
            got += must(recvmmsg(fds[1], to.messages, (unsigned)(UDP_BATCH - got), MSG_WAITFORONE, NULL), "recvmmsg");
        work_check("send", send(fds[1], "", 1, 0), 1);
        work_check("recv", recv(fds[0], &answer, 1, 0), 1);
    }
    close(fds[0]);
    close(fds[1]);
    return (int64_t)UDP_BATCH * UDP_ROUNDS;
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

enum { ENTRY, EXIT };

static void open_unix(int pair[2])
{
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), "socketpair");
}

static void open_tcp(int pair[2])
{
    int listener = bind_socket(SOCK_STREAM);
    struct sockaddr_in address = bound_address(listener);
    must(listen(listener, 1), "listen");
    pair[ENTRY] = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(connect(pair[ENTRY], (const struct sockaddr *)&address, sizeof address), "connect");
    pair[EXIT] = must(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept");
    must(fcntl(pair[ENTRY], F_SETFL, O_NONBLOCK), "fcntl");
    close(listener);
}

static void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

/* How much a call moved; 0: it would have to wait. */
static size_t moved(ssize_t n)
{
    if (n < 0 && errno != EAGAIN)
        work_die("a stream", strerror(errno));
    return n > 0 ? (size_t)n : 0;
}

struct ends {
    char *piece;
    size_t written, taken;
};

static const size_t all = (size_t)PIECE * PIECES;

/* As much as goes, in and out. */
static void fill(struct ends *ends, int fd)
{
    size_t n = 1;
    while (n > 0 && ends->written < all)
        ends->written += n = moved(write(fd, ends->piece, PIECE - ends->written % PIECE));
}

static void drain(struct ends *ends, int fd)
{
    size_t n = 1;
    while (n > 0 && ends->taken < all)
        ends->taken += n = moved(read(fd, ends->piece, PIECE));
}

static struct ends begin_ends(void)
{
    struct ends ends = { .piece = work_memory(PIECE) };
    memset(ends.piece, 1, PIECE);
    return ends;
}

static int64_t unix_throughput(void)
{
    int pair[2];
    struct ends ends = begin_ends();
    open_unix(pair);
    while (ends.taken < all) {
        fill(&ends, pair[ENTRY]);
        drain(&ends, pair[EXIT]);
    }
    close_pair(pair);
    free(ends.piece);
    return PIECES;
}

/* ---- copies ----------------------------------------------------------------------------------------------------- */

struct copy {
    int from, to;
    int pipe[2];
    char *memory; /* NULL: by splice, through the pipe */
    size_t held, at; /* bytes that were read and are not written yet; in memory: from where on */
};

static void copy_by_splice(struct copy *copy)
{
    for (size_t n = 1; n > 0;) {
        if (copy->held == 0)
            copy->held = moved(splice(copy->from, NULL, copy->pipe[1], NULL, PIECE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
        n = copy->held == 0 ? 0 : moved(splice(copy->pipe[0], NULL, copy->to, NULL, copy->held,
                                               SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
        copy->held -= n;
    }
}

static void copy_by_memory(struct copy *copy)
{
    for (size_t n = 1; n > 0;) {
        if (copy->held == 0) {
            copy->at = 0;
            copy->held = moved(read(copy->from, copy->memory, PIECE));
        }
        n = copy->held == 0 ? 0 : moved(write(copy->to, &copy->memory[copy->at], copy->held));
        copy->held -= n;
        copy->at += n;
    }
}

static int64_t copy_between(void (*open_pair)(int pair[2]), void (*copy_some)(struct copy *copy))
{
    int in[2], out[2];
    struct ends ends = begin_ends();
    open_pair(in);
    open_pair(out);
    struct copy copy = { .from = in[EXIT], .to = out[ENTRY], .memory = work_memory(PIECE) };
    must(pipe2(copy.pipe, O_NONBLOCK | O_CLOEXEC), "pipe");
    while (ends.taken < all) {
        fill(&ends, in[ENTRY]);
        copy_some(&copy);
        drain(&ends, out[EXIT]);
    }
    close_pair(in);
    close_pair(out);
    close_pair(copy.pipe);
    free(copy.memory);
    free(ends.piece);
    return PIECES;
}

static int64_t copy_unix(void) { return copy_between(open_unix, copy_by_splice); }
static int64_t copy_tcp(void) { return copy_between(open_tcp, copy_by_splice); }
static int64_t copy_unix_memory(void) { return copy_between(open_unix, copy_by_memory); }
static int64_t copy_tcp_memory(void) { return copy_between(open_tcp, copy_by_memory); }

const struct work work_of_floor_streams[] = {
    { "udp_pps", udp_pps },
    { "unix_throughput", unix_throughput },
    { "copy_unix", copy_unix },
    { "copy_tcp", copy_tcp },
    { "copy_unix/read_write", copy_unix_memory },
    { "copy_tcp/read_write", copy_tcp_memory },
    { NULL, NULL },
};
