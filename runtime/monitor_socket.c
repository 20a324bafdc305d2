/* The socket of a runtime that can be looked into: where it lies, and that only its user can open it.
 *
 * bind(2) gives the file the mode that the umask leaves, and the umask is the whole process's: it is not ours to
 * change. So the mode is set between bind and listen: until then nobody can connect, whatever the mode. Besides, the
 * kernel is asked for the number of who connects (monitor.c).
 *
 * A file that nobody listens at is one of a process that has died, and is removed. Two processes that find the same one
 * at the same instant can remove each other's new one, and one of them cannot be reached then: with paths that have the
 * process's number in them that does not happen.
 */
#define _GNU_SOURCE
#include "runtime/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 16, DIRECTORIES = 2, NUMBERS = 16, WHY_MAX = 64 };

/* What is wrong, for the log. */
struct complaint {
    char path[SKUAI_MONITOR_PATH_MAX + 1]; /* what does not fit is cut */
    char why[WHY_MAX];
};

static int complain(struct complaint *complaint, const char *path, int error, const char *why)
{
    snprintf(complaint->path, sizeof complaint->path, "%.*s", (int)sizeof complaint->path - 1, path);
    snprintf(complaint->why, sizeof complaint->why, "%s", why != NULL ? why : skua_strerror(error));
    return error;
}

int skuai_monitor_check_path(const char *path)
{
    return path[0] != '/'                           ? -EINVAL
           : strlen(path) > SKUAI_MONITOR_PATH_MAX ? -ENAMETOOLONG
                                                    : 0;
}

bool skuai_monitor_default(char path[SKUAI_MONITOR_PATH_MAX + 1], int directory, int number)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    char suffix[16] = "";
    int length = -1;
    if (number > 0)
        snprintf(suffix, sizeof suffix, "-%d", number);
    if (directory == 0 && run != NULL && run[0] == '/')
        length = snprintf(path, SKUAI_MONITOR_PATH_MAX + 1, "%s/skua/%ld%s.sock", run, (long)getpid(), suffix);
    else if (directory == 1)
        length = snprintf(path, SKUAI_MONITOR_PATH_MAX + 1, "/tmp/skua-%lu/%ld%s.sock", (unsigned long)geteuid(),
                          (long)getpid(), suffix);
    return length > 0 && length <= SKUAI_MONITOR_PATH_MAX;
}

/* ---- the directory ----------------------------------------------------------------------------------------------- */

/* One of the user's, or of the system's, in which nobody else can put another file in the place of ours. */
static int check_directory(const char *directory, bool is_ours, struct complaint *complaint)
{
    struct stat info;
    char why[WHY_MAX];
    if ((is_ours ? lstat(directory, &info) : stat(directory, &info)) != 0)
        return complain(complaint, directory, -skua_errno(), NULL);
    if (!S_ISDIR(info.st_mode))
        return complain(complaint, directory, -ENOTDIR, NULL);
    if (info.st_uid != geteuid() && (is_ours || info.st_uid != 0)) {
        snprintf(why, sizeof why, "the directory is that of user %lu", (unsigned long)info.st_uid);
        return complain(complaint, directory, -EPERM, why);
    }
    if (is_ours ? (info.st_mode & 077) != 0 : (info.st_mode & 022) != 0 && (info.st_mode & S_ISVTX) == 0)
        return complain(complaint, directory, -EPERM, "others may write into the directory, or look");
    return 0;
}

/* The part of the path before its last slash. */
static void directory_of(const char *path, char directory[SKUAI_MONITOR_PATH_MAX + 1])
{
    size_t length = (size_t)(strrchr(path, '/') - path);
    memcpy(directory, path, length + 1);
    directory[length > 0 ? length : 1] = '\0';
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int make_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -skua_errno();
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, path, strlen(path)); /* fits: it was checked */
    return address;
}

/* Makes room. */
static int remove_stale(const char *path, struct complaint *complaint)
{
    struct stat info;
    struct sockaddr_un address = address_of(path);
    if (lstat(path, &info) != 0)
        return 0; /* none; or bind will say why */
    if (!S_ISSOCK(info.st_mode))
        return complain(complaint, path, -EADDRINUSE, "there is a file that is no socket's");
    int fd = make_socket();
    if (fd < 0)
        return complain(complaint, path, fd, NULL);
    int rc = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : -skua_errno();
    (void)close(fd);
    if (rc == -ECONNREFUSED && unlink(path) == 0)
        return 0;
    if (rc == -ECONNREFUSED)
        return complain(complaint, path, -skua_errno(), "a dead process's socket cannot be removed");
    return rc == -ENOENT ? 0 : complain(complaint, path, -EADDRINUSE, "somebody listens there already");
}

/* bind has made the file. */
static int narrow_and_listen(struct skuai_monitor_socket *listener)
{
    struct stat info;
    if (chmod(listener->path, 0600) != 0 || stat(listener->path, &info) != 0 || listen(listener->fd, BACKLOG) != 0)
        return -skua_errno();
    listener->device = info.st_dev;
    listener->inode = info.st_ino;
    return 0;
}

static int listen_at(struct skuai_monitor_socket *listener, struct complaint *complaint)
{
    struct sockaddr_un address = address_of(listener->path);
    int rc = remove_stale(listener->path, complaint);
    if (rc < 0)
        return rc;
    if ((listener->fd = make_socket()) < 0)
        return complain(complaint, listener->path, listener->fd, NULL);
    if (bind(listener->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        rc = -skua_errno();
    } else if ((rc = narrow_and_listen(listener)) < 0) {
        (void)unlink(listener->path);
    }
    if (rc == 0)
        return 0;
    (void)close(listener->fd);
    return complain(complaint, listener->path, rc, NULL);
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static int listen_at_path(struct skuai_monitor_socket *listener, const char *path, struct complaint *complaint)
{
    char directory[SKUAI_MONITOR_PATH_MAX + 1];
    int rc = skuai_monitor_check_path(path);
    if (rc < 0)
        return complain(complaint, path, rc, rc == -EINVAL ? "give an absolute path" : NULL);
    memcpy(listener->path, path, strlen(path) + 1);
    directory_of(path, directory);
    rc = check_directory(directory, false, complaint);
    return rc < 0 ? rc : listen_at(listener, complaint);
}

/* A directory of our own, made if it is not there, and in it the first number that is free: a process may have several
 * runtimes. */
static int listen_in(struct skuai_monitor_socket *listener, int which, struct complaint *complaint)
{
    char directory[SKUAI_MONITOR_PATH_MAX + 1];
    if (!skuai_monitor_default(listener->path, which, 0))
        return -ENOENT; /* and nothing to complain about */
    directory_of(listener->path, directory);
    int rc = mkdir(directory, 0700) == 0 || skua_errno() == EEXIST ? 0 : -skua_errno();
    if (rc < 0)
        return complain(complaint, directory, rc, NULL);
    rc = check_directory(directory, true, complaint);
    for (int number = 0; rc == 0 && skuai_monitor_default(listener->path, which, number); number++) {
        rc = listen_at(listener, complaint);
        if (rc != -EADDRINUSE || number + 1 == NUMBERS)
            return rc;
        rc = 0;
    }
    return rc < 0 ? rc : complain(complaint, directory, -ENAMETOOLONG, NULL);
}

static int listen_by_default(struct skuai_monitor_socket *listener, struct complaint *complaint)
{
    int rc = -ENOENT;
    for (int which = 0; rc < 0 && which < DIRECTORIES; which++)
        rc = listen_in(listener, which, complaint);
    return rc;
}

int skuai_monitor_listen(struct skuai_monitor_socket *listener, struct skuai_scheduler *reporter, const char *path)
{
    struct complaint complaint = { .why = "" };
    int rc = path != NULL ? listen_at_path(listener, path, &complaint) : listen_by_default(listener, &complaint);
    if (rc < 0)
        skuai_log(reporter, SKUA_LOG_ERROR, "monitor: %s: %s", complaint.path, complaint.why);
    return rc;
}

void skuai_monitor_unlisten(struct skuai_monitor_socket *listener, bool in_child)
{
    struct stat info;
    (void)close(listener->fd);
    if (!in_child && lstat(listener->path, &info) == 0 && info.st_dev == listener->device &&
        info.st_ino == listener->inode)
        (void)unlink(listener->path);
}
