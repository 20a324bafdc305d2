/* What the files of commands share. */
#ifndef KV_COMMANDS_SHARED_H
#define KV_COMMANDS_SHARED_H

#include "commands.h"

#define NOT_A_NUMBER "ERR value is not an integer or out of range"
#define NO_MEMORY "OOM command not allowed when used memory > 'maxmemory'."

void reply_ok(struct request *r);
void reply_syntax_error(struct request *r);

/* Whether it is this word, in small or capital letters. */
bool is_word(const struct argument *argument, const char *word);
/* As Redis writes numbers: no sign but -, no zeros in front, nothing around it. */
bool parse_number(const char *data, size_t length, int64_t *number);
/* An argument as a number; says so if it is none. */
bool get_number(struct request *r, size_t index, int64_t *number);

/* Those about keys and values (commands_data.c). */
void run_get(struct request *r);
void run_mget(struct request *r);
void run_mset(struct request *r);
void run_set(struct request *r);
void run_append(struct request *r);
void run_strlen(struct request *r);
void run_incr(struct request *r);
void run_decr(struct request *r);
void run_incrby(struct request *r);
void run_decrby(struct request *r);
void run_del(struct request *r);
void run_exists(struct request *r);
void run_expire(struct request *r);
void run_pexpire(struct request *r);
void run_ttl(struct request *r);
void run_pttl(struct request *r);
void run_persist(struct request *r);
void run_dbsize(struct request *r);
void run_flushall(struct request *r);
void run_scan(struct request *r);

#endif
