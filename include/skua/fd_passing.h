/* Descriptors over unix sockets, from one process to another, and who is at the other end.
 *
 *     n = skua_send_fds(stream, "f", 1, &fd, 1);                   // the sender keeps its own: close(fd) as ever
 *
 *     int fds[4];
 *     size_t count;
 *     n = skua_receive_fds(stream, &byte, 1, fds, 4, &count);      // fds[0 … count-1] are the caller's to close
 *
 * Descriptors come with the first of the bytes that they were sent with. The kernel ends a read there: behind the bytes
 * that came with descriptors, if not before. Who reads those bytes with skua_read() does not get the descriptors; they
 * are closed.
 */
#ifndef SKUA_FD_PASSING_H
#define SKUA_FD_PASSING_H

#include "skua/base.h"
#include "skua/future.h"
#include "skua/stream.h"

SKUA_BEGIN_DECLS

/* With one call; the kernel's limit. */
enum { SKUA_FDS_MAX = 253 /* descriptors */ };

/* Writes what there is room for, at least a byte, and with the first byte copies of these descriptors. What is left is
 * written with skua_write_all(), without them.
 * Threads, Cancel: as skua_write(); nothing was sent then, as after every error.
 * Returns: how many bytes; -EINVAL (no byte, no descriptor or too many of them); -ENOTSUP (not a unix socket); -EBADF
 *   (also: one of the descriptors); -ETOOMANYREFS (too many are under way); else as skua_write(). */
SKUA_API ssize_t skua_send_fds(skua_stream *stream, const void *data, size_t size, const int *fds, size_t count);

/* Reads as skua_read() does, and takes the descriptors that come with the bytes, `room` of them at most. They are
 * close-on-exec. *count says how many came, 0 at the end and after every error.
 * If more come than there is room for, or than this process may have, all that came are closed, and the bytes are in
 * the buffer, but it is not told how many: such a conversation is over.
 * Threads, Cancel: as skua_read(); what comes later stays with the kernel.
 * Returns: how many bytes; 0 at the end; -EMSGSIZE (more than room for); -EMFILE (more than this process may have);
 *   -EINVAL (no size); -ENOTSUP (not a unix socket); else as skua_read(). */
SKUA_API ssize_t skua_receive_fds(skua_stream *stream, void *buffer, size_t size, int *fds, size_t room,
                                  size_t *count);

/* The two in futures, as a member of the frame that awaits it; what is given must live as long. After a receive `count`
 * says how many came; after a race, too, in which it has lost and yet received: they are still to be closed. Other
 * fields belong to the runtime. */
typedef struct skua_fds_io {
    SKUA_FRAME;
    skua_stream *stream;
    void *data;
    size_t size;
    int *fds;
    size_t room;
    size_t count; /* a receive: how many descriptors came */
    uint32_t what;
    uint32_t life;
    skua_op wait;
    void *reserved[2];
} skua_fds_io;
SKUA_API skua_frame *skua_send_fds_start(skua_fds_io *io, skua_stream *stream, const void *data, size_t size,
                                         const int *fds, size_t count);
SKUA_API skua_frame *skua_receive_fds_start(skua_fds_io *io, skua_stream *stream, void *buffer, size_t size, int *fds,
                                            size_t room);

/* Who has connected, or listens: as the kernel knows him, from the moment when the connection was made. */
typedef struct skua_peer_credentials {
    pid_t pid; /* 0: not known (the system does not tell, or the process lives in a namespace that cannot be seen) */
    uid_t uid; /* its effective user */
    gid_t gid; /* its effective group */
    uint32_t reserved[5];
} skua_peer_credentials;

/* Threads: any. Blocks: never. Returns: 0; -ENOTSUP (not a unix socket); -EBADF (closed); -ENOTCONN, where the system
 * says so; what getsockopt(2) fails with. */
SKUA_API SKUA_NODISCARD int skua_stream_peer_credentials(skua_stream *stream, skua_peer_credentials *peer);

SKUA_END_DECLS

#endif
