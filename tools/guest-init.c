/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first process of the guest that tools/run and the tests boot: says what its Linux has, asks for a line and repeats it,
 * so that input is used as well as output, and ends as `gh.end=` of the kernel's command line says: off, reset, crash, wait.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PROMPT "guest: say something: "

static void mount_all(void)
{
	(void)mkdir("/proc", 0755);
	(void)mkdir("/dev", 0755);
	(void)mount("proc", "/proc", "proc", 0, NULL);
	(void)mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
}

/* The console as stdin, stdout and stderr, in case the kernel had no device node to give. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	if (fd < 0)
		return;
	(void)dup2(fd, STDIN_FILENO);
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

static bool counts_something(const char *line)
{
	const char *colon = strchr(line, ':');

	return colon == NULL || strpbrk(colon, "123456789") != NULL;
}

/* In single spaces, because each byte is an exit. */
static void show(const char *line)
{
	(void)printf("guest:");
	for (line += strspn(line, " \n"); *line != '\0'; line += strspn(line, " \n")) {
		int length = (int)strcspn(line, " \n");

		(void)printf(" %.*s", length, line);
		line += length;
	}
	(void)printf("\n");
}

/* All interrupts that have happened. */
static void show_interrupts(void)
{
	char line[512];
	FILE *file = fopen("/proc/interrupts", "re");

	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL)
		if (counts_something(line))
			show(line);
	(void)fclose(file);
}

/* Long enough that only the timer's interrupt ends it. */
static void nap(void)
{
	struct timespec time = { .tv_sec = 0, .tv_nsec = 100000000 };

	if (nanosleep(&time, NULL) == 0)
		(void)printf("guest: slept\n");
}

static void converse(void)
{
	char line[128];

	(void)printf(PROMPT);
	(void)fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return;
	line[strcspn(line, "\r\n")] = '\0';
	(void)printf("guest: you said '%s'\n", line);
}

static void read_command_line(char *text, size_t size)
{
	FILE *file = fopen("/proc/cmdline", "re");

	text[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(text, (int)size, file) == NULL)
		text[0] = '\0';
	(void)fclose(file);
}

static void end(const char *command_line)
{
	(void)fflush(stdout);
	(void)tcdrain(STDOUT_FILENO);
	sync();
	if (strstr(command_line, "gh.end=wait") != NULL)
		for (;;)
			(void)pause();
	if (strstr(command_line, "gh.end=reset") != NULL)
		(void)reboot(RB_AUTOBOOT);
	else if (strstr(command_line, "gh.end=crash") != NULL)
		exit(1); /* the kernel panics */
	else
		(void)reboot(RB_POWER_OFF);
}

int main(void)
{
	struct utsname name;
	char command_line[4096];

	mount_all();
	open_console();
	read_command_line(command_line, sizeof(command_line));
	(void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	if (uname(&name) == 0)
		(void)printf("guest: user space on %s %s, %s\n", name.sysname, name.release, name.machine);
	(void)printf("guest: nproc %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
	nap();
	if (strstr(command_line, "gh.ask") != NULL)
		converse();
	show_interrupts();
	end(command_line);
	return 1;
}
