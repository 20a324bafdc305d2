/* Looking into a live runtime: its parts. See monitor.c, and skua/monitor.h for the protocol. */
#ifndef SKUAI_MONITOR_H
#define SKUAI_MONITOR_H

#include <sys/types.h>
#include <sys/un.h>

#include "runtime/runtime.h"
#include "skua/monitor.h"

enum {
    SKUAI_MONITOR_PROTOCOL = 1,
    SKUAI_MONITOR_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1
};

/* monitor_socket.c: a socket that somebody listens at, and its file. */
struct skuai_monitor_socket {
    int fd;
    char path[SKUAI_MONITOR_PATH_MAX + 1];
    dev_t device; /* the file's: it may be somebody else's by the time it is removed */
    ino_t inode;
};

/* Makes it. `path`: NULL for the first of those below that can be had. What is wrong is logged with the path. */
int skuai_monitor_listen(struct skuai_monitor_socket *listener, struct skuai_scheduler *reporter, const char *path);
/* Closes it, and removes its file unless that is the parent's. */
void skuai_monitor_unlisten(struct skuai_monitor_socket *listener, bool in_child);

/* What a runtime takes by itself: the `number`-th of this process, in one of two directories. False: there is none. */
bool skuai_monitor_default(char path[SKUAI_MONITOR_PATH_MAX + 1], int directory, int number);

/* 0, or what is wrong with a path, whatever there is in the file system. */
int skuai_monitor_check_path(const char *path);

/* monitor_text.c: the answer to `stats`, in memory of the runtime's. *size: what to give back; NULL: there is none. */
char *skuai_monitor_stats(skua_runtime *rt, size_t *size, size_t *length);

/* monitor.c: as configured, if it is; of `given` it is a demand, of the environment a wish. */
int skuai_monitor_begin(skua_runtime *rt, const skua_config *given);

#endif
