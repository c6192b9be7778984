/* SPDX-License-Identifier: BSD-3-Clause */
#include "run_console.h"

#include "run_terminal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What the guest may be ahead of the terminal. Then it waits: its port says that it is busy. */
#define ROOM 65536u
/* A terminal or pipe that poll() calls writable takes this much at once. */
#define CHUNK 512u
/* How long the guest's last words wait for a terminal that takes none. */
#define LAST_WORDS_MS 2000
#define LONGEST_PHRASE 128u

/* Finds a phrase in what the guest says, over all boundaries of writes. */
struct listener {
	const char *phrase;
	size_t length;
	char last[LONGEST_PHRASE]; /* what was said last */
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
	struct run_escape escape;
	uint8_t keys[256]; /* read, and not yet taken by the guest */
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
};

/* --- listening ------------------------------------------------------------------------------------------------------ */

static void listener_init(struct listener *listener, const char *phrase)
{
	size_t length = phrase != NULL ? strlen(phrase) : 0;

	*listener = (struct listener){ .phrase = phrase, .length = length <= LONGEST_PHRASE ? length : LONGEST_PHRASE };
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

	(void)pthread_mutex_lock(&console->lock);
	while (taken < count && console->count < ROOM)
		take(console, bytes[taken++]);
	(void)pthread_mutex_unlock(&console->lock);
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

static int open_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Before any thread is made, which inherits it. */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
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
	(void)pthread_mutex_destroy(&console->lock);
	free(console);
}

int run_console_attach(struct run_console *console, struct gh_vm *vm, uint64_t gpa, struct gh_irqfd *irqfd)
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
	int ret = uart16550_add(vm, &options, &console->uart);

	if (ret < 0)
		return ret;
	console->end_fd = gh_vm_end_fd(vm);
	if (console->request->console)
		console->is_terminal = run_terminal_raw();
	return 0;
}

void run_console_detach(struct run_console *console)
{
	run_terminal_restore();
	uart16550_remove(console->uart);
	console->uart = NULL;
	console->end_fd = -1;
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
	done = write(STDOUT_FILENO, piece, count);
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

/* False: the escape key. */
static bool read_keys(struct run_console *console)
{
	bool end = false;
	ssize_t count = read(STDIN_FILENO, console->keys, sizeof(console->keys));

	if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN))
		console->input_over = true;
	if (count <= 0)
		return true;
	console->n_keys = (size_t)count;
	if (console->is_terminal)
		console->n_keys = run_escape_filter(&console->escape, console->keys, console->n_keys, &end);
	give_keys(console);
	return !end;
}

static void write_last_words(struct run_console *console)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	while (waiting(console) > 0 && poll(&out, 1, LAST_WORDS_MS) > 0)
		if (!write_text(console))
			return;
}

static int remaining_ms(double until)
{
	double left = until - run_now_ms();

	return until < 0 ? -1 : left > 0 ? (int)left + 1 : 0;
}

enum { WAKE, SIGNALS, END, INPUT, OUTPUT, FDS };

static void choose(struct run_console *console, struct pollfd fds[FDS])
{
	fds[WAKE] = (struct pollfd){ .fd = console->wake, .events = POLLIN };
	fds[SIGNALS] = (struct pollfd){ .fd = console->signals, .events = POLLIN };
	fds[END] = (struct pollfd){ .fd = console->end_fd, .events = POLLIN };
	/* Keys stay with the terminal until the guest has taken those before. */
	fds[INPUT] =
		(struct pollfd){ .fd = console->input_over || console->n_keys > 0 ? -1 : STDIN_FILENO, .events = POLLIN };
	fds[OUTPUT] = (struct pollfd){ .fd = waiting(console) > 0 ? STDOUT_FILENO : -1, .events = POLLOUT };
}

/* What poll() has found is done; false: *ret_event is why there is no more to do. */
static bool attend(struct run_console *console, const struct pollfd fds[FDS], enum run_event *ret_event, int *ret_signal)
{
	struct signalfd_siginfo info;
	uint64_t wakes;

	if (fds[SIGNALS].revents != 0 && read(console->signals, &info, sizeof(info)) == sizeof(info)) {
		*ret_signal = (int)info.ssi_signo;
		*ret_event = RUN_EVENT_SIGNAL;
		return false;
	}
	*ret_event = RUN_EVENT_ERROR;
	if (fds[WAKE].revents != 0 && read(console->wake, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
		return false;
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
	enum run_event event = RUN_EVENT_TIMEOUT;
	struct pollfd fds[FDS];

	for (;;) {
		choose(console, fds);
		if (poll(fds, FDS, remaining_ms(until)) == 0) {
			event = RUN_EVENT_TIMEOUT;
			break;
		}
		if (!attend(console, fds, &event, ret_signal))
			break;
	}
	if (event != RUN_EVENT_ERROR)
		write_last_words(console);
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
	ret_counts->loads = counts.loads;
	ret_counts->stores = counts.stores;
	ret_counts->interrupts = atomic_load(&console->interrupts);
}
