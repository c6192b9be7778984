/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest with a serial port on standard input and output, which repeats what it reads until it reads ^D. */
#include "board.h"
#include "console.h"

#include <unistd.h>

#define END_OF_TRANSMISSION 4 /* ^D */

/* Is ready to receive, and sends back each byte until it is ^D. Then it switches itself off. */
static const uint32_t guest[] = {
	0xd2a12001, 0x52800040, 0x39001020,             /* x1: the port; sets MCR.RTS */
	0x39401420, 0x3607ffe0,                         /* until there is input */
	0x39400020, 0x7100101f, 0x54000060,             /* is it ^D? */
	0x39000020, 0x17fffffa,                         /* sends it back */
	0x52800100, 0x72b08000, 0xd4000002, 0x14000000, /* PSCI SYSTEM_OFF */
};

static int run(struct board *board)
{
	const struct console_options options = {
		.gpa = BOARD_DEVICE,
		.line = BOARD_LINE,
		.input = STDIN_FILENO,
		.output = STDOUT_FILENO,
		.end_of_input = END_OF_TRANSMISSION,
	};
	struct console *console;
	int ret = console_open(board->vm, &options, &console);
	int closed;

	if (ret < 0)
		return board_explain(board, "add the serial port", ret);
	ret = board_run(board, NULL, NULL, NULL);
	closed = console_close(console);
	if (ret == 0 && closed < 0)
		return board_explain(board, "write to standard output", closed);
	return ret;
}

int main(int argc, char **argv)
{
	struct board board = { 0 };
	const char *device = NULL;
	int ret = board_arguments(&board, argc, argv,
				  "A serial port on standard input and output; the guest repeats what it reads until ^D.\n",
				  &device);

	if (ret >= 0)
		return ret;
	ret = board_open(&board, device, guest, sizeof(guest));
	if (ret == 0)
		ret = run(&board);
	return board_close(&board, ret);
}
