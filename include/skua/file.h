/* Files: regular files and directories, whose calls block and so run on the threads of blocking.h.
 *
 *     int fd = skua_file_open("/var/lib/x/log", O_WRONLY | O_CREAT | O_APPEND, 0644);
 *     ssize_t n = skua_file_write(fd, line, length);
 *     int rc = skua_file_sync_data(fd);
 *     rc = skua_file_close(fd);
 *
 * or, in a future, with a skua_file_op as a member:
 *
 *     SKUA_AWAIT(skua_file_read_at_start(&self->io, self->fd, self->buffer, sizeof self->buffer, 0));
 *     n = self->io.result;
 *
 * A file is a descriptor like any other: what open(2) or dup(2) gave may be used here, and what is opened here
 * elsewhere. Closing one that others still use is as wrong as ever. Sockets, pipes and terminals are streams
 * (stream.h): here a call of theirs would occupy a thread for as long as the other side likes.
 *
 * What holds for all calls of this file unless they say otherwise:
 * Threads: fibers and jobs (suspended; no worker stands still). A thread outside the runtime just makes the system
 *   call. In a simulation the worker makes it, and it takes a time that the seed decides; files are the machine's. In
 *   futures, the _start forms; in selects, the _prepare forms, of which a losing arm's call is never made.
 * Memory: buffers, paths and what results are stored in must stay until the call is over. Nothing is allocated.
 * Cancel: while the call waits for a thread: -ECANCELED or -ETIMEDOUT, and no system call was made. Once it has begun
 *   it is waited for, and the result is its own.
 * EINTR is never returned: the call is made again.
 * Returns: a count or 0, or a negative errno value, as of the system call; -ECANCELED; -ETIMEDOUT; and, if there is no
 *   thread and none could be started, -EAGAIN or -ENOMEM.
 */
#ifndef SKUA_FILE_H
#define SKUA_FILE_H

#include <sys/types.h>

#include "skua/base.h"
#include "skua/blocking.h"
#include "skua/op.h"

struct stat; /* of <sys/stat.h> */

SKUA_BEGIN_DECLS

/* A call as an op, for futures and selects; its `result` is what the call returns. Other fields belong to the
 * runtime. */
typedef struct skua_file_op {
    union {
        skua_op op;
        int64_t result; /* a count or 0, or a negative errno value */
        skua_blocking_op call;
    };
    int32_t fd;
    int32_t flags;
    uint32_t mode;
    uint32_t reserved32;
    const char *path;
    const char *new_path;
    void *data;
    size_t size;
    int64_t offset;
    void *reserved[2];
} skua_file_op;

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

/* Opens a file, as open(2); O_CLOEXEC is added. `mode` counts with O_CREAT.
 * Cancel: as above: a file that was opened is returned, so none is lost. An open that itself waits for long, as for a
 *   fifo's other end, is waited for.
 * Returns: the descriptor; errors of open(2) and as above. */
SKUA_API SKUA_NODISCARD int skua_file_open(const char *path, int flags, mode_t mode);
SKUA_API skua_op *skua_file_open_start(skua_file_op *op, const char *path, int flags, mode_t mode);
SKUA_API skua_op *skua_file_open_prepare(skua_file_op *op, const char *path, int flags, mode_t mode);

/* Closes a descriptor, always: if the task is cancelled, too, and if there is no thread for it. It may have to wait for
 * what was written (network file systems), and for a large deleted file's end.
 * Cancel: is waited for all the same, and does not fail for it. An op's wait may end cancelled or by a deadline, and
 *   then the calling thread has closed it. There is no form for selects.
 * Returns: 0; -EBADF; -EIO, -ENOSPC, -EDQUOT (something written before is lost): closed all the same. */
SKUA_API int skua_file_close(int fd);
SKUA_API skua_op *skua_file_close_start(skua_file_op *op, int fd);

/* Reads at the file's own position, up to `size` bytes in one system call: of a regular file less only at its end, or
 * if a signal or a failing disk came in between.
 * Returns: how many; 0 at the end; errors of read(2) and as above. */
SKUA_API ssize_t skua_file_read(int fd, void *buffer, size_t size);
SKUA_API skua_op *skua_file_read_start(skua_file_op *op, int fd, void *buffer, size_t size);
SKUA_API skua_op *skua_file_read_prepare(skua_file_op *op, int fd, void *buffer, size_t size);

/* Reads at an offset, whatever the file's position, until there are `size` bytes or the file ends.
 * Returns: how many, less than size at the end, or if an error came after some, which the next call will tell; errors
 *   of pread(2), as -ESPIPE, and as above. */
SKUA_API ssize_t skua_file_read_at(int fd, void *buffer, size_t size, int64_t offset);
SKUA_API skua_op *skua_file_read_at_start(skua_file_op *op, int fd, void *buffer, size_t size, int64_t offset);
SKUA_API skua_op *skua_file_read_at_prepare(skua_file_op *op, int fd, void *buffer, size_t size, int64_t offset);

/* Writes all, at the file's own position (with O_APPEND: at its end; not in one piece if other processes append, too).
 * Returns: size; fewer if an error came after some, as when the disk is full, which the next call will tell; errors of
 *   write(2), as -ENOSPC and -EFBIG, and as above: then nothing was written. */
SKUA_API ssize_t skua_file_write(int fd, const void *data, size_t size);
SKUA_API skua_op *skua_file_write_start(skua_file_op *op, int fd, const void *data, size_t size);
SKUA_API skua_op *skua_file_write_prepare(skua_file_op *op, int fd, const void *data, size_t size);

/* The same at an offset, whatever the file's position. */
SKUA_API ssize_t skua_file_write_at(int fd, const void *data, size_t size, int64_t offset);
SKUA_API skua_op *skua_file_write_at_start(skua_file_op *op, int fd, const void *data, size_t size, int64_t offset);
SKUA_API skua_op *skua_file_write_at_prepare(skua_file_op *op, int fd, const void *data, size_t size, int64_t offset);

/* Waits until what was written is on the disk: with what belongs to the file as its times, fsync(2), or only what it
 * takes to read it, fdatasync(2). After an error what was written before may be lost, and the next call may say 0. */
SKUA_API int skua_file_sync(int fd);
SKUA_API skua_op *skua_file_sync_start(skua_file_op *op, int fd);
SKUA_API skua_op *skua_file_sync_prepare(skua_file_op *op, int fd);
SKUA_API int skua_file_sync_data(int fd);
SKUA_API skua_op *skua_file_sync_data_start(skua_file_op *op, int fd);
SKUA_API skua_op *skua_file_sync_data_prepare(skua_file_op *op, int fd);

/* Cuts the file to a size, or extends it with zeros: ftruncate(2). */
SKUA_API int skua_file_truncate(int fd, int64_t size);
SKUA_API skua_op *skua_file_truncate_start(skua_file_op *op, int fd, int64_t size);
SKUA_API skua_op *skua_file_truncate_prepare(skua_file_op *op, int fd, int64_t size);

/* What is known of the file: fstat(2). */
SKUA_API int skua_file_stat(int fd, struct stat *info);
SKUA_API skua_op *skua_file_stat_start(skua_file_op *op, int fd, struct stat *info);
SKUA_API skua_op *skua_file_stat_prepare(skua_file_op *op, int fd, struct stat *info);

/* ---- paths ----------------------------------------------------------------------------------------------------- */

/* stat(2); unlink(2); rename(2); mkdir(2); rmdir(2). */
SKUA_API int skua_path_stat(const char *path, struct stat *info);
SKUA_API skua_op *skua_path_stat_start(skua_file_op *op, const char *path, struct stat *info);
SKUA_API skua_op *skua_path_stat_prepare(skua_file_op *op, const char *path, struct stat *info);
SKUA_API int skua_path_unlink(const char *path);
SKUA_API skua_op *skua_path_unlink_start(skua_file_op *op, const char *path);
SKUA_API skua_op *skua_path_unlink_prepare(skua_file_op *op, const char *path);
SKUA_API int skua_path_rename(const char *path, const char *new_path);
SKUA_API skua_op *skua_path_rename_start(skua_file_op *op, const char *path, const char *new_path);
SKUA_API skua_op *skua_path_rename_prepare(skua_file_op *op, const char *path, const char *new_path);
SKUA_API int skua_path_mkdir(const char *path, mode_t mode);
SKUA_API skua_op *skua_path_mkdir_start(skua_file_op *op, const char *path, mode_t mode);
SKUA_API skua_op *skua_path_mkdir_prepare(skua_file_op *op, const char *path, mode_t mode);
SKUA_API int skua_path_rmdir(const char *path);
SKUA_API skua_op *skua_path_rmdir_start(skua_file_op *op, const char *path);
SKUA_API skua_op *skua_path_rmdir_prepare(skua_file_op *op, const char *path);

/* Reads a whole file, as one call. *data: its bytes and a zero behind them, to be freed with free(3); set only if it
 * was read. What has no known size, as in /proc, is read to its end, too.
 * Returns: how many bytes, without the zero; -EFBIG (they do not fit into memory's addresses); -ENOMEM; errors of
 *   open(2) and read(2), as -EISDIR, and as above. */
SKUA_API SKUA_NODISCARD ssize_t skua_file_read_whole(const char *path, void **data);
SKUA_API skua_op *skua_file_read_whole_start(skua_file_op *op, const char *path, void **data);
SKUA_API skua_op *skua_file_read_whole_prepare(skua_file_op *op, const char *path, void **data);

/* Makes a file hold these bytes and nothing else, as one call; it is made if it was not there, with `mode`. It is not
 * synced. Who reads meanwhile, or after an error, may find it cut short: to replace a file as one step write another
 * one beside it, sync it, and rename it.
 * Returns: size; errors of open(2), write(2) and close(2), as -ENOSPC, and as above. */
SKUA_API SKUA_NODISCARD ssize_t skua_file_write_whole(const char *path, const void *data, size_t size, mode_t mode);
SKUA_API skua_op *skua_file_write_whole_start(skua_file_op *op, const char *path, const void *data, size_t size,
                                              mode_t mode);
SKUA_API skua_op *skua_file_write_whole_prepare(skua_file_op *op, const char *path, const void *data, size_t size,
                                                mode_t mode);

/* ---- directories ----------------------------------------------------------------------------------------------- */

/* A directory that is being listed; made by skua_directory_open(). */
typedef struct skua_directory skua_directory;

/* What an entry of a directory is. */
enum skua_entry_type {
    SKUA_ENTRY_UNKNOWN,   /* the file system does not say: ask skua_path_stat() */
    SKUA_ENTRY_FILE,      /* a regular one */
    SKUA_ENTRY_DIRECTORY, /* a directory */
    SKUA_ENTRY_LINK,      /* symbolic */
    SKUA_ENTRY_OTHER      /* a device, fifo or socket */
};

/* What skua_directory_next() gives. */
typedef struct skua_directory_entry {
    const char *name;          /* until the next call with this directory */
    uint64_t inode;            /* its number in the file system */
    enum skua_entry_type type; /* as far as the directory tells */
} skua_directory_entry;

/* Opens a directory to be listed. Allocates. Returns: 0; errors of opendir(3), as -ENOTDIR; -ENOMEM; and as above:
 * then *directory is not set. */
SKUA_API SKUA_NODISCARD int skua_directory_open(skua_directory **directory, const char *path);
SKUA_API skua_op *skua_directory_open_start(skua_file_op *op, skua_directory **directory, const char *path);
SKUA_API skua_op *skua_directory_open_prepare(skua_file_op *op, skua_directory **directory, const char *path);

/* Gives the next entry, in no particular order, without `.` and `..`. Some dozens are read at a time, so most calls do
 * not wait. One task at a time.
 * Cancel: at -ECANCELED or -ETIMEDOUT no entry was taken: the next call gives it.
 * Returns: 1; 0 (there are no more); errors of readdir(3) and as above. */
SKUA_API SKUA_NODISCARD int skua_directory_next(skua_directory *directory, skua_directory_entry *entry);
SKUA_API skua_op *skua_directory_next_start(skua_file_op *op, skua_directory *directory, skua_directory_entry *entry);
SKUA_API skua_op *skua_directory_next_prepare(skua_file_op *op, skua_directory *directory,
                                              skua_directory_entry *entry);

/* Threads: any, once, and not while somebody is in a call. Blocks: never. Never fails. */
SKUA_API void skua_directory_close(skua_directory *directory);

SKUA_END_DECLS

#endif
