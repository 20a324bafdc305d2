/* A process that can be looked into (skua/monitor.h): finding its socket, and talking with it. */
#ifndef TOP_PROCESS_H
#define TOP_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

struct process {
    int fd;
    long pid;
    char name[32];    /* what the system calls it; "?" */
    char version[32]; /* of Skua */
    char *input;      /* what has come and was not taken */
    size_t length, room;
};

/* Connects, and takes the greeting. `target`: a path, or a process's number; NULL: the only process of this user's that
 * can be looked into. False: it has said why not. */
bool process_open(struct process *process, const char *target);
void process_close(struct process *process);

/* Asks. False: it has ended. */
bool process_ask(struct process *process);

/* Reads what is there. False: it has ended, or there is no memory. */
bool process_read(struct process *process);
/* The next whole line, terminated, good until the next call of either; NULL: there is none yet. */
const char *process_line(struct process *process);
/* The next whole line, waited for. NULL: it has ended, or does not answer. */
const char *process_wait_line(struct process *process);

/* That it has ended, as a sentence for people. */
void process_say_ended(const struct process *process);

#endif
