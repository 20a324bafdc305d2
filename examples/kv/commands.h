/* The commands: what they do, and how they say so. */
#ifndef KV_COMMANDS_H
#define KV_COMMANDS_H

#include "reply.h"

struct request {
    struct store *store;
    const struct budget *traffic; /* what connections use */
    struct reply *reply;
    struct argument *arguments;   /* the command's name is the first */
    size_t count;
    skua_event *stop;             /* to be set by SHUTDOWN */
    bool is_last;                 /* to be set by QUIT: the connection ends with the answer */
};

void commands_init(void);
void commands_run(struct request *request);

#endif
