/* Sockets: listening, accepting, connecting.
 *
 *     skua_listener *listener;
 *     skua_stream *peer;
 *     int rc = skua_listen(&listener, "tcp://127.0.0.1:7000", NULL);
 *     while (rc >= 0)
 *         if ((rc = skua_accept(listener, &peer, NULL)) >= 0)
 *             rc = skua_go(echo, peer);
 *
 * Addresses are written
 *     tcp://127.0.0.1:7000     tcp://[::1]:7000     tcp://[::]:7000 (listening: every interface, IPv6 and IPv4)
 *     tcp://127.0.0.1:0        (listening: a free port; skua_listener_address() tells which)
 *     unix:/run/x.sock         unix:@name (Linux's abstract names, which need no file)
 * Hosts are numbers so far; names take a resolver that does not block.
 */
#ifndef SKUA_SOCKET_H
#define SKUA_SOCKET_H

#include <sys/socket.h>

#include "skua/base.h"
#include "skua/stream.h"

SKUA_BEGIN_DECLS

typedef struct skua_listener skua_listener;

/* Room for every address as text, with its terminator. */
enum { SKUA_ADDRESS_TEXT_MAX = 160 };

/* An address, as text and as the system has it. */
typedef struct skua_address {
    struct sockaddr_storage storage;
    socklen_t length;
} skua_address;

/* Understands an address as above. Threads: any. Returns: 0; -EINVAL (it is not written so); -ENAMETOOLONG. */
SKUA_API SKUA_NODISCARD int skua_address_parse(skua_address *address, const char *text);
/* Writes it (an IP address as tcp://), cut to size - 1 bytes and terminated. Returns its whole length; -EAFNOSUPPORT.
 */
SKUA_API int skua_address_format(const skua_address *address, char *text, size_t size);

/* Zero is what is usual. */
typedef struct skua_socket_options {
    skua_runtime *runtime; /* NULL: the calling task's */
    int backlog;           /* 0: SOMAXCONN */
    bool reuse_port;       /* several listeners share the address, and the kernel spreads connections over them */
    bool keep_address;     /* without SO_REUSEADDR, which is otherwise set on listening TCP sockets */
    bool delay;            /* TCP: small writes may wait for one another (Nagle); otherwise TCP_NODELAY is set */
    bool only_ipv6;        /* an IPv6 listener does not take IPv4 connections */
    bool replace_file;     /* unix: what lies at the path is removed first if nobody listens there */
    uint32_t reserved_flags;
    void *reserved[4];
} skua_socket_options;

/* Listens. `options` may be NULL. Threads: any. Blocks: never.
 * Returns: 0; -EINVAL (the address, no runtime); -ENOTSUP (in a simulation); what socket(2), bind(2) and listen(2) fail
 *   with, as -EADDRINUSE and -EACCES; -ENOMEM. */
SKUA_API SKUA_NODISCARD int skua_listen(skua_listener **listener, const char *address,
                                        const skua_socket_options *options);
SKUA_API SKUA_NODISCARD int skua_listen_at(skua_listener **listener, const skua_address *address,
                                           const skua_socket_options *options);
/* The address that it listens at. Returns 0 or an error of getsockname(2). */
SKUA_API int skua_listener_address(const skua_listener *listener, skua_address *address);

/* Waits for a connection. `peer` (may be NULL): who it is. When descriptors run out (EMFILE, ENFILE) the connection
 * that comes is taken and closed at once with the help of a descriptor that is kept for this, so that its other side
 * learns of it, and the call goes on waiting; after each it rests for some milliseconds, so that this costs no
 * processor. When memory runs out (ENOBUFS, ENOMEM) it rests likewise and tries again.
 * Threads, Cancel: as skua_read(); a connection that is not returned stays with the kernel.
 * Returns: 0; -ECANCELED (also: the listener was closed); -ETIMEDOUT; -EBADF; other errors of accept4(2) that are not
 *   about the one connection, which is then skipped. */
SKUA_API SKUA_NODISCARD int skua_accept(skua_listener *listener, skua_stream **stream, skua_address *peer);
/* As an arm of a select: that somebody waits to be accepted. */
SKUA_API skua_op *skua_acceptable_prepare(skua_op *op, skua_listener *listener);
/* How many connections it has had to turn away for want of descriptors or memory. */
SKUA_API uint64_t skua_listener_turned_away(const skua_listener *listener);

/* Closes it; whoever waits in it gets -ECANCELED. A unix socket's file is removed. Threads: any, once, and not while
 * somebody is about to call. */
SKUA_API void skua_listener_close(skua_listener *listener);

/* Connects. Threads, Cancel: as skua_read(); what was begun is undone.
 * Returns: 0; -EINVAL; -ECONNREFUSED, -ETIMEDOUT, -ENETUNREACH, -ENOENT and what else connect(2) fails with;
 *   -ECANCELED; -EMFILE, -ENFILE, -ENOMEM. */
SKUA_API SKUA_NODISCARD int skua_connect(skua_stream **stream, const char *address,
                                         const skua_socket_options *options);
SKUA_API SKUA_NODISCARD int skua_connect_to(skua_stream **stream, const skua_address *address,
                                            const skua_socket_options *options);

/* Two streams that are connected with each other (a pair of unix sockets). Returns as skua_connect(). */
SKUA_API SKUA_NODISCARD int skua_stream_pair(skua_stream *streams[2], const skua_socket_options *options);

SKUA_END_DECLS

#endif
