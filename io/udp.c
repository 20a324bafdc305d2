/* UDP over sources: try, and wait when there is nothing, as streams do (stream.c, V1 and V2). A short batch says
 * nothing about what is left, so readiness is taken away by EAGAIN alone. */
#define _GNU_SOURCE
#include "io/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "io/driver.h"
#include "sched/wait.h"
#include "skua/resolve.h"

static struct skuai_source *source_of_udp(const skua_udp *socket) { return (struct skuai_source *)(uintptr_t)socket; }

static const struct sockaddr *sockaddr_of_udp(const skua_address *address)
{
    return (const struct sockaddr *)(const void *)&address->storage;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int bind_udp(int fd, const skua_address *address, const skua_socket_options *options)
{
    int on = 1, only_ipv6 = options->only_ipv6;
    if (options->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return -skua_errno();
    if (address->storage.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof only_ipv6);
    return bind(fd, sockaddr_of_udp(address), address->length) == 0 ? 0 : -skua_errno();
}

int skua_udp_open_at(skua_udp **out, const skua_address *address, const skua_socket_options *options)
{
    static const skua_socket_options usual = { .backlog = 0 };
    struct skuai_source *source;
    if (address->storage.ss_family != AF_INET && address->storage.ss_family != AF_INET6)
        return -EINVAL;
    options = options != NULL ? options : &usual;
    int fd = socket(address->storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -skua_errno();
    int rc = bind_udp(fd, address, options);
    if (rc == 0)
        rc = skuai_source_open(options->runtime, fd, false, &source);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    *out = (skua_udp *)(void *)source;
    return 0;
}

int skua_udp_open(skua_udp **socket, const char *text, const skua_socket_options *options)
{
    skua_address address, *addresses;
    size_t count;
    if (skua_address_parse(&address, text) == 0)
        return skua_udp_open_at(socket, &address, options);
    int rc = skua_resolve(&addresses, &count, text);
    if (rc < 0)
        return rc;
    rc = -EADDRNOTAVAIL;
    for (size_t i = 0; i < count && (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT); i++)
        rc = skua_udp_open_at(socket, &addresses[i], options); /* the first that is one of this machine's */
    skua_addresses_free(addresses);
    return rc;
}

/* Calls of the kernel about the socket itself. */
typedef int socket_call(int fd, void *arg);
static int with_fd(skua_udp *socket, socket_call *call, void *arg)
{
    struct skuai_source *source = source_of_udp(socket);
    uint32_t life;
    if (!skuai_source_begin(source, &life) || !skuai_source_enter(source, life))
        return -EBADF;
    int rc = call(source->fd, arg) == 0 ? 0 : -skua_errno();
    skuai_source_leave(source);
    return rc;
}

static int call_getsockname(int fd, void *arg)
{
    skua_address *address = arg;
    memset(address, 0, sizeof *address);
    address->length = sizeof address->storage;
    return getsockname(fd, (struct sockaddr *)(void *)&address->storage, &address->length);
}
int skua_udp_address(skua_udp *socket, skua_address *address) { return with_fd(socket, call_getsockname, address); }

static int call_connect(int fd, void *arg)
{
    const skua_address *address = arg;
    return connect(fd, sockaddr_of_udp(address), address->length);
}
int skua_udp_connect(skua_udp *socket, const skua_address *address)
{
    return with_fd(socket, call_connect, (void *)(uintptr_t)address);
}

struct membership {
    const skua_address *group;
    unsigned interface_index;
    int ipv4, ipv6; /* the options to set */
};
static int call_membership(int fd, void *arg)
{
    const struct membership *m = arg;
    if (m->group->storage.ss_family == AF_INET6) {
        struct ipv6_mreq request = { .ipv6mr_interface = m->interface_index };
        request.ipv6mr_multiaddr = ((const struct sockaddr_in6 *)(const void *)&m->group->storage)->sin6_addr;
        return setsockopt(fd, IPPROTO_IPV6, m->ipv6, &request, sizeof request);
    }
    struct ip_mreqn request = { .imr_ifindex = (int)m->interface_index };
    request.imr_multiaddr = ((const struct sockaddr_in *)(const void *)&m->group->storage)->sin_addr;
    return setsockopt(fd, IPPROTO_IP, m->ipv4, &request, sizeof request);
}
int skua_udp_join(skua_udp *socket, const skua_address *group, unsigned interface_index)
{
    struct membership m = { group, interface_index, IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP };
    return with_fd(socket, call_membership, &m);
}
int skua_udp_leave(skua_udp *socket, const skua_address *group, unsigned interface_index)
{
    struct membership m = { group, interface_index, IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP };
    return with_fd(socket, call_membership, &m);
}

void skua_udp_close(skua_udp *socket) { (void)skuai_source_close_once(source_of_udp(socket), "skua_udp_close"); }
int skua_udp_fd(const skua_udp *socket) { return source_of_udp(socket)->fd; }

skua_op *skua_udp_receivable_prepare(skua_op *op, skua_udp *socket)
{
    return skuai_source_wait_prepare(op, source_of_udp(socket), SKUAI_READING);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

struct batch {
    enum skuai_direction direction;
    skua_datagram *datagrams; /* sending: only read */
    int count;
    uint32_t life;
};

static int try_batch(struct skuai_source *source, const struct batch *batch)
{
    if (!skuai_readiness_has(skuai_source_readiness(source), batch->direction))
        return -EAGAIN;
    if (!skuai_source_enter(source, batch->life))
        return -ECANCELED;
    uint64_t seen = skuai_source_readiness(source);
    int n;
    do
        n = batch->direction == SKUAI_READING
                ? skuai_udp_receive_batch(source->fd, batch->datagrams, batch->count)
                : skuai_udp_send_batch(source->fd, batch->datagrams, batch->count);
    while (n == -EINTR);
    if (n == -EAGAIN || n == -EWOULDBLOCK)
        skuai_source_drained(source, seen, batch->direction);
    skuai_source_leave(source);
    return n == -EWOULDBLOCK ? -EAGAIN : n;
}

static int move_batch(const char *call, skua_udp *socket, struct batch *batch)
{
    struct skuai_source *source = source_of_udp(socket);
    struct skuai_worker *worker = skuai_worker_self();
    if (!skuai_source_begin(source, &batch->life))
        return -EBADF;
    int n = skuai_call_begin(worker, call);
    if (n < 0)
        return n;
    n = try_batch(source, batch);
    if (n != -EAGAIN)
        return (int)skuai_call_end(worker, n);
    do {
        skua_op op;
        n = (int)skuai_call(skuai_source_wait_in_prepare(&op, source, batch->direction, batch->life));
    } while (n >= 0 && (n = try_batch(source, batch)) == -EAGAIN);
    return n;
}

int skua_udp_receive_many(skua_udp *socket, skua_datagram *datagrams, int count)
{
    struct batch batch = { SKUAI_READING, datagrams, count, 0 };
    return count > 0 ? move_batch("skua_udp_receive", socket, &batch) : -EINVAL;
}

int skua_udp_send_many(skua_udp *socket, const skua_datagram *datagrams, int count)
{
    int sent = 0, n = count > 0 ? 0 : -EINVAL;
    while (n >= 0 && sent < count) {
        struct batch batch = { SKUAI_WRITING, (skua_datagram *)(uintptr_t)datagrams + sent, count - sent, 0 };
        n = move_batch("skua_udp_send", socket, &batch);
        sent += n > 0 ? n : 0;
    }
    return sent > 0 ? sent : n;
}

ssize_t skua_udp_receive(skua_udp *socket, void *buffer, size_t size, skua_address *from)
{
    skua_datagram datagram = { .data = buffer, .size = size };
    int n = skua_udp_receive_many(socket, &datagram, 1);
    if (n < 0)
        return n;
    if (from != NULL)
        *from = datagram.address;
    return (ssize_t)datagram.length;
}

ssize_t skua_udp_send(skua_udp *socket, const void *data, size_t size, const skua_address *to)
{
    skua_datagram datagram = { .data = (void *)(uintptr_t)data, .size = size };
    if (to != NULL)
        datagram.address = *to;
    int n = skua_udp_send_many(socket, &datagram, 1);
    return n < 0 ? n : (ssize_t)size;
}

/* ---- in futures ------------------------------------------------------------------------------------------------- */

enum { TRY, WAIT };

static enum skua_poll end_io(skua_udp_io *io, int n)
{
    int64_t result = io->done > 0 ? io->done : n;
    if (result > 0 && io->datagrams == &io->one) {
        if (io->from != NULL)
            *io->from = io->one.address;
        result = (int64_t)(io->direction == SKUAI_READING ? io->one.length : io->one.size);
    }
    io->frame.result = result;
    io->frame.flags |= SKUAI_FRAME_ENDED;
    return SKUA_DONE;
}

static bool is_done(const skua_udp_io *io)
{
    return io->done > 0 && (io->direction == SKUAI_READING || io->done == io->count);
}

/* As stream.c's. */
static enum skua_poll poll_udp_io(skua_frame *frame)
{
    skua_udp_io *io = (skua_udp_io *)(void *)frame;
    enum skuai_direction direction = (enum skuai_direction)io->direction;
    while (!is_done(io)) {
        if (frame->resume == WAIT) {
            if (skuai_await_op(frame, &io->wait) == SKUA_PENDING)
                return SKUA_PENDING;
            frame->resume = TRY;
            if (io->wait.result < 0)
                return end_io(io, (int)io->wait.result);
        } else {
            int rc = io->count > 0 ? skua_interrupted() : -EINVAL;
            if (rc < 0)
                return end_io(io, rc);
            if (!skuai_frame_may_go_on(frame))
                return SKUA_PENDING;
        }
        struct batch batch = { direction, io->datagrams + io->done, io->count - io->done, io->life };
        int n = try_batch(source_of_udp(io->socket), &batch);
        if (n == -EAGAIN) {
            frame->resume = WAIT;
            skuai_await_set_op(frame, skuai_op_start(skuai_source_wait_in_prepare(
                                          &io->wait, source_of_udp(io->socket), direction, io->life)));
        } else if (n < 0) {
            return end_io(io, n);
        } else {
            io->done += n;
        }
    }
    return end_io(io, io->done);
}

static skua_frame *start_io(skua_udp_io *io, skua_udp *socket, enum skuai_direction direction, skua_datagram *datagrams,
                            int count)
{
    io->socket = socket;
    io->datagrams = datagrams;
    io->direction = direction;
    io->count = count;
    io->done = 0;
    io->from = NULL;
    (void)skuai_source_begin(source_of_udp(socket), &io->life); /* closed before: as closed meanwhile */
    return skua_frame_init(&io->frame, poll_udp_io);
}

skua_frame *skua_udp_receive_start(skua_udp_io *io, skua_udp *socket, void *buffer, size_t size, skua_address *from)
{
    io->one = (skua_datagram){ .data = buffer, .size = size };
    (void)start_io(io, socket, SKUAI_READING, &io->one, 1);
    io->from = from;
    return &io->frame;
}

skua_frame *skua_udp_send_start(skua_udp_io *io, skua_udp *socket, const void *data, size_t size,
                                const skua_address *to)
{
    io->one = (skua_datagram){ .data = (void *)(uintptr_t)data, .size = size };
    if (to != NULL)
        io->one.address = *to;
    return start_io(io, socket, SKUAI_WRITING, &io->one, 1);
}

skua_frame *skua_udp_receive_many_start(skua_udp_io *io, skua_udp *socket, skua_datagram *datagrams, int count)
{
    return start_io(io, socket, SKUAI_READING, datagrams, count);
}

skua_frame *skua_udp_send_many_start(skua_udp_io *io, skua_udp *socket, const skua_datagram *datagrams, int count)
{
    return start_io(io, socket, SKUAI_WRITING, (skua_datagram *)(uintptr_t)datagrams, count); /* they are only read */
}
