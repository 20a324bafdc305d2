/* A future is a state machine, as in Rust:
 *
 *     async fn open_and_print(path: &str) -> io::Result<u64> {
 *         let mut file = File::open(path).await?;
 *         …
 *     }
 *
 * Here it stands twice. First with the macros: straight-line code, of which the preprocessor makes a switch, each await
 * being a case. Then by hand, as that switch looks if one has to write it: what lives across waits is in the structure,
 * where one has got to is a number in it, and whoever polls it gets "pending" until there is a result. Both are the
 * same to who spawns them. Neither has a stack, and neither occupies a worker while it waits.
 *
 *     skua-open_and_print [--by-hand] FILE…             prints the files, or what is wrong with them
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <skua.h>

enum { PIECE = 4096 };

/* ---- with the macros --------------------------------------------------------------------------------------------- */

struct open_and_print {
    SKUA_FRAME;
    struct { const char *path; } in;
    skua_file_op io;
    int fd;
    int64_t result; /* bytes so far, or an error */
    char piece[PIECE];
};
SKUA_ASYNC(open_and_print)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_file_open_start(&self->io, self->in.path, O_RDONLY, 0));
    if (self->io.result < 0)
        SKUA_RETURN(self->io.result);
    self->fd = (int)self->io.result;
    self->result = 0;
    for (;;) {
        SKUA_AWAIT(skua_file_read_start(&self->io, self->fd, self->piece, PIECE));
        if (self->io.result <= 0)
            break;
        SKUA_AWAIT(skua_file_write_start(&self->io, STDOUT_FILENO, self->piece, (size_t)self->io.result));
        if (self->io.result < 0)
            break;
        self->result += self->io.result;
    }
    if (self->io.result < 0)
        self->result = self->io.result;
    SKUA_AWAIT(skua_file_close_start(&self->io, self->fd));
    SKUA_END(self->result);
}

/* ---- by hand ----------------------------------------------------------------------------------------------------- */

struct by_hand {
    SKUA_FRAME;
    struct {
        const char *path;
        enum { BEGUN, OPENING, READING, WRITING, CLOSING } state; /* where it has got to; among the arguments because
                                                                     these are set, to 0, when it is spawned */
    } in;
    skua_file_op io; /* what it waits for, in all states but BEGUN */
    int fd;
    int64_t result;
    char piece[PIECE];
};

static bool by_hand_close(struct by_hand *self, int64_t error)
{
    self->result = error < 0 ? error : self->result;
    skua_file_close_start(&self->io, self->fd);
    self->in.state = CLOSING;
    return true;
}

/* Goes from one state to the next, now that what it has waited for is over. True: it waits again. */
static bool by_hand_step(struct by_hand *self)
{
    int64_t n = self->in.state != BEGUN ? self->io.result : 0;
    switch (self->in.state) {
    case BEGUN:
        skua_file_open_start(&self->io, self->in.path, O_RDONLY, 0);
        self->in.state = OPENING;
        return true;
    case OPENING:
        self->fd = (int)n;
        self->result = n < 0 ? n : 0;
        if (n < 0)
            return false;
        break;
    case READING:
        if (n > 0) {
            skua_file_write_start(&self->io, STDOUT_FILENO, self->piece, (size_t)n);
            self->in.state = WRITING;
            return true;
        }
        return by_hand_close(self, n);
    case WRITING:
        if (n < 0)
            return by_hand_close(self, n);
        self->result += n;
        break;
    case CLOSING: return false;
    }
    skua_file_read_start(&self->io, self->fd, self->piece, PIECE);
    self->in.state = READING;
    return true;
}

/* Called when the task is woken: by the op's end, or for nothing, so it looks. */
static enum skua_poll by_hand_poll(skua_frame *frame)
{
    struct by_hand *self = (struct by_hand *)(void *)frame;
    while (self->in.state == BEGUN || skua_op_is_done(&self->io.op))
        if (!by_hand_step(self)) {
            self->frame.result = self->result;
            return SKUA_DONE;
        }
    return SKUA_PENDING;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

struct work {
    char **paths;
    bool by_hand;
};

static int run(void *arg)
{
    const struct work *work = arg;
    int failures = 0;
    for (char **path = work->paths; *path != NULL; path++) {
        skua_task *task;
        int64_t bytes = 0;
        int rc = work->by_hand ? SKUA_SPAWN(&task, by_hand, .path = *path)
                               : SKUA_SPAWN(&task, open_and_print, .path = *path);
        if (rc == 0)
            rc = skua_join(task, &bytes);
        if (rc == 0 && bytes >= 0)
            continue;
        fprintf(stderr, "skua-open_and_print: %s: %s\n", *path, skua_strerror(rc < 0 ? rc : (int)bytes));
        failures++;
    }
    return failures > 0;
}

int main(int argc, char **argv)
{
    struct work work = { .paths = argv + 1 };
    if (argc > 1 && strcmp(argv[1], "--by-hand") == 0) {
        work.by_hand = true;
        work.paths++;
    }
    if (*work.paths == NULL) {
        fprintf(stderr, "usage: skua-open_and_print [--by-hand] FILE…\n");
        return 2;
    }
    return skua_main(run, &work);
}
