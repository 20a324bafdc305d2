/* Listening, accepting and connecting. A listener is a source, and a descriptor in reserve for when there are none. */
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
#include "io/stream.h"
#include "sched/wait.h"
#include "skua/time.h"

enum { TURN_AWAY_REST_NS = 5000000 }; /* untuned: between two connections that are turned away */

struct skua_listener {
    struct skuai_source *source;
    skua_socket_options options;
    struct skuai_lock lock;
    int reserve;              /* guarded by lock: a descriptor to give up for a moment, or -1 */
    skua_word64 turned_away;
    skua_address bound;
};

static const skua_socket_options usual = { .backlog = 0 };

static void set_flag(int fd, int level, int name, bool on)
{
    int value = on;
    (void)setsockopt(fd, level, name, &value, sizeof value); /* a kernel without it does as well as it can */
}

static bool is_tcp(const skua_address *address) { return address->storage.ss_family != AF_UNIX; }

/* For what is connected: NODELAY. */
static void set_connected_options(int fd, bool tcp, const skua_socket_options *options)
{
    if (tcp && !options->delay)
        set_flag(fd, IPPROTO_TCP, TCP_NODELAY, true);
}

static int make_socket(const skua_address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -skua_errno();
}

static const struct sockaddr *sockaddr_of(const skua_address *address)
{
    return (const struct sockaddr *)(const void *)&address->storage;
}

/* ---- listening ------------------------------------------------------------------------------------------------- */

/* The path of a unix socket with a file, or NULL. */
static const char *path_of(const skua_address *address)
{
    const struct sockaddr_un *local = (const struct sockaddr_un *)(const void *)&address->storage;
    return address->storage.ss_family == AF_UNIX && local->sun_path[0] != '\0' ? local->sun_path : NULL;
}

/* Removes the file of a socket that nobody listens at any more, and nothing else. */
static void remove_stale(const skua_address *address)
{
    const char *path = path_of(address);
    struct stat info;
    if (path == NULL || lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode))
        return;
    int fd = make_socket(address);
    if (fd < 0)
        return;
    if (connect(fd, sockaddr_of(address), address->length) != 0 && skua_errno() == ECONNREFUSED)
        (void)unlink(path);
    (void)close(fd);
}

static int bind_and_listen(int fd, const skua_address *address, const skua_socket_options *options)
{
    if (is_tcp(address) && !options->keep_address)
        set_flag(fd, SOL_SOCKET, SO_REUSEADDR, true);
    if (options->reuse_port)
        set_flag(fd, SOL_SOCKET, SO_REUSEPORT, true);
    if (address->storage.ss_family == AF_INET6)
        set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->only_ipv6);
    if (options->replace_file)
        remove_stale(address);
    if (bind(fd, sockaddr_of(address), address->length) != 0 ||
        listen(fd, options->backlog > 0 ? options->backlog : SOMAXCONN) != 0)
        return -skua_errno();
    return 0;
}

static int open_reserve(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

int skua_listen_at(skua_listener **out, const skua_address *address, const skua_socket_options *options)
{
    options = options != NULL ? options : &usual;
    int fd = make_socket(address);
    if (fd < 0)
        return fd;
    int rc = bind_and_listen(fd, address, options);
    skua_listener *listener = rc == 0 ? malloc(sizeof *listener) : NULL;
    if (rc == 0 && listener == NULL)
        rc = -ENOMEM;
    if (rc == 0) {
        *listener = (skua_listener){ .options = *options, .reserve = open_reserve() };
        listener->bound.length = sizeof listener->bound.storage;
        (void)getsockname(fd, (struct sockaddr *)(void *)&listener->bound.storage, &listener->bound.length);
        rc = skuai_source_open(options->runtime, fd, false, &listener->source);
    }
    if (rc < 0) {
        if (listener != NULL && listener->reserve >= 0)
            (void)close(listener->reserve);
        free(listener);
        (void)close(fd);
        return rc;
    }
    *out = listener;
    return 0;
}

int skua_listen(skua_listener **listener, const char *text, const skua_socket_options *options)
{
    skua_address address;
    int rc = skua_address_parse(&address, text);
    return rc < 0 ? rc : skua_listen_at(listener, &address, options);
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
    skuai_source_close(listener->source);
    if (listener->reserve >= 0)
        (void)close(listener->reserve);
    if (path_of(&listener->bound) != NULL)
        (void)unlink(path_of(&listener->bound));
    free(listener);
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

/* The next connection's descriptor, -EAGAIN if there is none, or an error. */
static int accept_once(struct skuai_source *source, skua_address *peer)
{
    uint64_t seen = skuai_source_readiness(source);
    if (!skuai_readiness_has(seen, SKUAI_READING))
        return -EAGAIN;
    if (!skuai_source_enter(source))
        return -EBADF;
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

/* There is no descriptor for a connection that waits: lets it in by the one in reserve, and out again. */
static void turn_away(skua_listener *listener)
{
    skua_address peer;
    skuai_lock_acquire(&listener->lock);
    if (listener->reserve >= 0)
        (void)close(listener->reserve);
    int fd = accept_once(listener->source, &peer);
    if (fd >= 0)
        (void)close(fd);
    listener->reserve = open_reserve();
    skuai_lock_release(&listener->lock);
    if (fd >= 0)
        skuai_add_64(&listener->turned_away, 1, SKUAI_RELAXED); /* a counter */
}

static int wait_acceptable(struct skuai_source *source)
{
    skua_op op;
    return (int)skuai_call(skuai_source_wait_prepare(&op, source, SKUAI_READING));
}

int skua_accept(skua_listener *listener, skua_stream **stream, skua_address *peer)
{
    struct skuai_source *source = listener->source;
    struct skuai_worker *worker = skuai_worker_self();
    skua_address ignored;
    int rc = skuai_call_begin(worker, "skua_accept");
    if (rc < 0)
        return rc;
    skua_address *who = peer != NULL ? peer : &ignored;
    /* What is needed of the listener after a wait: it may be closed by then, and gone. */
    const skua_socket_options options = listener->options;
    bool tcp = is_tcp(&listener->bound);
    int fd;
    while ((fd = accept_once(source, who)) < 0) {
        if (fd == -EAGAIN) {
            rc = wait_acceptable(source);
        } else if (fd == -EMFILE || fd == -ENFILE) {
            turn_away(listener);
            rc = skua_sleep(TURN_AWAY_REST_NS);
        } else {
            rc = fd;
        }
        if (rc < 0)
            return rc;
    }
    set_connected_options(fd, tcp, &options);
    rc = skuai_stream_of_fd(stream, options.runtime, fd, true);
    if (rc < 0)
        (void)close(fd);
    return rc < 0 ? rc : (int)skuai_call_end(skuai_worker_self(), 0);
}

skua_op *skua_acceptable_prepare(skua_op *op, skua_listener *listener)
{
    return skuai_source_wait_prepare(op, listener->source, SKUAI_READING);
}

/* ---- connecting ------------------------------------------------------------------------------------------------ */

/* Waits until a connection that is under way has come about or has failed. */
static int finish_connecting(skua_stream *stream)
{
    struct skuai_source *source = skuai_stream_source(stream);
    skua_op op;
    int error = 0;
    socklen_t size = sizeof error;
    skuai_source_drained(source, skuai_source_readiness(source), SKUAI_WRITING); /* not before it is connected */
    int rc = (int)skuai_call(skuai_source_wait_prepare(&op, source, SKUAI_WRITING));
    if (rc < 0)
        return rc;
    if (getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = skua_errno();
    return -error;
}

int skua_connect_to(skua_stream **out, const skua_address *address, const skua_socket_options *options)
{
    skua_stream *stream;
    int begin = skuai_call_begin(skuai_worker_self(), "skua_connect");
    if (begin < 0)
        return begin;
    options = options != NULL ? options : &usual;
    int fd = make_socket(address);
    if (fd < 0)
        return fd;
    set_connected_options(fd, is_tcp(address), options);
    int rc = skuai_stream_of_fd(&stream, options->runtime, fd, true);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    if (connect(fd, sockaddr_of(address), address->length) != 0)
        rc = skua_errno() == EINPROGRESS || skua_errno() == EINTR ? finish_connecting(stream) : -skua_errno();
    if (rc < 0)
        skua_stream_close(stream);
    else
        *out = stream;
    return rc;
}

int skua_connect(skua_stream **stream, const char *text, const skua_socket_options *options)
{
    skua_address address;
    int rc = skua_address_parse(&address, text);
    return rc < 0 ? rc : skua_connect_to(stream, &address, options);
}

int skua_stream_pair(skua_stream *streams[2], const skua_socket_options *options)
{
    int fds[2];
    skua_runtime *rt = options != NULL ? options->runtime : NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return -skua_errno();
    int rc = skuai_stream_of_fd(&streams[0], rt, fds[0], true);
    if (rc < 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return rc;
    }
    rc = skuai_stream_of_fd(&streams[1], rt, fds[1], true);
    if (rc < 0) {
        skua_stream_close(streams[0]);
        (void)close(fds[1]);
    }
    return rc;
}
