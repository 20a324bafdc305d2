/* See terminal.h. Plain sequences of ECMA-48 and xterm, which all terminals of today know: no library is needed. */
#define _GNU_SOURCE
#include "terminal.h"

#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { COLUMNS = 80, LINES = 24 }; /* of a terminal that does not say */

static struct termios before;
static bool is_entered;
static sigset_t mask_before;
static volatile sig_atomic_t has_end, has_change, has_stop;

static void note(int number)
{
    if (number == SIGWINCH || number == SIGCONT)
        has_change = 1;
    else if (number == SIGTSTP)
        has_stop = 1;
    else
        has_end = 1;
}

static const int noted[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT };

static void note_signals(void)
{
    struct sigaction action = { .sa_handler = note };
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof noted / sizeof noted[0]; i++) {
        sigaddset(&blocked, noted[i]);
        sigaction(noted[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, &mask_before);
}

static void take_screen(void)
{
    struct termios raw = before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    printf("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"); /* the other screen, no cursor, no line wraps, nothing on it */
    fflush(stdout);
}

static void give_screen_back(void)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    printf("\x1b[?7h\x1b[?25h\x1b[?1049l");
    fflush(stdout);
}

bool terminal_enter(void)
{
    if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    note_signals();
    take_screen();
    is_entered = true;
    return true;
}

void terminal_leave(void)
{
    if (is_entered)
        give_screen_back();
    is_entered = false;
}

void terminal_size(int *columns, int *lines)
{
    struct winsize size;
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *columns = is_known ? size.ws_col : COLUMNS;
    *lines = is_known ? size.ws_row : LINES;
}

const sigset_t *terminal_mask(void) { return &mask_before; }

/* By Ctrl-Z. Until somebody says SIGCONT. */
static void stop_for_a_while(void)
{
    has_stop = 0;
    give_screen_back();
    raise(SIGSTOP);
    take_screen();
    has_change = 1;
}

struct terminal_news terminal_news(void)
{
    if (has_stop)
        stop_for_a_while();
    struct terminal_news news = { .ends = has_end != 0, .changes = has_change != 0 };
    has_change = 0;
    return news;
}

/* -1: there is none. -2: nor will there be. */
static int next_byte(void)
{
    unsigned char byte;
    struct pollfd polled = { .fd = STDIN_FILENO, .events = POLLIN };
    if (poll(&polled, 1, 0) <= 0)
        return -1;
    return read(STDIN_FILENO, &byte, 1) == 1 ? byte : -2;
}

enum key terminal_key(void)
{
    for (;;) {
        int byte = next_byte();
        if (byte == -1)
            return KEY_NONE;
        if (byte == -2)
            return KEY_GONE;
        if (byte == 'q' || byte == 'Q')
            return KEY_QUIT;
        if (byte == 'k')
            return KEY_UP;
        if (byte == 'j')
            return KEY_DOWN;
        if (byte != '\x1b' || (byte = next_byte()) != '[')
            continue;
        byte = next_byte();
        if (byte == 'A')
            return KEY_UP;
        if (byte == 'B')
            return KEY_DOWN;
    }
}
