/* Descriptors over unix sockets: try, and wait when there is nothing, as streams do (stream.c, V1 and V2). A short
 * count says nothing here, for a read ends where descriptors are; so readiness is taken away by EAGAIN alone.
 *
 * A received descriptor belongs to this process as soon as recvmsg(2) returns, so whoever then does not hand it out
 * closes it:
 *   P1 room     there is always room for as many as can come at once, however few were asked for; so none is dropped
 *               unseen, and what the kernel says by MSG_CTRUNC is that this process may not have more
 *   P2 all      are handed out, or all are closed
 */
#define _GNU_SOURCE
#include "io/fd_passing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "io/stream.h"
#include "sched/wait.h"

enum what { SEND, RECEIVE };
enum { OTHER_CONTROL = 256 }; /* for what else may come, if the socket was told to: credentials, labels, times */

/* ---- one system call ------------------------------------------------------------------------------------------- */

/* 0: it is a unix socket; others take descriptors without a word, and drop them. */
static int check_unix(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    address.ss_family = AF_UNSPEC;
    if (getsockname(fd, (struct sockaddr *)(void *)&address, &size) == 0)
        return address.ss_family == AF_UNIX ? 0 : -ENOTSUP;
    return skua_errno() == ENOTSOCK ? -ENOTSUP : -skua_errno();
}

static ssize_t send_once(int socket, const skua_fds_io *io)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(SKUA_FDS_MAX * sizeof(int))];
    } control;
    struct iovec vector = { io->data, io->size };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = CMSG_SPACE(io->room * sizeof(int)) };
    memset(&control, 0, message.msg_controllen);
    control.header.cmsg_len = CMSG_LEN(io->room * sizeof(int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.header), io->fds, io->room * sizeof(int));
    ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
    return n < 0 ? -(ssize_t)skua_errno() : n;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
}

union received {
    struct cmsghdr header;
    char room[CMSG_SPACE(SKUA_FDS_MAX * sizeof(int)) + OTHER_CONTROL];
};

/* P2. Returns how many were handed out, or an error. */
static ssize_t hand_out(struct msghdr *message, int *to, size_t room)
{
    int fds[sizeof(union received) / sizeof(int)];
    size_t count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t more = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + count, CMSG_DATA(header), more * sizeof(int)); /* as many as the control has room for */
        count += more;
    }
    if (count <= room && !(message->msg_flags & MSG_CTRUNC)) {
        for (size_t i = 0; i < count; i++)
            to[i] = fds[i];
        return (ssize_t)count;
    }
    close_all(fds, count);
    return message->msg_flags & MSG_CTRUNC ? -EMFILE : -EMSGSIZE;
}

static ssize_t receive_once(int socket, skua_fds_io *io)
{
    union received control;
    struct iovec vector = { io->data, io->size };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control.room }; /* P1 */
    ssize_t n = skuai_fds_receive(socket, &message);
    if (n < 0)
        return n;
    ssize_t count = hand_out(&message, io->fds, io->room);
    io->count = count > 0 ? (size_t)count : 0;
    return count < 0 ? count : n;
}

static enum skuai_direction direction_of(const skua_fds_io *io)
{
    return io->what == SEND ? SKUAI_WRITING : SKUAI_READING;
}

/* -EAGAIN: to be waited for. -ECANCELED: it is closed. */
static ssize_t try_once(skua_fds_io *io)
{
    struct skuai_source *source = skuai_stream_source(io->stream);
    if (!skuai_readiness_has(skuai_source_readiness(source), direction_of(io)))
        return -EAGAIN;
    if (!skuai_source_enter(source, io->life))
        return -ECANCELED;
    uint64_t seen = skuai_source_readiness(source);
    ssize_t n = check_unix(source->fd);
    if (n == 0)
        do
            n = io->what == SEND ? send_once(source->fd, io) : receive_once(source->fd, io);
        while (n == -EINTR);
    if (n == -EWOULDBLOCK)
        n = -EAGAIN;
    if (n == -EAGAIN)
        skuai_source_drained(source, seen, direction_of(io));
    skuai_source_leave(source);
    return n;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static int check(const skua_fds_io *io)
{
    if (io->size == 0 || (io->what == SEND && (io->room == 0 || io->room > SKUA_FDS_MAX)))
        return -EINVAL;
    return skuai_stream_is_made(io->stream) ? -ENOTSUP : 0;
}

static skua_op *wait_prepare(skua_fds_io *io)
{
    return skuai_source_wait_in_prepare(&io->wait, skuai_stream_source(io->stream), direction_of(io), io->life);
}

static ssize_t call(const char *name, skua_fds_io *io)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = check(io);
    if (rc == 0 && !skuai_source_begin(skuai_stream_source(io->stream), &io->life))
        rc = -EBADF;
    if (rc == 0)
        rc = skuai_call_begin(worker, name);
    if (rc < 0)
        return rc;
    ssize_t n = try_once(io);
    if (n != -EAGAIN)
        return (ssize_t)skuai_call_end(worker, n);
    do {
        rc = (int)skuai_call(wait_prepare(io));
        if (rc < 0)
            return rc;
        n = try_once(io);
    } while (n == -EAGAIN);
    return n;
}

ssize_t skua_send_fds(skua_stream *stream, const void *data, size_t size, const int *fds, size_t count)
{
    skua_fds_io io;
    (void)skua_send_fds_start(&io, stream, data, size, fds, count);
    return call("skua_send_fds", &io);
}

ssize_t skua_receive_fds(skua_stream *stream, void *buffer, size_t size, int *fds, size_t room, size_t *count)
{
    skua_fds_io io;
    (void)skua_receive_fds_start(&io, stream, buffer, size, fds, room);
    ssize_t n = call("skua_receive_fds", &io);
    *count = io.count;
    return n;
}

/* ---- in futures ------------------------------------------------------------------------------------------------- */

enum { TRY, WAIT };

static enum skua_poll end(skua_fds_io *io, ssize_t result)
{
    io->frame.result = result;
    io->frame.flags |= SKUAI_FRAME_ENDED;
    return SKUA_DONE;
}

/* As stream.c's. */
static enum skua_poll poll_fds_io(skua_frame *frame)
{
    skua_fds_io *io = (skua_fds_io *)(void *)frame;
    for (;;) {
        if (frame->resume == WAIT) {
            if (skuai_await_op(frame, &io->wait) == SKUA_PENDING)
                return SKUA_PENDING;
            frame->resume = TRY;
            if (io->wait.result < 0)
                return end(io, (ssize_t)io->wait.result);
        } else {
            int rc = check(io);
            if (rc == 0)
                rc = skua_interrupted();
            if (rc < 0)
                return end(io, rc);
            if (!skuai_frame_may_go_on(frame))
                return SKUA_PENDING;
        }
        ssize_t n = try_once(io);
        if (n != -EAGAIN)
            return end(io, n);
        frame->resume = WAIT;
        skuai_await_set_op(frame, skuai_op_start(wait_prepare(io)));
    }
}

static skua_frame *start(skua_fds_io *io, skua_stream *stream, enum what what, void *data, size_t size)
{
    io->stream = stream;
    io->what = what;
    io->data = data;
    io->size = size;
    io->count = 0;
    (void)skuai_source_begin(skuai_stream_source(stream), &io->life); /* closed before: as closed meanwhile */
    return skua_frame_init(&io->frame, poll_fds_io);
}

skua_frame *skua_send_fds_start(skua_fds_io *io, skua_stream *stream, const void *data, size_t size, const int *fds,
                                size_t count)
{
    io->fds = (int *)(uintptr_t)fds; /* they are only read, as are the data */
    io->room = count;
    return start(io, stream, SEND, (void *)(uintptr_t)data, size);
}

skua_frame *skua_receive_fds_start(skua_fds_io *io, skua_stream *stream, void *buffer, size_t size, int *fds,
                                   size_t room)
{
    io->fds = fds;
    io->room = room;
    return start(io, stream, RECEIVE, buffer, size);
}

/* ---- the peer --------------------------------------------------------------------------------------------------- */

int skua_stream_peer_credentials(skua_stream *stream, skua_peer_credentials *peer)
{
    struct skuai_source *source = skuai_stream_source(stream);
    uint32_t life;
    if (skuai_stream_is_made(stream))
        return -ENOTSUP;
    if (!skuai_source_begin(source, &life) || !skuai_source_enter(source, life))
        return -EBADF;
    int rc = check_unix(source->fd);
    if (rc == 0)
        rc = skuai_fds_peer(source->fd, peer);
    skuai_source_leave(source);
    return rc;
}
