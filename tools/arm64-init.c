/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first process of the emulated arm64 machine (tools/arm64-run): mounts what a program expects, runs it, reports its
 * exit status in a line that begins with a random token, and powers off.
 *
 * The kernel's command line says what to do: gh.token=TOKEN, gh.timeout=SECONDS, gh.bare=1 (all that is mounted goes again, and
 * /dev/null and /dev/kvm are what is left). /run.args holds the program and its
 * arguments, /run.env its environment; strings, each ended by a zero byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define MAX_STRINGS 256

static char args_text[65536];
static char env_text[65536];
static char *args[MAX_STRINGS];
static char *env[MAX_STRINGS];

static size_t read_file(const char *path, char *buffer, size_t size)
{
	size_t length = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	for (;;) {
		ssize_t n = read(fd, buffer + length, size - 1 - length);

		if (n <= 0)
			break;
		length += (size_t)n;
	}
	(void)close(fd);
	buffer[length] = '\0';
	return length;
}

static void split(char *text, size_t length, char **strings)
{
	size_t n = 0;

	for (size_t i = 0; i < length && n + 1 < MAX_STRINGS; i += strlen(text + i) + 1)
		strings[n++] = text + i;
	strings[n] = NULL;
}

/* The value of `name` on the kernel's command line; empty if it is not there. */
static void parameter(const char *line, const char *name, char *value, size_t size)
{
	const char *at = strstr(line, name);
	size_t length = at != NULL ? strcspn(at + strlen(name), " \n") : 0;

	if (length >= size)
		length = size - 1;
	if (length > 0)
		memcpy(value, at + strlen(name), length);
	value[length] = '\0';
}

static void mount_all(void)
{
	(void)mkdir("/proc", 0755);
	(void)mkdir("/sys", 0755);
	(void)mkdir("/dev", 0755);
	(void)mkdir("/tmp", 01777);
	(void)mount("proc", "/proc", "proc", 0, NULL);
	(void)mount("sysfs", "/sys", "sysfs", 0, NULL);
	(void)mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	(void)mkdir("/dev/shm", 01777);
	(void)mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
	(void)mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
}

static void make_bare(void)
{
	static const char *const mounts[] = { "/tmp", "/dev/shm", "/dev", "/sys", "/proc" };

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
		(void)umount2(mounts[i], MNT_DETACH);
	(void)mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3));
	(void)mknod("/dev/kvm", S_IFCHR | 0600, makedev(10, 232));
}

/* Guest memory in huge pages, for who asks for them: nested page faults are what an emulated machine is slowest at. */
static void allow_huge_pages(void)
{
	int fd = open("/sys/kernel/mm/transparent_hugepage/shmem_enabled", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "advise", 6) < 0)
		(void)fprintf(stderr, "arm64-init: no huge pages: %s\n", strerror(errno));
	(void)close(fd);
}

/* The serial port, as it is: no carriage returns added, no line editing. */
static void open_console(void)
{
	struct termios mode;
	int fd = open("/dev/console", O_RDWR);

	for (int i = 0; i < 3; i++)
		(void)dup2(fd, i);
	if (fd > 2)
		(void)close(fd);
	if (tcgetattr(1, &mode) == 0) {
		mode.c_oflag &= ~(tcflag_t)OPOST;
		mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
		(void)tcsetattr(1, TCSANOW, &mode);
	}
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* Status of the program as a shell would say it; 124 if it had to be killed. */
static int run(unsigned int timeout)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	bool killed = false;
	int status = 0;
	pid_t child = fork();

	if (child < 0)
		return 126;
	if (child == 0) {
		(void)execve(args[0], args, env);
		(void)fprintf(stderr, "%s: %s\n", args[0], strerror(errno));
		_exit(127);
	}
	(void)sigaction(SIGALRM, &action, NULL);
	(void)alarm(timeout);
	for (;;) {
		pid_t done = waitpid(-1, &status, 0);

		if (done == child)
			break;
		if (done < 0 && errno == EINTR && !killed) {
			killed = true;
			(void)kill(-1, SIGKILL);
		}
	}
	if (killed)
		return 124;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(void)
{
	char line[4096];
	char token[64];
	char timeout[16];
	char bare[4];
	int status;

	mount_all();
	open_console();
	allow_huge_pages();
	(void)read_file("/proc/cmdline", line, sizeof(line));
	parameter(line, "gh.token=", token, sizeof(token));
	parameter(line, "gh.timeout=", timeout, sizeof(timeout));
	parameter(line, "gh.bare=", bare, sizeof(bare));
	if (bare[0] == '1')
		make_bare();
	split(args_text, read_file("/run.args", args_text, sizeof(args_text)), args);
	split(env_text, read_file("/run.env", env_text, sizeof(env_text)), env);
	status = args[0] != NULL ? run((unsigned int)strtoul(timeout, NULL, 10)) : 126;
	(void)fflush(NULL);
	/* A program may leave its last line open. */
	(void)printf("\n%s status %d\n", token, status);
	(void)fflush(stdout);
	(void)tcdrain(1);
	sync();
	(void)reboot(RB_POWER_OFF);
	return 0;
}
