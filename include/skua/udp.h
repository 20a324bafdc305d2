/* UDP: datagrams, one or many at a time; multicast.
 *
 *     skua_udp *socket;
 *     skua_udp_open(&socket, "udp://0.0.0.0:5353", NULL);
 *     n = skua_udp_receive(socket, buffer, sizeof buffer, &from);
 *     n = skua_udp_send(socket, buffer, (size_t)n, &from);
 *
 * Addresses as in socket.h, with udp:// in front.
 */
#ifndef SKUA_UDP_H
#define SKUA_UDP_H

#include "skua/base.h"
#include "skua/socket.h"

SKUA_BEGIN_DECLS

/* Made by skua_udp_open(). */
typedef struct skua_udp skua_udp;

/* Opens a socket that is bound to an address (port 0: a free one). Of the options runtime, reuse_port and only_ipv6
 * count. Threads, Blocks, Cancel, Returns: as skua_listen(); -EINVAL also where an address is neither IPv4 nor
 * IPv6. (To send to a name: skua_resolve().) */
SKUA_API SKUA_NODISCARD int skua_udp_open(skua_udp **socket, const char *address, const skua_socket_options *options);
SKUA_API SKUA_NODISCARD int skua_udp_open_at(skua_udp **socket, const skua_address *address,
                                             const skua_socket_options *options);
/* The address that it is bound to. Returns: 0; -EBADF; errors of getsockname(2). */
SKUA_API int skua_udp_address(skua_udp *socket, skua_address *address);
/* From now on it receives from this address only, and sends to it where none is given. Returns: 0; -EBADF; errors of
 * connect(2). */
SKUA_API int skua_udp_connect(skua_udp *socket, const skua_address *address);
/* Closes it; waits in it end with -ECANCELED. Threads: any, once. */
SKUA_API void skua_udp_close(skua_udp *socket);
/* The descriptor, for options. As skua_stream_fd(). */
SKUA_API int skua_udp_fd(const skua_udp *socket);

/* Receives a datagram, cut to `size` bytes. `from` may be NULL.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); futures: skua_udp_receive_start() and
 * its like. Cancel: at -ECANCELED or -ETIMEDOUT none was taken.
 * Returns: its length, which is greater than `size` if it was cut; -ECANCELED; -ETIMEDOUT; -EBADF;
 * -ECONNREFUSED (connected: nobody listens there) and what else recvmsg(2) fails with. */
SKUA_API ssize_t skua_udp_receive(skua_udp *socket, void *buffer, size_t size, skua_address *from);
/* Sends one. `to`: NULL if connected. Waits while the socket's buffer is full. Returns: size; -EMSGSIZE and what else
 * sendmsg(2) fails with; else as above, and nothing was sent. */
SKUA_API ssize_t skua_udp_send(skua_udp *socket, const void *data, size_t size, const skua_address *to);

/* One of many. */
typedef struct skua_datagram {
    void *data;           /* its bytes, or the room for them */
    size_t size;          /* receiving: the room; sending: the length */
    size_t length;        /* received: its length, which is greater than `size` if it was cut */
    skua_address address; /* whom it came from, or is for; length 0: sending on a connected socket */
} skua_datagram;

/* Receives as many as are there, up to `count`, and waits only if there is none: one system call for up to 64.
 * Returns: how many, at least one; errors as skua_udp_receive(); -EINVAL (`count` is less than 1). */
SKUA_API int skua_udp_receive_many(skua_udp *socket, skua_datagram *datagrams, int count);
/* Sends all. Returns: count; fewer, if a later one met an error, which the next call will tell; errors as
 * skua_udp_send() if the first did; -EINVAL (`count` is less than 1). At -ECANCELED or -ETIMEDOUT none was sent; if
 * some were it returns how many. */
SKUA_API int skua_udp_send_many(skua_udp *socket, const skua_datagram *datagrams, int count);

/* As an arm of a select: that a receive will not wait, as far as is known. */
SKUA_API skua_op *skua_udp_receivable_prepare(skua_op *op, skua_udp *socket);

/* These four as futures, as a member of the frame that awaits them:
 *     SKUA_AWAIT(skua_udp_receive_start(&self->io, self->socket, self->buffer, sizeof self->buffer, &self->from));
 *     n = SKUA_RESULT(&self->io);
 * Results and cancellation as of the calls, but that of a socket that was closed before is -ECANCELED. What they are
 * given must live as long, but for `to`. Fields belong to the runtime. */
typedef struct skua_udp_io {
    SKUA_FRAME;
    skua_udp *socket;
    skua_datagram *datagrams;
    skua_address *from;
    int count, done;
    uint32_t direction, life;
    skua_datagram one;
    skua_op wait;
    void *reserved[2];
} skua_udp_io;
SKUA_API skua_frame *skua_udp_receive_start(skua_udp_io *io, skua_udp *socket, void *buffer, size_t size,
                                            skua_address *from);
SKUA_API skua_frame *skua_udp_send_start(skua_udp_io *io, skua_udp *socket, const void *data, size_t size,
                                         const skua_address *to);
SKUA_API skua_frame *skua_udp_receive_many_start(skua_udp_io *io, skua_udp *socket, skua_datagram *datagrams,
                                                 int count);
SKUA_API skua_frame *skua_udp_send_many_start(skua_udp_io *io, skua_udp *socket, const skua_datagram *datagrams,
                                              int count);

/* Joins a multicast group, on the interface of this index (if_nametoindex(3); 0: the system's choice).
 * Returns: 0; -EBADF; -EINVAL (no multicast address); errors of setsockopt(2). */
SKUA_API int skua_udp_join(skua_udp *socket, const skua_address *group, unsigned interface_index);
/* Leaves it. Returns: 0; -EBADF; -EADDRNOTAVAIL (it was not joined there); errors of setsockopt(2). */
SKUA_API int skua_udp_leave(skua_udp *socket, const skua_address *group, unsigned interface_index);

SKUA_END_DECLS

#endif
