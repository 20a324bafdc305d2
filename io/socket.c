/* Listening and accepting; connecting is in connect.c. A listener is a source, and a descriptor in reserve for when
 * there are none. Its memory stays until the last call is over that was under way when it was closed.
 */
#define _GNU_SOURCE
#include "skua/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/socket.h"
#include "io/stream.h"
#include "sched/steps.h"
#include "skua/resolve.h"
#include "skua/time.h"

enum { REST_NS = 5000000 }; /* untuned: between two connections that are turned away */

struct skua_listener {
    struct skuai_source *source; /* fixed, as the next two */
    skua_socket_options options;
    skua_address bound;
    skua_word32 holders;         /* any thread: calls under way, and one for being open */
    skua_word32 reserve;         /* any thread: a descriptor to give up for a moment, + 1; 0: none */
    skua_word64 turned_away;     /* any thread */
};

const skua_socket_options skuai_socket_usual = { .backlog = 0 };

static void set_flag(int fd, int level, int name, bool on)
{
    int value = on;
    (void)setsockopt(fd, level, name, &value, sizeof value); /* a kernel without it does as well as it can */
}

void skuai_socket_set_connected(int fd, bool tcp, const skua_socket_options *options)
{
    if (tcp && !options->delay)
        set_flag(fd, IPPROTO_TCP, TCP_NODELAY, true);
}

int skuai_socket_make(const skua_address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -skua_errno();
}

/* ---- listening ------------------------------------------------------------------------------------------------- */

/* The path of a unix socket with a file, or NULL. */
static const char *path_of(const skua_address *address)
{
    const struct sockaddr_un *local = (const struct sockaddr_un *)(const void *)&address->storage;
    return address->storage.ss_family == AF_UNIX && local->sun_path[0] != '\0' ? local->sun_path : NULL;
}

static void remove_file(const skua_address *address)
{
    const char *path = path_of(address);
    if (path != NULL)
        (void)unlink(path);
}

/* Removes the file of a socket that nobody listens at any more, and nothing else. */
static void remove_stale(const skua_address *address)
{
    const char *path = path_of(address);
    struct stat info;
    if (path == NULL || lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode))
        return;
    int fd = skuai_socket_make(address);
    if (fd < 0)
        return;
    if (connect(fd, skuai_address_sockaddr(address), address->length) != 0 && skua_errno() == ECONNREFUSED)
        (void)unlink(path);
    (void)close(fd);
}

static int bind_and_listen(int fd, const skua_address *address, const skua_socket_options *options)
{
    if (skuai_address_is_tcp(address) && !options->keep_address)
        set_flag(fd, SOL_SOCKET, SO_REUSEADDR, true);
    if (options->reuse_port)
        set_flag(fd, SOL_SOCKET, SO_REUSEPORT, true);
    if (address->storage.ss_family == AF_INET6)
        set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->only_ipv6);
    if (options->replace_file)
        remove_stale(address);
    if (bind(fd, skuai_address_sockaddr(address), address->length) != 0)
        return -skua_errno();
    if (listen(fd, options->backlog > 0 ? options->backlog : SOMAXCONN) == 0)
        return 0;
    int error = -skua_errno();
    remove_file(address);
    return error;
}

/* In place of the one that was given up, or that could not be had. */
static void renew_reserve(skua_listener *listener)
{
    uint32_t none = 0;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && !skuai_cas_32(&listener->reserve, &none, (uint32_t)fd + 1, SKUAI_RELAXED)) /* hands over a number */
        (void)close(fd);
}

static bool give_up_reserve(skua_listener *listener)
{
    uint32_t reserve = skuai_exchange_32(&listener->reserve, 0, SKUAI_RELAXED); /* as above */
    if (reserve != 0)
        (void)close((int)reserve - 1);
    return reserve != 0;
}

static void listener_hold(skua_listener *listener)
{
    skuai_add_32(&listener->holders, 1, SKUAI_RELAXED); /* who calls knows that it is there */
}

static void listener_unhold(skua_listener *listener)
{
    /* Release: what was done with it comes before its end. Acquire: for who ends it. */
    if (skuai_sub_32(&listener->holders, 1, SKUAI_ACQ_REL) != 1)
        return;
    (void)give_up_reserve(listener);
    free(listener);
}

/* Of a socket that is bound; on an error it is the caller's still. */
static int listen_on(skua_listener **out, int fd, const skua_socket_options *options)
{
    skua_listener *listener = malloc(sizeof *listener);
    if (listener == NULL)
        return -ENOMEM;
    *listener = (skua_listener){ .options = *options, .holders = { 1 } };
    listener->bound.length = sizeof listener->bound.storage;
    int rc = 0;
    if (getsockname(fd, (struct sockaddr *)(void *)&listener->bound.storage, &listener->bound.length) != 0)
        rc = -skua_errno();
    if (rc == 0)
        rc = skuai_source_open(options->runtime, fd, false, &listener->source);
    if (rc < 0) {
        free(listener);
        return rc;
    }
    renew_reserve(listener);
    *out = listener;
    return 0;
}

int skua_listen_at(skua_listener **out, const skua_address *address, const skua_socket_options *options)
{
    options = options != NULL ? options : &skuai_socket_usual;
    int fd = skuai_socket_make(address);
    if (fd < 0)
        return fd;
    int rc = bind_and_listen(fd, address, options);
    if (rc == 0) {
        rc = listen_on(out, fd, options);
        if (rc < 0)
            remove_file(address);
    }
    if (rc < 0)
        (void)close(fd);
    return rc;
}

/* That an address is not one of this machine's: another of the name's may be. */
static bool is_elsewhere(int error) { return error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT; }

int skua_listen(skua_listener **listener, const char *text, const skua_socket_options *options)
{
    skua_address address, *addresses;
    size_t count;
    if (skua_address_parse(&address, text) == 0)
        return skua_listen_at(listener, &address, options);
    int rc = skua_resolve(&addresses, &count, text);
    if (rc < 0)
        return rc;
    rc = -EADDRNOTAVAIL;
    for (size_t i = 0; i < count && is_elsewhere(rc); i++)
        rc = skua_listen_at(listener, &addresses[i], options);
    skua_addresses_free(addresses);
    return rc;
}

int skua_listener_address(const skua_listener *listener, skua_address *address)
{
    *address = listener->bound;
    return 0;
}

uint64_t skua_listener_turned_away(const skua_listener *listener)
{
    return skuai_load_64(&listener->turned_away, SKUAI_RELAXED); /* a counter */
}

void skua_listener_close(skua_listener *listener)
{
    uint32_t life;
    if (skuai_source_begin(listener->source, &life))
        remove_file(&listener->bound); /* first: the next one may bind a new one as soon as nobody listens */
    if (SKUAI_LIKELY(skuai_source_close_once(listener->source, "skua_listener_close")))
        listener_unhold(listener);
}

/* ---- accepting ------------------------------------------------------------------------------------------------- */

/* Errors of a connection that was there and is gone, or that the network has: not the listener's (accept(2)). */
static bool is_the_connections(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: /* a firewall's */
        return true;
    default:
        return false;
    }
}

/* The next connection's descriptor, -EAGAIN if there is none, -ECANCELED (it is closed), or an error. */
static int accept_once(struct skuai_source *source, uint32_t life, skua_address *peer)
{
    if (!skuai_readiness_has(skuai_source_readiness(source), SKUAI_READING)) /* a look that spares the entering */
        return -EAGAIN;
    if (!skuai_source_enter(source, life))
        return -ECANCELED;
    uint64_t seen = skuai_source_readiness(source);
    int fd, error;
    do {
        peer->length = sizeof peer->storage;
        fd = accept4(source->fd, (struct sockaddr *)(void *)&peer->storage, &peer->length,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
        error = fd < 0 ? skua_errno() : 0;
    } while (fd < 0 && is_the_connections(error));
    if (error == EAGAIN || error == EWOULDBLOCK) {
        skuai_source_drained(source, seen, SKUAI_READING);
        error = EAGAIN;
    }
    skuai_source_leave(source);
    return fd >= 0 ? fd : -error;
}

static void count_turned_away(skua_listener *listener)
{
    skuai_add_64(&listener->turned_away, 1, SKUAI_RELAXED); /* a counter */
}

/* There is no descriptor for a connection that waits: lets it in by the one in reserve, and out again. */
static void turn_away(skua_listener *listener, uint32_t life)
{
    skua_address peer;
    if (give_up_reserve(listener)) {
        int fd = accept_once(listener->source, life, &peer);
        if (fd >= 0) {
            (void)close(fd);
            count_turned_away(listener);
        }
    }
    renew_reserve(listener);
}

static int wait_acceptable(struct skuai_source *source, uint32_t life)
{
    skua_op op;
    return (int)skuai_call(skuai_source_wait_in_prepare(&op, source, SKUAI_READING, life));
}

/* What is short of now and may be there in a moment. */
static bool is_shortage(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM || rc == -ENOSPC; /* epoll_ctl's */
}

/* A connection that was let in, as a stream. */
static int take_in(skua_listener *listener, int fd, skua_stream **stream)
{
    bool tcp = skuai_address_is_tcp(&listener->bound);
    skuai_socket_set_connected(fd, tcp, &listener->options);
    int rc = skuai_stream_of_fd(stream, listener->options.runtime, fd, tcp ? SKUAI_STREAM_TCP : SKUAI_STREAM_SOCKET);
    if (rc < 0)
        (void)close(fd);
    if (is_shortage(rc))
        count_turned_away(listener);
    return rc;
}

/* What has come of one go, beside 0 and errors. */
enum { WAITS = 1, RESTS = 2 };

/* RESTS, if it is for want of something. */
static int rest_for_want(skua_listener *listener, uint32_t life, int rc)
{
    if (!is_shortage(rc))
        return rc;
    if (rc == -EMFILE || rc == -ENFILE)
        turn_away(listener, life);
    return RESTS;
}

/* One go. 0: there is a stream. */
static int accept_now(skua_listener *listener, uint32_t life, skua_stream **stream, skua_address *peer)
{
    int fd = accept_once(listener->source, life, peer);
    int rc = fd >= 0 ? take_in(listener, fd, stream) : fd;
    return rc == -EAGAIN ? WAITS : rest_for_want(listener, life, rc);
}

static int accept_held(skua_listener *listener, uint32_t life, skua_stream **stream, skua_address *peer)
{
    int go = accept_now(listener, life, stream, peer);
    if (go == 0)
        return (int)skuai_call_end(skuai_worker_self(), 0);
    while (go > 0) {
        int rc = go == WAITS ? wait_acceptable(listener->source, life) : skua_sleep(REST_NS);
        go = rc == 0 ? accept_now(listener, life, stream, peer) : rest_for_want(listener, life, rc);
    }
    return go;
}

int skua_accept(skua_listener *listener, skua_stream **stream, skua_address *peer)
{
    skua_address ignored;
    uint32_t life;
    int rc = skuai_call_begin(skuai_worker_self(), "skua_accept");
    if (rc < 0)
        return rc;
    if (!skuai_source_begin(listener->source, &life))
        return -EBADF;
    listener_hold(listener);
    rc = accept_held(listener, life, stream, peer != NULL ? peer : &ignored);
    listener_unhold(listener);
    return rc;
}

skua_op *skua_acceptable_prepare(skua_op *op, skua_listener *listener)
{
    return skuai_source_wait_prepare(op, listener->source, SKUAI_READING);
}

/* ---- in selects, and so in futures: an arm in steps (sched/steps.h) --------------------------------------------- */

static skua_accept_op *accept_op_of(const skua_op *op) { return (skua_accept_op *)(uintptr_t)op; }

/* Until it is let go the listener's memory stays. False: it is closed. */
static bool hold_for(skua_accept_op *accept)
{
    if (accept->is_held)
        return true;
    if (!skuai_source_begin(accept->listener->source, &accept->life))
        return false;
    listener_hold(accept->listener);
    accept->is_held = true;
    return true;
}

static void unhold_for(skua_accept_op *accept)
{
    if (accept->is_held)
        listener_unhold(accept->listener);
    accept->is_held = false;
}

/* As accept_now(), after a wait with this result. */
static int accept_after(skua_accept_op *accept, int waited)
{
    skua_address ignored, *peer = accept->peer != NULL ? accept->peer : &ignored;
    int go = waited == 0 ? accept_now(accept->listener, accept->life, accept->stream, peer)
                         : rest_for_want(accept->listener, accept->life, waited);
    accept->rests_until_ns = go == RESTS ? skua_after(REST_NS) : 0;
    return go;
}

static void try_accept(skua_op *op)
{
    skua_accept_op *accept = accept_op_of(op);
    bool rests = accept->rests_until_ns != 0 && accept->rests_until_ns > skua_now();
    int go = rests ? RESTS : accept_after(accept, 0);
    if (go > 0)
        return; /* held: it may be started next, and closed before that */
    unhold_for(accept);
    skuai_op_set_done(op, go);
}

/* A1. Nothing is accepted here, but by an arm that is tried alone: another might have taken effect. */
static void start_accept(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_accept_op *accept = accept_op_of(op);
    if (!hold_for(accept))
        (void)skuai_step_end(op, -EBADF);
    else if (!may_wait)
        try_accept(op);
    else if (accept->rests_until_ns != 0)
        skuai_step_start(worker, op, skua_sleep_until_prepare(&accept->wait.rest, accept->rests_until_ns));
    else
        skuai_step_start(worker, op, skuai_source_wait_in_prepare(&accept->wait.op, accept->listener->source,
                                                                  SKUAI_READING, accept->life));
}

/* A2. */
static enum skuai_settled settle_accept(struct skuai_worker *worker, skua_op *op)
{
    skua_accept_op *accept = accept_op_of(op);
    (void)worker;
    if (!skuai_op_is_done(op)) {
        if (!skuai_op_is_done(&accept->wait.op))
            return SKUAI_SETTLING;
        int go = accept_after(accept, (int)accept->wait.op.result);
        if (go > 0)
            return SKUAI_UNSETTLED;
        skuai_op_set_done(op, go);
    }
    unhold_for(accept);
    return SKUAI_SETTLED;
}

/* A3. */
static bool withdraw_accept(skua_op *op)
{
    skuai_step_withdraw(&accept_op_of(op)->wait.op);
    return true;
}

/* A4. What it rests for stays known: who selects on it again goes on resting. */
static void undo_accept(skua_op *op) { unhold_for(accept_op_of(op)); }

static uint64_t accept_due_ns(const skua_op *op)
{
    const skua_accept_op *accept = accept_op_of(op);
    return accept->rests_until_ns != 0 && skuai_op_state(&accept->wait.op) == SKUAI_OP_ARMED ? accept->rests_until_ns
                                                                                           : SKUA_NEVER;
}
static void accept_expired(skua_op *op) { skuai_op_set_done(&accept_op_of(op)->wait.op, 0); }

static const struct skuai_op_kind accept_kind = { .name = "skua_accept",
                                                  .start = start_accept,
                                                  .withdraw = withdraw_accept,
                                                  .settle = settle_accept,
                                                  .undo = undo_accept,
                                                  .due_ns = accept_due_ns,
                                                  .expired = accept_expired };

skua_op *skua_accept_prepare(skua_accept_op *accept, skua_listener *listener, skua_stream **stream, skua_address *peer)
{
    accept->listener = listener;
    accept->stream = stream;
    accept->peer = peer;
    accept->rests_until_ns = 0;
    accept->is_held = false;
    skuai_op_prepare(&accept->wait.op, NULL, NULL);
    return skuai_op_prepare(&accept->op, &accept_kind, listener);
}

SKUA_ASYNC(skua_accepting)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_select_start(&self->selection, &self->arm, 1));
    SKUA_END(SKUA_RESULT(&self->selection) < 0 ? SKUA_RESULT(&self->selection) : self->accept.result);
}

skua_frame *skua_accept_start(skua_accepting *accepting, skua_listener *listener, skua_stream **stream,
                              skua_address *peer)
{
    accepting->arm = skua_accept_prepare(&accepting->accept, listener, stream, peer);
    return skua_frame_init(&accepting->frame, skua_accepting_poll);
}
