/* Child processes by posix_spawn(3) and pidfds. A pidfd is readable when the process has ended, and stays the
 * process's: a signal through it never hits another one.
 */
#define _GNU_SOURCE
#include "skua/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/stream.h"
#include "sched/kind.h"
#include "sched/wait.h"
#include "skua/blocking.h"

#if !defined(P_PIDFD)
#define P_PIDFD 3
#endif

extern char **environ;

struct skua_process {
    struct skuai_source *ended; /* the pidfd */
    skua_stream *streams[3];
    pid_t pid;
    bool kill_on_cancel, reaped;
    uint32_t kind;              /* SKUAI_KIND_PROCESS (sched/kind.h) */
    int wait_result;            /* once reaped */
    skua_process_status status;
};

/* What a spawn goes through. */
struct spawning {
    const skua_process_attr *attr;
    int parent[3], child[3]; /* descriptors for the standard ones, or -1 */
    pid_t pid;
    int pidfd;
};

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

static void close_all(int fds[3])
{
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

static int open_standard(struct spawning *s, int which, int how)
{
    int ends[2];
    if (how >= SKUA_TO_FD(0)) {
        s->child[which] = fcntl(how - 1, F_DUPFD_CLOEXEC, 3); /* so that closing what we hold is the same for all */
        return s->child[which] >= 0 ? 0 : -skua_errno();
    }
    if (how == SKUA_NULL) {
        s->child[which] = open("/dev/null", O_RDWR | O_CLOEXEC);
        return s->child[which] >= 0 ? 0 : -skua_errno();
    }
    if (how != SKUA_PIPE)
        return how == SKUA_INHERIT ? 0 : -EINVAL;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -skua_errno();
    s->child[which] = which == 0 ? ends[0] : ends[1];
    s->parent[which] = which == 0 ? ends[1] : ends[0];
    return 0;
}

static int open_standards(struct spawning *s)
{
    const int how[3] = { s->attr->in, s->attr->out, s->attr->err };
    for (int i = 0; i < 3; i++) {
        int rc = open_standard(s, i, how[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- spawning --------------------------------------------------------------------------------------------------- */

static int set_actions(posix_spawn_file_actions_t *actions, const struct spawning *s)
{
    int error = s->attr->directory != NULL ? posix_spawn_file_actions_addchdir_np(actions, s->attr->directory) : 0;
    for (int i = 0; i < 3 && error == 0; i++)
        if (s->child[i] >= 0)
            error = posix_spawn_file_actions_adddup2(actions, s->child[i], i);
    return error;
}

static int set_attributes(posix_spawnattr_t *attributes, const struct spawning *s)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (s->attr->new_group ? POSIX_SPAWN_SETPGROUP : 0);
    int error = posix_spawnattr_setsigmask(attributes, &none);
    error = error != 0 ? error : posix_spawnattr_setsigdefault(attributes, &all);
    return error != 0 ? error : posix_spawnattr_setflags(attributes, flags);
}

static int spawn_with(struct spawning *s, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
    int error = set_actions(actions, s);
    error = error != 0 ? error : set_attributes(attributes, s);
    if (error == 0)
        error = posix_spawnp(&s->pid, s->attr->argv[0], actions, attributes, (char *const *)(uintptr_t)s->attr->argv,
                             s->attr->envp != NULL ? (char *const *)(uintptr_t)s->attr->envp : environ);
    return -error;
}

/* On a thread that may block. */
static int64_t make_process(void *arg)
{
    struct spawning *s = arg;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = -posix_spawn_file_actions_init(&actions);
    if (rc < 0)
        return rc;
    rc = -posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = spawn_with(s, &actions, &attributes);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    if (rc < 0)
        return rc;
    s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    if (s->pidfd >= 0)
        return 0;
    rc = -skua_errno();
    (void)kill(s->pid, SIGKILL); /* nobody else reaps it, so it still is that process */
    while (waitpid(s->pid, NULL, 0) < 0 && skua_errno() == EINTR)
        ;
    return rc;
}

/* The pipes' ends become streams. */
static int open_streams(skua_process *process, struct spawning *s)
{
    for (int i = 0; i < 3; i++) {
        if (s->parent[i] < 0)
            continue;
        int rc = skua_stream_open(&process->streams[i], s->attr->runtime, s->parent[i]);
        if (rc < 0)
            return rc;
        s->parent[i] = -1;
    }
    return 0;
}

static int begin_process(skua_process *process, struct spawning *s)
{
    int rc = open_standards(s);
    rc = rc < 0 ? rc : (int)skua_blocking(make_process, s);
    if (rc < 0)
        return rc;
    process->pid = s->pid;
    (void)fcntl(s->pidfd, F_SETFD, FD_CLOEXEC);
    rc = skuai_source_open(s->attr->runtime, s->pidfd, false, &process->ended);
    if (rc < 0) {
        (void)kill(s->pid, SIGKILL);
        while (waitpid(s->pid, NULL, 0) < 0 && skua_errno() == EINTR)
            ;
        (void)close(s->pidfd);
        return rc;
    }
    return open_streams(process, s);
}

int skua_process_spawn(skua_process **out, const skua_process_attr *attr)
{
    struct spawning s = { .attr = attr, .parent = { -1, -1, -1 }, .child = { -1, -1, -1 }, .pidfd = -1 };
    if (attr == NULL || attr->argv == NULL || attr->argv[0] == NULL)
        return -EINVAL;
    int rc = skuai_call_begin(skuai_worker_self(), "skua_process_spawn");
    if (rc < 0)
        return rc;
    skua_process *process = calloc(1, sizeof *process);
    if (process == NULL)
        return -ENOMEM;
    process->kind = SKUAI_KIND_PROCESS;
    process->kill_on_cancel = attr->kill_on_cancel;
    rc = begin_process(process, &s);
    close_all(s.child);
    close_all(s.parent);
    if (rc == 0) {
        *out = process;
        return 0;
    }
    if (process->ended != NULL)
        skua_process_destroy(process);
    else
        free(process);
    return rc;
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

skua_stream *skua_process_in(const skua_process *process) { return process->streams[0]; }
skua_stream *skua_process_out(const skua_process *process) { return process->streams[1]; }
skua_stream *skua_process_err(const skua_process *process) { return process->streams[2]; }

static void close_stream(skua_process *process, int which)
{
    if (process->streams[which] != NULL)
        skua_stream_close(process->streams[which]);
    process->streams[which] = NULL;
}

void skua_process_close_in(skua_process *process) { close_stream(process, 0); }

/* ---- its life --------------------------------------------------------------------------------------------------- */

int64_t skua_process_id(const skua_process *process) { return process->pid; }

int skua_process_kill(skua_process *process, int signal_number)
{
    uint32_t life;
    if (!skuai_source_begin(process->ended, &life) || !skuai_source_enter(process->ended, life))
        return -ESRCH;
    int rc = syscall(SYS_pidfd_send_signal, process->ended->fd, signal_number, NULL, 0) == 0 ? 0 : -skua_errno();
    skuai_source_leave(process->ended);
    return rc;
}

/* 0: it has not ended. 1: it has been reaped. */
static int reap(skua_process *process)
{
    siginfo_t info = { .si_pid = 0 };
    int rc;
    while ((rc = waitid((idtype_t)P_PIDFD, (id_t)process->ended->fd, &info, WEXITED | WNOHANG)) < 0 &&
           skua_errno() == EINTR)
        ;
    if (rc < 0) {
        process->wait_result = -skua_errno();
    } else {
        if (info.si_pid == 0)
            return 0;
        bool exited = info.si_code == CLD_EXITED;
        process->status = (skua_process_status){ .code = exited ? info.si_status : 0,
                                                 .signal = exited ? 0 : info.si_status,
                                                 .dumped_core = info.si_code == CLD_DUMPED };
    }
    process->reaped = true;
    return 1;
}

/* Reaps it if it has ended; else what says that it has is to be waited for. */
static bool has_ended(skua_process *process)
{
    uint64_t seen = skuai_source_readiness(process->ended);
    if (process->reaped || reap(process) != 0)
        return true;
    skuai_source_drained(process->ended, seen, SKUAI_READING); /* it was only thought ready */
    return false;
}

static int await_end(skua_process *process)
{
    while (!has_ended(process)) {
        skua_op op;
        int rc = (int)skuai_call(skuai_source_wait_prepare(&op, process->ended, SKUAI_READING));
        if (rc < 0)
            return rc;
    }
    return process->wait_result;
}

static int await_end_shielded(skua_process *process)
{
    skua_scope shield;
    skua_shield_enter(&shield);
    int rc = await_end(process);
    skua_scope_leave(&shield);
    return rc;
}

/* By a wait with this result. */
static bool is_to_be_killed(const skua_process *process, int rc)
{
    return (rc == -ECANCELED || rc == -ETIMEDOUT) && process->kill_on_cancel && !process->reaped;
}

int skua_process_wait(skua_process *process, skua_process_status *status)
{
    int rc = skuai_call_begin(skuai_worker_self(), "skua_process_wait");
    rc = rc < 0 ? rc : await_end(process);
    if (is_to_be_killed(process, rc)) {
        (void)skua_process_kill(process, SIGKILL);
        (void)await_end_shielded(process);
    }
    if (rc == 0 && status != NULL)
        *status = process->status;
    return rc;
}

SKUA_ASYNC(skua_process_waiting)
{
    SKUA_BEGIN(self);
    self->rc = skua_interrupted();
    while (self->rc == 0 && !has_ended(self->process)) {
        SKUA_AWAIT(skuai_op_start(skuai_source_wait_prepare(&self->wait, self->process->ended, SKUAI_READING)));
        self->rc = (int)self->wait.result;
    }
    if (self->rc == 0)
        self->rc = self->process->wait_result;
    if (is_to_be_killed(self->process, self->rc)) {
        (void)skua_process_kill(self->process, SIGKILL);
        skua_shield_enter(&self->shield);
        self->wait.result = 0;
        while (self->wait.result == 0 && !has_ended(self->process))
            SKUA_AWAIT(skuai_op_start(skuai_source_wait_prepare(&self->wait, self->process->ended, SKUAI_READING)));
        skua_scope_leave(&self->shield);
    }
    if (self->rc == 0 && self->status != NULL)
        *self->status = self->process->status;
    SKUA_END(self->rc);
}

skua_frame *skua_process_wait_start(skua_process_waiting *waiting, skua_process *process, skua_process_status *status)
{
    waiting->process = process;
    waiting->status = status;
    return skua_frame_init(&waiting->frame, skua_process_waiting_poll);
}

skua_op *skua_process_ended_prepare(skua_op *op, skua_process *process)
{
    (void)has_ended(process);
    return skuai_source_wait_prepare(op, process->ended, SKUAI_READING);
}

void skua_process_destroy(skua_process *process)
{
    if (!skuai_kind_check(&process->kind, SKUAI_KIND_PROCESS, "skua_process_destroy"))
        return;
    for (int i = 0; i < 3; i++)
        close_stream(process, i);
    if (!process->reaped && reap(process) == 0) {
        (void)skua_process_kill(process, SIGKILL);
        (void)await_end_shielded(process);
    }
    (void)skuai_source_close(process->ended);
    skuai_kind_end(&process->kind);
    free(process);
}
