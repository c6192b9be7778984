/* SPDX-License-Identifier: BSD-3-Clause */
#include "run_terminal.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE 0x01u

static struct termios saved; /* as the terminal was at first */
static bool is_saved;
static volatile sig_atomic_t is_raw;

/* Without job control, or where the terminal is not this process's own one, nobody else has it. */
static bool is_someone_elses(void)
{
	pid_t owner = tcgetpgrp(STDIN_FILENO);

	return owner >= 0 && owner != getpgrp();
}

void run_terminal_restore(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	/* In the background the shell has given it modes of its own. */
	if (!is_someone_elses())
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* A program that dies must not take the user's terminal along. */
static void on_end(int signal)
{
	run_terminal_restore();
	(void)raise(signal); /* SA_RESETHAND: it has its usual effect now */
}

/* Every signal that ends a process, but those that the console takes and those that the library may use. */
static void catch_ends(void)
{
	static const int ends[] = { SIGSEGV, SIGBUS,  SIGILL,    SIGFPE,  SIGABRT, SIGQUIT, SIGTRAP, SIGSYS, SIGXCPU,
				    SIGXFSZ, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1, SIGUSR2, SIGPOLL, SIGPWR };
	const struct sigaction action = { .sa_handler = on_end, .sa_flags = (int)SA_RESETHAND };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct sigaction before;

		if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			(void)sigaction(ends[i], &action, NULL);
	}
}

bool run_terminal_raw(void)
{
	struct termios raw;

	if (isatty(STDIN_FILENO) == 0 || (!is_saved && tcgetattr(STDIN_FILENO, &saved) < 0))
		return false;
	is_saved = true;
	raw = saved;
	raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	catch_ends();
	/* Before the modes change: a signal in between restores what is there. */
	is_raw = 1;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0)
		return true;
	is_raw = 0;
	return false;
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
