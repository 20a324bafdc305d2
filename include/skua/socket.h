/* Sockets: listening, accepting, connecting.
 *
 *     skua_listener *listener;
 *     skua_stream *peer;
 *     int rc = skua_listen(&listener, "tcp://127.0.0.1:7000", NULL);
 *     while (rc >= 0)
 *         if ((rc = skua_accept(listener, &peer, NULL)) >= 0)
 *             rc = skua_go(echo, peer);
 *
 * or in a future, with a skua_accepting as a member (examples/echo_futures.c is a whole server):
 *
 *     SKUA_AWAIT(skua_accept_start(&self->accepting, listener, &self->peer, NULL));
 *     if (SKUA_RESULT(&self->accepting) == 0)
 *         rc = SKUA_GO(echo, .peer = self->peer);
 *
 * Addresses are written
 *     tcp://127.0.0.1:7000     tcp://[::1]:7000     tcp://[::]:7000 (listening: every interface, IPv6 and IPv4)
 *     tcp://127.0.0.1:0        (listening: a free port; skua_listener_address() tells which)
 *     unix:/run/x.sock         unix:@name (Linux's abstract names, which need no file)
 *     tcp://example.org:443    (skua_connect(), skua_listen(), skua_udp_open(), skua_resolve(): a name)
 * A name is looked up without standing in a worker's way (resolve.h). One with several addresses is connected to by all
 * of them, so to speak: see skua_connect().
 */
#ifndef SKUA_SOCKET_H
#define SKUA_SOCKET_H

#include <sys/socket.h>

#include "skua/base.h"
#include "skua/select.h"
#include "skua/stream.h"
#include "skua/time.h"

SKUA_BEGIN_DECLS

/* Where connections come in; made by skua_listen(). */
typedef struct skua_listener skua_listener;

/* Room for every address as text, with its terminator. */
enum { SKUA_ADDRESS_TEXT_MAX = 160 /* bytes */ };

/* An address, as text and as the system has it. */
typedef struct skua_address {
    struct sockaddr_storage storage; /* a sockaddr of the family that it says */
    socklen_t length;                /* of what of it counts, in bytes */
} skua_address;

/* Understands an address as above, whose host is a number. Threads: any. Returns: 0; -EINVAL (it is not written so);
 * -ENAMETOOLONG. */
SKUA_API SKUA_NODISCARD int skua_address_parse(skua_address *address, const char *text);
/* What is wrong with an address that was refused with -EINVAL or -ENAMETOOLONG, for a message; NULL: it is well-formed,
 * with a number or a name. Threads: any. The text is static. */
SKUA_API const char *skua_address_explain(const char *text);
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
    uint32_t attempt_delay_ms; /* connecting to one of several addresses: when the next is tried. 0: 250 */
    void *reserved[4];
} skua_socket_options;

/* Listens. `options` may be NULL. Of a name's addresses the first that is one of this machine's is taken.
 * Threads: any. Blocks: never; but while a name is looked up, and Threads and Cancel are as of skua_resolve() then.
 * Returns: 0; -EINVAL (the address, no runtime); -ENOTSUP (in a simulation); what socket(2), bind(2) and listen(2) fail
 *   with, as -EADDRINUSE and -EACCES; -ENOMEM; of a name also errors as skua_resolve(). */
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
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); futures: skua_accept_start(); selects:
 *   skua_accept_prepare(). Cancel: at -ECANCELED or -ETIMEDOUT none was accepted; they stay with the kernel.
 * Returns: 0; -ECANCELED (also: the listener was closed); -ETIMEDOUT; -EBADF; other errors of accept4(2) that are not
 *   about the one connection, which is then skipped. */
SKUA_API SKUA_NODISCARD int skua_accept(skua_listener *listener, skua_stream **stream, skua_address *peer);

/* The same as an arm of a select: result, *stream and *peer (may be NULL) as of skua_accept(). Nothing is accepted but
 * when the select ends with this arm. When something has run out it rests, as the call does, while the other arms wait
 * on; it goes on resting if it is selected on again as it is. skua_select_try() accepts without waiting, from wherever,
 * who is known to be there. The listener may be closed while the select waits, not before. Fields but `result` belong
 * to the runtime. */
typedef struct skua_accept_op {
    SKUA_OP_HEADER;
    skua_listener *listener;
    skua_stream **stream;
    skua_address *peer;
    uint64_t rests_until_ns; /* or 0 */
    uint32_t life;
    bool is_held;            /* the listener, by this */
    union {
        skua_op op;
        skua_sleep_op rest;
    } wait;
    void *reserved[2];
} skua_accept_op;
SKUA_API skua_op *skua_accept_prepare(skua_accept_op *op, skua_listener *listener, skua_stream **stream,
                                      skua_address *peer);

/* The same as a future, as a member of the frame that awaits it: SKUA_RESULT(&accepting) is what skua_accept() returns,
 * and *stream and *peer (may be NULL) are set if it is 0. Cancel: likewise. Nothing is allocated. Fields belong to the
 * runtime. */
typedef struct skua_accepting {
    SKUA_FRAME;
    skua_accept_op accept;
    skua_op *arm;
    skua_selection selection;
} skua_accepting;
SKUA_API skua_frame *skua_accept_start(skua_accepting *accepting, skua_listener *listener, skua_stream **stream,
                                       skua_address *peer);

/* As an arm of a select: that somebody waits to be accepted, who may have been accepted by another meanwhile. */
SKUA_API skua_op *skua_acceptable_prepare(skua_op *op, skua_listener *listener);
/* How many connections it has had to turn away for want of descriptors or memory. */
SKUA_API uint64_t skua_listener_turned_away(const skua_listener *listener);

/* Closes it; whoever waits in it gets -ECANCELED. A unix socket's file is removed. Threads: any, once, and not while
 * somebody is about to call. */
SKUA_API void skua_listener_close(skua_listener *listener);

/* Connects. A name is resolved, and its addresses are tried as skua_connect_any() does.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); futures: skua_connect_start() and its
 *   like; selects: skua_connect_prepare() and its like. Cancel: what was begun is undone.
 * Returns: 0; -EINVAL; -ECONNREFUSED, -ETIMEDOUT, -ENETUNREACH, -ENOENT and what else connect(2) fails with;
 *   -ECANCELED; -EMFILE, -ENFILE, -ENOMEM; of a name also errors as skua_resolve(). */
SKUA_API SKUA_NODISCARD int skua_connect(skua_stream **stream, const char *address,
                                         const skua_socket_options *options);
SKUA_API SKUA_NODISCARD int skua_connect_to(skua_stream **stream, const skua_address *address,
                                            const skua_socket_options *options);

/* Connects to one of several addresses, as RFC 8305 ("Happy Eyeballs") has it: families take turns, beginning with the
 * first's, else in the order given; the next is tried when one has failed, or options->attempt_delay_ms after the last
 * one. The first that is connected is returned, and the others are closed before the call returns.
 * Threads, Cancel: as skua_connect(). Returns: 0; -EINVAL (no address); when all have failed the first's error that is
 *   more than that there is no way to it; errors as skua_connect(). */
SKUA_API SKUA_NODISCARD int skua_connect_any(skua_stream **stream, const skua_address *addresses, size_t count,
                                             const skua_socket_options *options);

/* One of several that are tried. */
struct skuai_attempt {
    skua_op wait;
    skua_stream *stream;
};

/* These three as arms of a select: result and *stream as of the calls. The arm begins to connect when the select has
 * begun to wait, and if another arm takes effect what it has begun is undone: a socket that is under way is closed, and
 * so is one that had just been connected, which the other side may notice. So a connection is begun anew with each
 * select: where other arms are often ready spawn a future that connects, and select on its join. skua_select_try() does
 * not begin one. Of allocations there is one for several addresses, and those of skua_resolve() for a name. The text,
 * the addresses and the options must stay as long as it may be selected on. A thread outside the runtime that gives a
 * name must give options->runtime. Fields but `result` belong to the runtime. */
typedef struct skua_connect_op {
    SKUA_OP_HEADER;
    skua_stream **stream;
    const char *text;              /* or: */
    const skua_address *addresses;
    size_t naddresses;
    const skua_socket_options *options;
    uint32_t stage;                /* from here on: what is under way */
    uint32_t count, begun, under_way;
    int error;
    uint64_t next_ns;              /* when the next address is to be tried; 0: now */
    const skua_address *from;      /* `count` */
    struct skuai_attempt *attempts;
    uint32_t *order;
    skua_stream *connected;
    skua_address *resolved;
    struct skuai_request *request;
    struct skuai_attempt one;
    skua_sleep_op delay;
    void *reserved[2];
} skua_connect_op;
SKUA_API skua_op *skua_connect_prepare(skua_connect_op *op, skua_stream **stream, const char *address,
                                       const skua_socket_options *options);
SKUA_API skua_op *skua_connect_to_prepare(skua_connect_op *op, skua_stream **stream, const skua_address *address,
                                          const skua_socket_options *options);
SKUA_API skua_op *skua_connect_any_prepare(skua_connect_op *op, skua_stream **stream, const skua_address *addresses,
                                           size_t count, const skua_socket_options *options);

/* These three as futures, as a member of the frame that awaits them:
 *     SKUA_AWAIT(skua_connect_start(&self->connecting, &self->stream, "tcp://example.org:80", NULL));
 *     rc = (int)SKUA_RESULT(&self->connecting);
 * Result, *stream and cancellation as of the calls; allocations and what must stay as above. Fields belong to the
 * runtime. */
typedef struct skua_connecting {
    SKUA_FRAME;
    skua_connect_op connect;
    skua_op *arm;
    skua_selection selection;
} skua_connecting;
SKUA_API skua_frame *skua_connect_start(skua_connecting *connecting, skua_stream **stream, const char *address,
                                        const skua_socket_options *options);
SKUA_API skua_frame *skua_connect_to_start(skua_connecting *connecting, skua_stream **stream,
                                           const skua_address *address, const skua_socket_options *options);
SKUA_API skua_frame *skua_connect_any_start(skua_connecting *connecting, skua_stream **stream,
                                            const skua_address *addresses, size_t count,
                                            const skua_socket_options *options);

/* Two streams that are connected with each other (a pair of unix sockets). Of the options the runtime counts.
 * Threads: any. Blocks: never. Returns: 0; -EINVAL (no runtime); -ENOTSUP (in a simulation, in a fork's child);
 * -EMFILE, -ENFILE, -ENOMEM. */
SKUA_API SKUA_NODISCARD int skua_stream_pair(skua_stream *streams[2], const skua_socket_options *options);

SKUA_END_DECLS

#endif
