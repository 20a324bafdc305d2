/* As fault_calls.c: the calls of datagrams, copies, watched descriptors, signals and processes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/faults.h"
#include "support/test.h"

#define INSTEAD(type, name, params) \
    type fault_##name params;       \
    type fault_##name params

static int error_of(const int *errors, int way)
{
    errno = errors[way];
    return -1;
}

INSTEAD(int, pipe2, (int fds[2], int flags))
{
    int way = faults_way(FAULT_pipe2);
    int rc = way >= 0 ? error_of((int[]){ EMFILE, ENFILE }, way) : pipe2(fds, flags);
    if (rc == 0)
        faults_count(FAULTS_DESCRIPTORS, 2);
    return rc;
}

INSTEAD(int, poll, (struct pollfd *fds, nfds_t count, int timeout_ms))
{
    int way = faults_way(FAULT_poll);
    return way >= 0 ? error_of((int[]){ EINTR, ENOMEM }, way) : poll(fds, count, timeout_ms);
}

/* Besides errors: one byte at a time. */
INSTEAD(ssize_t, splice, (int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags))
{
    int way = faults_way(FAULT_splice);
    if (way == 1)
        return splice(from, from_at, to, to_at, size > 0 ? 1 : 0, flags);
    if (way >= 0)
        return error_of((int[]){ EINTR, 0, EINVAL, ENOMEM }, way);
    return splice(from, from_at, to, to_at, size, flags);
}

/* Besides errors: one at a time. */
INSTEAD(int, recvmmsg, (int fd, struct mmsghdr *headers, unsigned count, int flags, struct timespec *timeout))
{
    int way = faults_way(FAULT_recvmmsg);
    if (way == 1)
        return recvmmsg(fd, headers, 1, flags, timeout);
    return way >= 0 ? error_of((int[]){ EINTR, 0, ENOMEM }, way) : recvmmsg(fd, headers, count, flags, timeout);
}

INSTEAD(int, sendmmsg, (int fd, struct mmsghdr *headers, unsigned count, int flags))
{
    int way = faults_way(FAULT_sendmmsg);
    if (way == 1)
        return sendmmsg(fd, headers, 1, flags);
    return way >= 0 ? error_of((int[]){ EINTR, 0, ENOBUFS }, way) : sendmmsg(fd, headers, count, flags);
}

INSTEAD(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options))
{
    int way = faults_way(FAULT_waitid);
    return way >= 0 ? error_of((int[]){ EINTR }, way) : waitid(type, id, info, options);
}

INSTEAD(pid_t, waitpid, (pid_t pid, int *status, int options))
{
    int way = faults_way(FAULT_waitpid);
    return way >= 0 ? error_of((int[]){ EINTR }, way) : waitpid(pid, status, options);
}

/* These return the error. */
INSTEAD(int, posix_spawnp,
        (pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
         char *const argv[], char *const envp[]))
{
    int way = faults_way(FAULT_posix_spawnp);
    return way >= 0 ? ((int[]){ EAGAIN, ENOENT })[way] : posix_spawnp(pid, file, actions, attributes, argv, envp);
}

INSTEAD(int, posix_spawn_file_actions_init, (posix_spawn_file_actions_t *actions))
{
    return faults_way(FAULT_posix_spawn_file_actions_init) >= 0 ? ENOMEM : posix_spawn_file_actions_init(actions);
}

INSTEAD(int, posix_spawn_file_actions_addchdir_np, (posix_spawn_file_actions_t *actions, const char *path))
{
    return faults_way(FAULT_posix_spawn_file_actions_addchdir_np) >= 0
               ? ENOMEM
               : posix_spawn_file_actions_addchdir_np(actions, path);
}

INSTEAD(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t *actions, int fd, int as))
{
    return faults_way(FAULT_posix_spawn_file_actions_adddup2) >= 0 ? ENOMEM
                                                                  : posix_spawn_file_actions_adddup2(actions, fd, as);
}

INSTEAD(int, posix_spawnattr_init, (posix_spawnattr_t *attributes))
{
    return faults_way(FAULT_posix_spawnattr_init) >= 0 ? ENOMEM : posix_spawnattr_init(attributes);
}
