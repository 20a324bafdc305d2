/* As fault_calls.c: the calls of files and directories, and names. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

INSTEAD(int, openat, (int at, const char *path, int flags, ...))
{
    int way = faults_way(FAULT_openat);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    int fd = way >= 0 ? error_of((int[]){ EINTR, EMFILE, ENOMEM, ENOSPC }, way) : openat(at, path, flags, mode);
    if (fd >= 0)
        faults_count(FAULTS_DESCRIPTORS, 1);
    return fd;
}

INSTEAD(FILE *, fopen, (const char *path, const char *mode))
{
    bool fails = faults_way(FAULT_fopen) >= 0;
    FILE *file = fails ? NULL : fopen(path, mode);
    if (fails)
        errno = EMFILE;
    if (file != NULL)
        faults_count(FAULTS_DESCRIPTORS, 1);
    return file;
}

/* The file is closed all the same. */
INSTEAD(int, fclose, (FILE *file))
{
    bool fails = faults_way(FAULT_fclose) >= 0;
    faults_count(FAULTS_DESCRIPTORS, -1);
    int rc = fclose(file);
    if (fails)
        errno = ENOSPC;
    return fails ? EOF : rc;
}

/* Besides errors: one byte at a time. */
INSTEAD(ssize_t, pread, (int fd, void *to, size_t size, off_t offset))
{
    int way = faults_way(FAULT_pread);
    if (way >= 0 && way != 1)
        return error_of((int[]){ EINTR, 0, EIO, ENOMEM }, way);
    return pread(fd, to, way == 1 && size > 0 ? 1 : size, offset);
}

INSTEAD(ssize_t, pwrite, (int fd, const void *from, size_t size, off_t offset))
{
    int way = faults_way(FAULT_pwrite);
    if (way >= 0 && way != 1)
        return error_of((int[]){ EINTR, 0, EIO, ENOSPC }, way);
    return pwrite(fd, from, way == 1 && size > 0 ? 1 : size, offset);
}

INSTEAD(int, fsync, (int fd))
{
    int way = faults_way(FAULT_fsync);
    return way >= 0 ? error_of((int[]){ EINTR, EIO, ENOSPC }, way) : fsync(fd);
}

INSTEAD(int, fdatasync, (int fd))
{
    int way = faults_way(FAULT_fdatasync);
    return way >= 0 ? error_of((int[]){ EINTR, EIO, ENOSPC }, way) : fdatasync(fd);
}

INSTEAD(int, ftruncate, (int fd, off_t size))
{
    int way = faults_way(FAULT_ftruncate);
    return way >= 0 ? error_of((int[]){ EINTR, EIO, EFBIG }, way) : ftruncate(fd, size);
}

INSTEAD(int, fstat, (int fd, struct stat *info))
{
    int way = faults_way(FAULT_fstat);
    return way >= 0 ? error_of((int[]){ ENOMEM }, way) : fstat(fd, info);
}

INSTEAD(int, stat, (const char *path, struct stat *info))
{
    int way = faults_way(FAULT_stat);
    return way >= 0 ? error_of((int[]){ ENOMEM, EACCES }, way) : stat(path, info);
}

INSTEAD(int, unlinkat, (int at, const char *path, int flags))
{
    int way = faults_way(FAULT_unlinkat);
    return way >= 0 ? error_of((int[]){ EACCES }, way) : unlinkat(at, path, flags);
}

INSTEAD(int, rename, (const char *path, const char *new_path))
{
    int way = faults_way(FAULT_rename);
    return way >= 0 ? error_of((int[]){ ENOSPC }, way) : rename(path, new_path);
}

INSTEAD(int, mkdir, (const char *path, mode_t mode))
{
    int way = faults_way(FAULT_mkdir);
    return way >= 0 ? error_of((int[]){ ENOSPC, EACCES }, way) : mkdir(path, mode);
}

INSTEAD(DIR *, opendir, (const char *path))
{
    int way = faults_way(FAULT_opendir);
    if (way >= 0) {
        errno = ((int[]){ EINTR, EMFILE, ENFILE, ENOMEM })[way];
        return NULL;
    }
    DIR *directory = opendir(path);
    if (directory != NULL)
        faults_count(FAULTS_DESCRIPTORS, 1);
    return directory;
}

INSTEAD(struct dirent *, readdir, (DIR *directory))
{
    int way = faults_way(FAULT_readdir);
    if (way >= 0) {
        errno = ((int[]){ EIO, ENOENT })[way];
        return NULL;
    }
    return readdir(directory);
}

INSTEAD(int, closedir, (DIR *directory))
{
    faults_count(FAULTS_DESCRIPTORS, -1);
    return closedir(directory);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held;
    int waiting;
} names = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

void faults_hold_names(bool held)
{
    pthread_mutex_lock(&names.lock);
    names.held = held;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
}

int faults_names_held(void)
{
    pthread_mutex_lock(&names.lock);
    int waiting = names.waiting;
    pthread_mutex_unlock(&names.lock);
    return waiting;
}

static void wait_while_held(void)
{
    pthread_mutex_lock(&names.lock);
    names.waiting++;
    while (names.held)
        pthread_cond_wait(&names.changed, &names.lock);
    names.waiting--;
    pthread_mutex_unlock(&names.lock);
}

/* Both addresses in one list, which freeaddrinfo() goes through as through any other. */
static int both_addresses(const struct addrinfo *hints, struct addrinfo **out)
{
    struct addrinfo *ipv4, numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    int error = getaddrinfo("::1", NULL, &numeric, out);
    if (error != 0)
        return error;
    error = getaddrinfo("127.0.0.1", NULL, &numeric, &ipv4);
    if (error != 0) {
        freeaddrinfo(*out);
        return error;
    }
    (*out)->ai_next = ipv4;
    return 0;
}

INSTEAD(int, getaddrinfo, (const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out))
{
    static const int errors[] = { EAI_SYSTEM, EAI_NONAME, EAI_AGAIN,  EAI_FAIL,
                                  EAI_MEMORY, EAI_SYSTEM, EAI_FAMILY, EAI_OVERFLOW };
    int way = faults_way(FAULT_getaddrinfo), error;
    if (way >= 0) {
        errno = way == 0 ? EINTR : EMFILE;
        return errors[way];
    }
    if (strcmp(host, "slow.test") == 0)
        wait_while_held();
    if (strcmp(host, "slow.test") == 0 || strcmp(host, "many.test") == 0)
        error = both_addresses(hints, out);
    else
        error = getaddrinfo(host, service, hints, out);
    if (error == 0)
        faults_count(FAULTS_BLOCKS, 1);
    return error;
}

INSTEAD(void, freeaddrinfo, (struct addrinfo *list))
{
    faults_count(FAULTS_BLOCKS, -1);
    freeaddrinfo(list);
}
