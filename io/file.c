/* Files: each call a function that makes its system calls on a thread of the pool (blocking.c) for an op that holds
 * what it takes. See skua/file.h; directories are in directory.c.
 *
 * Closing is the one that may not be withdrawn and forgotten: where it would be, the descriptor is closed on the spot.
 * An op's `fd` is NONE once it is closed.
 */
#define _GNU_SOURCE
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sched/wait.h"
#include "skua/scope.h"

enum { NONE = -1, PIECE_MIN = 4096 };
#define MOVED_AT_ONCE_MAX ((size_t)1 << 30) /* Linux's is a page less than 2 GiB; more than SSIZE_MAX is an error */

#define KIND(what) \
    static const struct skuai_op_kind what##_kind = { .name = "skua_" #what, .start = skuai_blocking_begin, \
                                                      .withdraw = skuai_blocking_withdraw }

static int result_of(int rc) { return rc >= 0 ? rc : -skua_errno(); }

static size_t at_once(size_t size) { return size < MOVED_AT_ONCE_MAX ? size : MOVED_AT_ONCE_MAX; }

/* ---- opening and closing --------------------------------------------------------------------------------------- */

static int open_file(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = result_of(openat(AT_FDCWD, path, flags | O_CLOEXEC, mode));
    while (fd == -EINTR);
    return fd;
}

static int64_t run_open(void *arg)
{
    const skua_file_op *op = arg;
    return open_file(op->path, op->flags, (mode_t)op->mode);
}

KIND(file_open);

skua_op *skua_file_open_prepare(skua_file_op *op, const char *path, int flags, mode_t mode)
{
    op->path = path;
    op->flags = flags;
    op->mode = mode;
    return skuai_file_prepare(op, &file_open_kind, run_open);
}
SKUAI_FILE_FORMS(int, skua_file_open, (op, path, flags, mode), const char *path, int flags, mode_t mode)

static int close_file(int fd)
{
    int rc = result_of(close(fd));
    return rc == -EINTR ? 0 : rc; /* Linux has closed it by then, and so has everybody who does not say EINPROGRESS */
}

static int64_t run_close(void *arg)
{
    skua_file_op *op = arg;
    int fd = op->fd;
    op->fd = NONE;
    return close_file(fd);
}

/* By its owner, who alone knows it: nobody has closed it, so that is done here. */
static void close_here(skua_file_op *op)
{
    if (op->fd != NONE)
        op->result = run_close(op);
}

static bool withdraw_close(skua_op *op)
{
    bool withdrawn = skuai_blocking_withdraw(op);
    if (withdrawn)
        close_here((skua_file_op *)(void *)op); /* the result will be why it was withdrawn */
    return withdrawn;
}

static const struct skuai_op_kind file_close_kind = {
    .name = "skua_file_close", .start = skuai_blocking_begin, .withdraw = withdraw_close
};

static skua_op *prepare_close(skua_file_op *op, int fd)
{
    op->fd = fd;
    return skuai_file_prepare(op, &file_close_kind, run_close);
}

skua_op *skua_file_close_start(skua_file_op *op, int fd)
{
    if (fd < 0)
        return skuai_op_set_done(prepare_close(op, NONE), -EBADF);
    skua_op *started = skuai_op_start(prepare_close(op, fd));
    if (skuai_op_is_done(started)) /* by this thread, by one of the pool, or because it was not begun */
        close_here(op);
    return started;
}

int skua_file_close(int fd)
{
    skua_file_op op;
    if (fd < 0)
        return -EBADF;
    SKUA_SHIELD();
    (void)skuai_call(prepare_close(&op, fd));
    close_here(&op); /* if there was no thread */
    return (int)op.result;
}

/* ---- moving bytes ---------------------------------------------------------------------------------------------- */

typedef ssize_t move_fn(int fd, void *data, size_t size, int64_t offset);

static ssize_t read_here(int fd, void *data, size_t size, int64_t offset)
{
    (void)offset;
    struct iovec vector = { data, size };
    return readv(fd, &vector, 1);
}
static ssize_t write_here(int fd, void *data, size_t size, int64_t offset)
{
    (void)offset;
    struct iovec vector = { data, size };
    return writev(fd, &vector, 1);
}
static ssize_t read_at(int fd, void *data, size_t size, int64_t offset) { return pread(fd, data, size, offset); }
static ssize_t write_at(int fd, void *data, size_t size, int64_t offset) { return pwrite(fd, data, size, offset); }

static ssize_t move_some(move_fn *move, int fd, void *data, size_t size, int64_t offset)
{
    ssize_t n;
    do {
        n = move(fd, data, at_once(size), offset);
        n = n < 0 ? -(ssize_t)skua_errno() : n;
    } while (n == -EINTR);
    return n;
}

/* As much as there is, or there is room for. What comes after some is told by the next call. */
static ssize_t move_all(move_fn *move, int fd, void *data, size_t size, int64_t offset)
{
    size_t done = 0;
    ssize_t n;
    do {
        n = move_some(move, fd, (char *)data + done, size - done, offset + (int64_t)done);
        done += n > 0 ? (size_t)n : 0;
    } while (n > 0 && done < size);
    return done > 0 || n >= 0 ? (ssize_t)done : n;
}

static int64_t run_read(void *arg)
{
    const skua_file_op *op = arg;
    return move_some(read_here, op->fd, op->data, op->size, 0);
}
static int64_t run_read_at(void *arg)
{
    const skua_file_op *op = arg;
    return move_all(read_at, op->fd, op->data, op->size, op->offset);
}
static int64_t run_write(void *arg)
{
    const skua_file_op *op = arg;
    return move_all(write_here, op->fd, op->data, op->size, 0);
}
static int64_t run_write_at(void *arg)
{
    const skua_file_op *op = arg;
    return move_all(write_at, op->fd, op->data, op->size, op->offset);
}

KIND(file_read);
KIND(file_read_at);
KIND(file_write);
KIND(file_write_at);

static void set_transfer(skua_file_op *op, int fd, const void *data, size_t size, int64_t offset)
{
    op->fd = fd;
    op->data = (void *)(uintptr_t)data; /* what is written is only read */
    op->size = size;
    op->offset = offset;
}

skua_op *skua_file_read_prepare(skua_file_op *op, int fd, void *buffer, size_t size)
{
    set_transfer(op, fd, buffer, size, 0);
    return skuai_file_prepare(op, &file_read_kind, run_read);
}
SKUAI_FILE_FORMS(ssize_t, skua_file_read, (op, fd, buffer, size), int fd, void *buffer, size_t size)

skua_op *skua_file_read_at_prepare(skua_file_op *op, int fd, void *buffer, size_t size, int64_t offset)
{
    set_transfer(op, fd, buffer, size, offset);
    return skuai_file_prepare(op, &file_read_at_kind, run_read_at);
}
SKUAI_FILE_FORMS(ssize_t, skua_file_read_at, (op, fd, buffer, size, offset), int fd, void *buffer, size_t size,
                 int64_t offset)

skua_op *skua_file_write_prepare(skua_file_op *op, int fd, const void *data, size_t size)
{
    set_transfer(op, fd, data, size, 0);
    return skuai_file_prepare(op, &file_write_kind, run_write);
}
SKUAI_FILE_FORMS(ssize_t, skua_file_write, (op, fd, data, size), int fd, const void *data, size_t size)

skua_op *skua_file_write_at_prepare(skua_file_op *op, int fd, const void *data, size_t size, int64_t offset)
{
    set_transfer(op, fd, data, size, offset);
    return skuai_file_prepare(op, &file_write_at_kind, run_write_at);
}
SKUAI_FILE_FORMS(ssize_t, skua_file_write_at, (op, fd, data, size, offset), int fd, const void *data, size_t size,
                 int64_t offset)

/* ---- a descriptor's other calls -------------------------------------------------------------------------------- */

static int64_t run_sync(void *arg)
{
    const skua_file_op *op = arg;
    int rc;
    do
        rc = result_of(fsync(op->fd));
    while (rc == -EINTR);
    return rc;
}
static int64_t run_sync_data(void *arg)
{
    const skua_file_op *op = arg;
    int rc;
    do
        rc = result_of(fdatasync(op->fd));
    while (rc == -EINTR);
    return rc;
}
static int64_t run_truncate(void *arg)
{
    const skua_file_op *op = arg;
    int rc;
    do
        rc = result_of(ftruncate(op->fd, op->offset));
    while (rc == -EINTR);
    return rc;
}
static int64_t run_stat(void *arg)
{
    const skua_file_op *op = arg;
    return result_of(fstat(op->fd, op->data));
}

KIND(file_sync);
KIND(file_sync_data);
KIND(file_truncate);
KIND(file_stat);

skua_op *skua_file_sync_prepare(skua_file_op *op, int fd)
{
    op->fd = fd;
    return skuai_file_prepare(op, &file_sync_kind, run_sync);
}
SKUAI_FILE_FORMS(int, skua_file_sync, (op, fd), int fd)

skua_op *skua_file_sync_data_prepare(skua_file_op *op, int fd)
{
    op->fd = fd;
    return skuai_file_prepare(op, &file_sync_data_kind, run_sync_data);
}
SKUAI_FILE_FORMS(int, skua_file_sync_data, (op, fd), int fd)

skua_op *skua_file_truncate_prepare(skua_file_op *op, int fd, int64_t size)
{
    op->fd = fd;
    op->offset = size;
    return skuai_file_prepare(op, &file_truncate_kind, run_truncate);
}
SKUAI_FILE_FORMS(int, skua_file_truncate, (op, fd, size), int fd, int64_t size)

skua_op *skua_file_stat_prepare(skua_file_op *op, int fd, struct stat *info)
{
    op->fd = fd;
    op->data = info;
    return skuai_file_prepare(op, &file_stat_kind, run_stat);
}
SKUAI_FILE_FORMS(int, skua_file_stat, (op, fd, info), int fd, struct stat *info)

/* ---- paths ----------------------------------------------------------------------------------------------------- */

static int64_t run_path_stat(void *arg)
{
    const skua_file_op *op = arg;
    return result_of(stat(op->path, op->data));
}
static int64_t run_unlink(void *arg)
{
    const skua_file_op *op = arg;
    return result_of(unlinkat(AT_FDCWD, op->path, op->flags));
}
static int64_t run_rename(void *arg)
{
    const skua_file_op *op = arg;
    return result_of(rename(op->path, op->new_path));
}
static int64_t run_mkdir(void *arg)
{
    const skua_file_op *op = arg;
    return result_of(mkdir(op->path, (mode_t)op->mode));
}

KIND(path_stat);
KIND(path_unlink);
KIND(path_rename);
KIND(path_mkdir);
KIND(path_rmdir);

skua_op *skua_path_stat_prepare(skua_file_op *op, const char *path, struct stat *info)
{
    op->path = path;
    op->data = info;
    return skuai_file_prepare(op, &path_stat_kind, run_path_stat);
}
SKUAI_FILE_FORMS(int, skua_path_stat, (op, path, info), const char *path, struct stat *info)

skua_op *skua_path_unlink_prepare(skua_file_op *op, const char *path)
{
    op->path = path;
    op->flags = 0;
    return skuai_file_prepare(op, &path_unlink_kind, run_unlink);
}
SKUAI_FILE_FORMS(int, skua_path_unlink, (op, path), const char *path)

skua_op *skua_path_rename_prepare(skua_file_op *op, const char *path, const char *new_path)
{
    op->path = path;
    op->new_path = new_path;
    return skuai_file_prepare(op, &path_rename_kind, run_rename);
}
SKUAI_FILE_FORMS(int, skua_path_rename, (op, path, new_path), const char *path, const char *new_path)

skua_op *skua_path_mkdir_prepare(skua_file_op *op, const char *path, mode_t mode)
{
    op->path = path;
    op->mode = mode;
    return skuai_file_prepare(op, &path_mkdir_kind, run_mkdir);
}
SKUAI_FILE_FORMS(int, skua_path_mkdir, (op, path, mode), const char *path, mode_t mode)

skua_op *skua_path_rmdir_prepare(skua_file_op *op, const char *path)
{
    op->path = path;
    op->flags = AT_REMOVEDIR;
    return skuai_file_prepare(op, &path_rmdir_kind, run_unlink);
}
SKUAI_FILE_FORMS(int, skua_path_rmdir, (op, path), const char *path)

/* ---- whole files ----------------------------------------------------------------------------------------------- */

/* Room for what the file says it has, the zero, and a byte more, so that its end is met without growing. */
static size_t first_room(int fd)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_size < PIECE_MIN)
        return PIECE_MIN;
    return (uint64_t)info.st_size < SIZE_MAX / 4 ? (size_t)info.st_size + 2 : SIZE_MAX / 4;
}

/* To the end, into memory that grows. */
static ssize_t read_to_end(int fd, void **out)
{
    size_t room = first_room(fd), done = 0;
    char *data = malloc(room);
    ssize_t n = data != NULL ? 1 : -ENOMEM;
    while (n > 0) {
        if (done + 1 == room) {
            char *larger = room <= (size_t)SSIZE_MAX / 2 ? realloc(data, room * 2) : NULL;
            if (larger == NULL) {
                n = room <= (size_t)SSIZE_MAX / 2 ? -ENOMEM : -EFBIG;
                break;
            }
            data = larger;
            room *= 2;
        }
        n = move_some(read_here, fd, data + done, room - done - 1, 0);
        done += n > 0 ? (size_t)n : 0;
    }
    if (n < 0) {
        free(data);
        return n;
    }
    data[done] = '\0';
    *out = data;
    return (ssize_t)done;
}

static int64_t run_read_whole(void *arg)
{
    const skua_file_op *op = arg;
    int fd = open_file(op->path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    ssize_t n = read_to_end(fd, op->data);
    (void)close(fd); /* of a file that was only read nothing can be lost */
    return n;
}

static int64_t run_write_whole(void *arg)
{
    const skua_file_op *op = arg;
    int fd = open_file(op->path, O_WRONLY | O_CREAT | O_TRUNC, (mode_t)op->mode);
    if (fd < 0)
        return fd;
    size_t done = 0;
    ssize_t n = 0;
    while (done < op->size && (n = move_all(write_here, fd, (char *)op->data + done, op->size - done, 0)) > 0)
        done += (size_t)n; /* again after a short one: that tells why it was */
    n = n == 0 && done < op->size ? -EIO : n;
    int rc = close_file(fd);
    return n < 0 ? n : rc < 0 ? rc : (int64_t)done;
}

KIND(file_read_whole);
KIND(file_write_whole);

skua_op *skua_file_read_whole_prepare(skua_file_op *op, const char *path, void **data)
{
    op->path = path;
    op->data = data;
    return skuai_file_prepare(op, &file_read_whole_kind, run_read_whole);
}
SKUAI_FILE_FORMS(ssize_t, skua_file_read_whole, (op, path, data), const char *path, void **data)

skua_op *skua_file_write_whole_prepare(skua_file_op *op, const char *path, const void *data, size_t size, mode_t mode)
{
    set_transfer(op, NONE, data, size, 0);
    op->path = path;
    op->mode = mode;
    return skuai_file_prepare(op, &file_write_whole_kind, run_write_whole);
}
SKUAI_FILE_FORMS(ssize_t, skua_file_write_whole, (op, path, data, size, mode), const char *path, const void *data,
                 size_t size, mode_t mode)
