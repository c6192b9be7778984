/* SPDX-License-Identifier: BSD-3-Clause */
#include "run_terminal.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE 0x01u

static struct termios saved;
static volatile sig_atomic_t is_raw;

void run_terminal_restore(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* A program that dies must not take the user's terminal along. */
static void on_crash(int signal)
{
	run_terminal_restore();
	(void)raise(signal); /* SA_RESETHAND: it has its usual effect now */
}

bool run_terminal_raw(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT };
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND };
	struct termios raw;

	if (isatty(STDIN_FILENO) == 0 || tcgetattr(STDIN_FILENO, &saved) < 0)
		return false;
	raw = saved;
	raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		(void)sigaction(crashes[i], &action, NULL);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return false;
	is_raw = 1;
	return true;
}

size_t run_escape_filter(struct run_escape *escape, uint8_t *bytes, size_t count, bool *ret_end)
{
	size_t kept = 0;

	*ret_end = false;
	for (size_t i = 0; i < count; i++) {
		if (!escape->seen && bytes[i] == ESCAPE) {
			escape->seen = true;
			continue;
		}
		if (escape->seen && (bytes[i] == 'x' || bytes[i] == 'X')) {
			*ret_end = true;
			return kept;
		}
		escape->seen = false;
		bytes[kept++] = bytes[i];
	}
	return kept;
}
