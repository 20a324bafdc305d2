/* What clients send: commands as RESP2 has them (https://redis.io/docs/reference/protocol-spec), or as lines of words.
 *
 *     *2\r\n$3\r\nGET\r\n$5\r\nhello\r\n          GET hello\r\n          GET "hello"\r\n
 *
 * Commands are understood where they lie in the connection's buffer, which grows with what has come, not with what is
 * announced, up to a limit. One that has come in part is gone on with where it ended, so that nothing is read twice.
 */
#ifndef KV_INPUT_H
#define KV_INPUT_H

#include "store.h"

enum {
    INPUT_SIZE = 16 << 10,          /* of a buffer to begin with, and when all was understood */
    ARGUMENT_MAX = 16 << 20,        /* bytes of an argument, so of a value */
    ARGUMENTS_MAX = 1 << 20,        /* of one command */
    INLINE_MAX = 64 << 10,          /* bytes of a command as a line */
    COMMAND_MAX = 64 << 20          /* bytes of a command */
};

struct input {
    struct budget *budget;
    char *buffer;
    size_t size, begin, end;        /* from `begin` to `end`: what has come and was not taken */
    size_t at;                      /* so much of it is understood: behind `begin` */
    int64_t left, length;           /* arguments to come, and bytes of the next one; -1: not known yet */
    struct argument *arguments;     /* of this command, `count` so far */
    size_t count, room;
    bool is_complete;               /* it was given out, and is taken by the next call */
    const char *error;              /* what the client gets to know if it is not to be understood */
    char text[48];
};

/* -ENOMEM */
int input_init(struct input *input, struct budget *budget);
void input_fini(struct input *input);

/* Where more can be read to. -ENOMEM; -EMSGSIZE, with `error`: a command is too long. */
int input_make_room(struct input *input, char **to, size_t *size);

/* Looks for the next command. 1: in `arguments`, until the next call; 0: more must come; -EPROTO, -ENOMEM, with
 * `error`: nothing that follows can be understood. */
int input_next(struct input *input);

#endif
