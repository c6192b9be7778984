/* SPDX-License-Identifier: BSD-3-Clause */
#include "run_console.h"

#include "run_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the guest may be ahead of the terminal. Then it waits: its port says that it is busy. */
#define ROOM 65536u
/* Written at once. A pipe that poll() calls writable takes this much. */
#define CHUNK 512u
/* A terminal that poll() calls writable, and that takes nothing all the same, is asked again after this time. */
#define STUCK_MS 20
/* What may be typed before the guest takes it; what comes then is lost, but for the escape key. */
#define TYPED 16384u
/* How long the guest's last words wait for a terminal that takes none. */
#define LAST_WORDS_MS 2000

/* Finds a phrase in what the guest says, over all boundaries of writes. */
struct listener {
	const char *phrase;
	size_t length;
	char last[RUN_PHRASE]; /* what was said last */
	size_t count;
};

struct run_console {
	const struct run_request *request;
	struct run_trace *trace;
	struct uart16550 *uart;
	int wake; /* eventfd: there is something to look at */
	int signals;
	int end_fd;
	bool is_terminal;
	bool input_over;
	bool is_stuck; /* stdout has just refused what poll() had promised */
	int output;    /* stdout, where it can be so that it never blocks */
	struct run_escape escape;
	uint8_t keys[TYPED]; /* read, and not yet taken by the guest */
	size_t n_keys;
	atomic_bool finished;
	atomic_bool wants_input;
	atomic_uint_fast64_t interrupts;
	pthread_mutex_t lock; /* for everything below, which the guest's vCPUs write */
	uint8_t text[ROOM];
	size_t first;
	size_t count;
	bool is_broken; /* stdout takes nothing any more */
	bool answered;
	struct listener mark;
	struct listener prompt;
	double mark_ms;
	uint64_t earlier_loads; /* of the guests before a reset */
	uint64_t earlier_stores;
};

/* --- listening ------------------------------------------------------------------------------------------------------ */

static void listener_init(struct listener *listener, const char *phrase)
{
	size_t length = phrase != NULL ? strlen(phrase) : 0;

	*listener = (struct listener){ .phrase = phrase, .length = length <= RUN_PHRASE ? length : RUN_PHRASE };
}

/* True once, with the phrase's last byte. */
static bool hears(struct listener *listener, uint8_t byte)
{
	if (listener->length == 0)
		return false;
	if (listener->count == listener->length)
		memmove(listener->last, listener->last + 1, --listener->count);
	listener->last[listener->count++] = (char)byte;
	if (listener->count < listener->length || memcmp(listener->last, listener->phrase, listener->length) != 0)
		return false;
	listener->length = 0;
	return true;
}

/* --- called by the port --------------------------------------------------------------------------------------------- */

static void wake(struct run_console *console)
{
	const uint64_t one = 1;
	ssize_t done = write(console->wake, &one, sizeof(one));

	(void)done;
}

static void take(struct run_console *console, uint8_t byte)
{
	if (hears(&console->mark, byte))
		console->mark_ms = run_now_ms();
	if (hears(&console->prompt, byte))
		console->answered = true;
	if (console->request->console && !console->is_broken)
		console->text[(console->first + console->count++) % ROOM] = byte;
}

static int on_output(void *data, const uint8_t *bytes, unsigned int count)
{
	struct run_console *console = data;
	unsigned int taken = 0;
	bool is_news;

	(void)pthread_mutex_lock(&console->lock);
	/* Who is still writing comes back for the rest by itself. */
	is_news = console->count == 0;
	while (taken < count && console->count < ROOM)
		take(console, bytes[taken++]);
	is_news = (is_news && console->count > 0) || console->answered;
	(void)pthread_mutex_unlock(&console->lock);
	if (is_news)
		wake(console);
	return (int)taken;
}

static void on_wants_input(void *data)
{
	struct run_console *console = data;

	atomic_store(&console->wants_input, true);
	wake(console);
}

static void on_interrupt(void *data)
{
	struct run_console *console = data;

	(void)atomic_fetch_add(&console->interrupts, 1);
	run_trace_host(console->trace, "interrupt");
}

/* --- making --------------------------------------------------------------------------------------------------------- */

static bool is_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* What the user has told this program to ignore (nohup) stays ignored. */
static int open_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!is_ignored(signals[i]))
			(void)sigaddset(&set, signals[i]);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Before any thread is made, which inherits it. */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/*
 * stdout, so that a terminal or pipe that takes nothing never keeps us from noticing a signal. Opened anew, because others may
 * have the same open file. A file takes everything.
 */
static int open_output(void)
{
	struct stat status;

	if (fstat(STDOUT_FILENO, &status) < 0 || !(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)))
		return -1;
	return open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

struct run_console *run_console_open(const struct run_request *request, struct run_trace *trace)
{
	struct run_console *console = calloc(1, sizeof(*console));

	if (console == NULL)
		return NULL;
	console->request = request;
	console->trace = trace;
	console->mark_ms = -1;
	console->end_fd = -1;
	console->input_over = !request->console;
	listener_init(&console->mark, request->mark);
	listener_init(&console->prompt, request->prompt);
	(void)pthread_mutex_init(&console->lock, NULL);
	console->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	console->signals = open_signals();
	console->output = open_output();
	if (console->wake < 0 || console->signals < 0) {
		int error = errno;

		run_console_close(console);
		errno = error;
		return NULL;
	}
	return console;
}

void run_console_close(struct run_console *console)
{
	run_terminal_restore();
	if (console->wake >= 0)
		(void)close(console->wake);
	if (console->signals >= 0)
		(void)close(console->signals);
	if (console->output >= 0)
		(void)close(console->output);
	(void)pthread_mutex_destroy(&console->lock);
	free(console);
}

static int add_port(struct run_console *console, struct gh_vm *vm, uint64_t gpa, struct gh_irqfd *irqfd)
{
	const struct uart16550_options options = {
		.name = "console",
		.gpa = gpa,
		.irqfd = irqfd,
		.output = on_output,
		.wants_input = on_wants_input,
		.interrupt = on_interrupt,
		.data = console,
	};

	return uart16550_add(vm, &options, &console->uart);
}

int run_console_attach(struct run_console *console, struct gh_vm *vm, uint64_t gpa, struct gh_irqfd *irqfd)
{
	int ret = add_port(console, vm, gpa, irqfd);

	if (ret < 0)
		return ret;
	console->end_fd = gh_vm_end_fd(vm);
	if (console->request->console)
		console->is_terminal = run_terminal_raw();
	return 0;
}

int run_console_attach_again(struct run_console *console, struct gh_vm *vm, uint64_t gpa, struct gh_irqfd *irqfd)
{
	struct run_console_counts counts;

	run_console_count(console, &counts);
	console->earlier_loads = counts.loads;
	console->earlier_stores = counts.stores;
	uart16550_remove(console->uart);
	console->uart = NULL;
	atomic_store(&console->finished, false);
	return add_port(console, vm, gpa, irqfd);
}

void run_console_detach(struct run_console *console)
{
	run_terminal_restore();
	uart16550_remove(console->uart);
	console->uart = NULL;
	console->end_fd = -1;
}

/* --- signals -------------------------------------------------------------------------------------------------------- */

/* The terminal is the shell's meanwhile. */
static void stop(void)
{
	run_terminal_restore();
	(void)kill(getpid(), SIGSTOP);
}

int run_console_signal(struct run_console *console)
{
	struct signalfd_siginfo info;

	while (read(console->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTSTP)
			stop();
		else if (info.ssi_signo == SIGCONT && console->is_terminal)
			(void)run_terminal_raw();
		else if (info.ssi_signo != SIGCONT)
			return (int)info.ssi_signo;
	}
	return 0;
}

/* --- serving -------------------------------------------------------------------------------------------------------- */

void run_console_finish(struct run_console *console)
{
	atomic_store(&console->finished, true);
	wake(console);
}

static size_t waiting(struct run_console *console)
{
	size_t count;

	(void)pthread_mutex_lock(&console->lock);
	count = console->count;
	(void)pthread_mutex_unlock(&console->lock);
	return count;
}

/* Writes one piece of what waits, and lets the guest go on. False: stdout is broken. */
static bool write_text(struct run_console *console)
{
	uint8_t piece[CHUNK];
	size_t count;
	ssize_t done;

	(void)pthread_mutex_lock(&console->lock);
	count = console->count < CHUNK ? console->count : CHUNK;
	for (size_t i = 0; i < count; i++)
		piece[i] = console->text[(console->first + i) % ROOM];
	(void)pthread_mutex_unlock(&console->lock);
	done = write(console->output >= 0 ? console->output : STDOUT_FILENO, piece, count);
	console->is_stuck = done < 0 && errno == EAGAIN;
	if (done < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	(void)pthread_mutex_lock(&console->lock);
	if (done < 0) {
		console->is_broken = true;
		console->count = 0;
	} else {
		console->first = (console->first + (size_t)done) % ROOM;
		console->count -= (size_t)done;
	}
	(void)pthread_mutex_unlock(&console->lock);
	(void)uart16550_drain(console->uart);
	return done >= 0;
}

/* What has been typed, or is the answer to the prompt, as far as the guest takes it. */
static void give_keys(struct run_console *console)
{
	unsigned int taken = uart16550_push(console->uart, console->keys, (unsigned int)console->n_keys);

	console->n_keys -= taken;
	memmove(console->keys, console->keys + taken, console->n_keys);
}

static void answer_prompt(struct run_console *console)
{
	size_t length = console->request->answer != NULL ? strlen(console->request->answer) : 0;
	bool due;

	(void)pthread_mutex_lock(&console->lock);
	due = console->answered && length < sizeof(console->keys) - console->n_keys;
	if (due)
		console->answered = false;
	(void)pthread_mutex_unlock(&console->lock);
	if (!due)
		return;
	memcpy(console->keys + console->n_keys, console->request->answer, length);
	console->n_keys += length;
	console->keys[console->n_keys++] = '\r';
	give_keys(console);
}

/* False: the escape key. It is looked for however much the guest has not taken. */
static bool read_keys(struct run_console *console)
{
	uint8_t keys[256];
	size_t room = sizeof(console->keys) - console->n_keys;
	bool end = false;
	ssize_t count = read(STDIN_FILENO, keys, sizeof(keys));
	size_t taken = (size_t)count;

	if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN))
		console->input_over = true;
	if (count <= 0)
		return true;
	if (console->is_terminal)
		taken = run_escape_filter(&console->escape, keys, taken, &end);
	if (taken > room)
		taken = room;
	memcpy(console->keys + console->n_keys, keys, taken);
	console->n_keys += taken;
	give_keys(console);
	return !end;
}

/* After its own end the guest's words wait for as long as it takes; otherwise for a terminal that takes some now and then. */
static void write_last_words(struct run_console *console, bool is_end)
{
	struct pollfd fds[] = { { .events = POLLOUT }, { .fd = console->signals, .events = POLLIN } };
	double since = run_now_ms();

	while (waiting(console) > 0 && (is_end || run_now_ms() - since < LAST_WORDS_MS)) {
		size_t before = waiting(console);

		fds[0].fd = console->is_stuck ? -1 : STDOUT_FILENO;
		console->is_stuck = false;
		(void)poll(fds, 2, STUCK_MS);
		if (fds[1].revents != 0 && run_console_signal(console) != 0)
			return;
		if (fds[0].revents != 0 && !write_text(console))
			return;
		if (waiting(console) < before)
			since = run_now_ms();
	}
}

static int remaining_ms(const struct run_console *console, double until)
{
	double left = until - run_now_ms();
	int ms = until < 0 ? -1 : left > 0 ? (int)left + 1 : 0;

	return console->is_stuck && (ms < 0 || ms > STUCK_MS) ? STUCK_MS : ms;
}

enum { WAKE, SIGNALS, END, INPUT, OUTPUT, FDS };

static void choose(struct run_console *console, struct pollfd fds[FDS])
{
	/* A pipe keeps what the guest has no room for; of a terminal, every key is looked at. */
	bool reads = !console->input_over && (console->is_terminal || console->n_keys == 0);
	bool writes = !console->is_stuck && waiting(console) > 0;

	fds[WAKE] = (struct pollfd){ .fd = console->wake, .events = POLLIN };
	fds[SIGNALS] = (struct pollfd){ .fd = console->signals, .events = POLLIN };
	fds[END] = (struct pollfd){ .fd = console->end_fd, .events = POLLIN };
	fds[INPUT] = (struct pollfd){ .fd = reads ? STDIN_FILENO : -1, .events = POLLIN };
	fds[OUTPUT] = (struct pollfd){ .fd = writes ? STDOUT_FILENO : -1, .events = POLLOUT };
}

/* What poll() has found is done; false: *ret_event is why there is no more to do. */
static bool attend(struct run_console *console, const struct pollfd fds[FDS], enum run_event *ret_event, int *ret_signal)
{
	uint64_t wakes;

	*ret_event = RUN_EVENT_SIGNAL;
	if (fds[SIGNALS].revents != 0 && (*ret_signal = run_console_signal(console)) != 0)
		return false;
	*ret_event = RUN_EVENT_ERROR;
	if (fds[WAKE].revents != 0 && read(console->wake, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
		return false;
	console->is_stuck = false;
	if (fds[OUTPUT].revents != 0 && !write_text(console))
		return false;
	if (atomic_exchange(&console->wants_input, false) && console->n_keys > 0)
		give_keys(console);
	answer_prompt(console);
	*ret_event = RUN_EVENT_ESCAPE;
	if (fds[INPUT].revents != 0 && !read_keys(console))
		return false;
	*ret_event = RUN_EVENT_END;
	return fds[END].revents == 0 && !atomic_load(&console->finished);
}

enum run_event run_console_serve(struct run_console *console, int *ret_signal)
{
	const unsigned int timeout = console->request->timeout;
	const double until = timeout != 0 ? run_now_ms() + timeout * 1e3 : -1;
	enum run_event event;
	struct pollfd fds[FDS];

	for (;;) {
		choose(console, fds);
		(void)poll(fds, FDS, remaining_ms(console, until));
		if (!attend(console, fds, &event, ret_signal))
			break;
		/* Also of a guest that never stops talking. */
		if (until >= 0 && run_now_ms() >= until) {
			event = RUN_EVENT_TIMEOUT;
			break;
		}
	}
	if (event != RUN_EVENT_ERROR)
		write_last_words(console, event == RUN_EVENT_END);
	return event;
}

double run_console_mark_ms(const struct run_console *console)
{
	return console->mark_ms;
}

void run_console_count(const struct run_console *console, struct run_console_counts *ret_counts)
{
	struct gh_bus_range_counts counts = GH_BUS_RANGE_COUNTS_INIT;

	(void)gh_bus_range_counts(uart16550_range(console->uart), &counts);
	ret_counts->loads = console->earlier_loads + counts.loads;
	ret_counts->stores = console->earlier_stores + counts.stores;
	ret_counts->interrupts = atomic_load(&console->interrupts);
}
