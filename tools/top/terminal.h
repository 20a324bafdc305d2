/* The terminal: a screen of its own, keys one by one, and as it was when all is over. */
#ifndef TOP_TERMINAL_H
#define TOP_TERMINAL_H

#include <stdbool.h>
#include <signal.h>

/* What signals have told since terminal_news() was asked last. */
struct terminal_news {
    bool ends;    /* SIGINT, SIGTERM, SIGHUP */
    bool changes; /* it has another size, or has been somebody else's meanwhile */
};

/* False: there is none. */
bool terminal_enter(void);
/* Again is fine. */
void terminal_leave(void);

void terminal_size(int *columns, int *lines);

/* The signals come only while ppoll(2) waits with this mask. */
const sigset_t *terminal_mask(void);
struct terminal_news terminal_news(void);

enum key { KEY_NONE, KEY_QUIT, KEY_UP, KEY_DOWN, KEY_GONE };
/* The next one of those that are there. */
enum key terminal_key(void);

#endif
