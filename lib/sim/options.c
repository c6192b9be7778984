/* SPDX-License-Identifier: BSD-3-Clause */
/* Device strings: "sim:gunyah/android14-6.1,engine=script,script=FILE". */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A script is a test's text, not data: whatever is larger is a wrong file. */
#define SCRIPT_LIMIT ((size_t)1 << 20)

static const struct sim_driver *const *const drivers[] = { sim_drivers_gunyah, sim_drivers_gzvm, sim_drivers_halla };

/* A piece of the device string; not terminated. */
struct text {
	const char *start;
	size_t length;
};

static bool text_is(struct text text, const char *word)
{
	return strlen(word) == text.length && memcmp(text.start, word, text.length) == 0;
}

/* Takes what is before the first `separator` off `rest`; the separator goes too. */
static struct text take_until(struct text *rest, char separator)
{
	const char *end = memchr(rest->start, separator, rest->length);
	struct text taken = { rest->start, end == NULL ? rest->length : (size_t)(end - rest->start) };
	size_t used = taken.length + (end == NULL ? 0 : 1);

	rest->start += used;
	rest->length -= used;
	return taken;
}

/* Is it one of a revision's names? */
static bool is_revision(struct text wanted, const struct sim_driver *driver)
{
	struct text names = { driver->revision, strlen(driver->revision) };

	while (names.length > 0) {
		struct text name = take_until(&names, ' ');

		if (name.length == wanted.length && memcmp(name.start, wanted.start, wanted.length) == 0)
			return true;
	}
	return false;
}

static const struct sim_driver *find_revision(const struct sim_driver *const *revisions, struct text revision)
{
	while (*revisions != NULL && !is_revision(revision, *revisions))
		revisions++;
	return *revisions;
}

static int find_driver(struct text device, const struct sim_driver **ret_driver)
{
	bool has_revision = memchr(device.start, '/', device.length) != NULL;
	struct text revision = device;
	struct text name = take_until(&revision, '/');

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		if (!text_is(name, drivers[i][0]->name))
			continue;
		*ret_driver = has_revision ? find_revision(drivers[i], revision) : drivers[i][0];
		return *ret_driver != NULL ? 0 : -ENOENT;
	}
	return -ENOENT;
}

static int read_whole(int fd, char **ret_script)
{
	struct gh_sys *kernel = gh_sys_kernel();
	char *script = malloc(SCRIPT_LIMIT + 1);
	size_t used = 0;
	ssize_t count;

	if (script == NULL)
		return -ENOMEM;
	do {
		count = kernel->read(kernel, fd, script + used, SCRIPT_LIMIT + 1 - used);
		if (count > 0)
			used += (size_t)count;
	} while ((count > 0 && used <= SCRIPT_LIMIT) || count == -EINTR);
	/* Too long, unreadable (a directory), or a binary file: all of them are no script. */
	if (count < 0 || used > SCRIPT_LIMIT || memchr(script, '\0', used) != NULL) {
		free(script);
		return -EINVAL;
	}
	script[used] = '\0';
	*ret_script = script;
	return 0;
}

static int read_script(struct text file, char **ret_script)
{
	struct gh_sys *kernel = gh_sys_kernel();
	char path[PATH_MAX];
	int ret;
	int fd;

	if (file.length == 0 || file.length >= sizeof(path) || *ret_script != NULL)
		return -EINVAL;
	memcpy(path, file.start, file.length);
	path[file.length] = '\0';
	fd = kernel->open(kernel, path, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOMEM ? fd : -EINVAL;
	ret = read_whole(fd, ret_script);
	(void)kernel->close(kernel, fd);
	return ret;
}

static int parse_engine(struct text value, struct sim_settings *settings)
{
	if (text_is(value, sim_engine_kvm.name))
		settings->engine = &sim_engine_kvm;
	else if (text_is(value, sim_engine_script.name))
		settings->engine = &sim_engine_script;
	else
		return -EINVAL;
	return 0;
}

static int parse_policy(struct text value, struct sim_settings *settings)
{
	/* Only Gunyah has a resource manager. */
	if (strcmp(settings->driver->name, "gunyah") != 0)
		return -EINVAL;
	if (text_is(value, "production"))
		settings->policy = SIM_POLICY_PRODUCTION;
	else if (!text_is(value, "debug"))
		return -EINVAL;
	return 0;
}

static int parse_item(struct text item, struct sim_settings *settings)
{
	struct text key = take_until(&item, '=');

	if (text_is(key, "engine"))
		return settings->engine == NULL ? parse_engine(item, settings) : -EINVAL;
	if (text_is(key, "policy"))
		return parse_policy(item, settings);
	if (text_is(key, "script"))
		return read_script(item, &settings->script);
	return -EINVAL;
}

static int parse_device(const char *device, struct sim_settings *settings)
{
	struct text rest;
	int ret;

	if (strncmp(device, "sim:", 4) == 0)
		device += 4;
	rest.start = device;
	rest.length = strlen(device);
	ret = find_driver(take_until(&rest, ','), &settings->driver);
	while (ret == 0 && rest.length > 0)
		ret = parse_item(take_until(&rest, ','), settings);
	return ret;
}

static int check_tail(const struct gh_sim_options *options)
{
	const unsigned char *bytes = (const unsigned char *)options;

	if (options->size < sizeof(*options) || options->device == NULL)
		return -EINVAL;
	for (size_t i = sizeof(*options); i < options->size; i++) {
		if (bytes[i] != 0)
			return -EINVAL;
	}
	return 0;
}

static int choose_engine(struct sim_settings *settings)
{
	if (settings->engine == NULL)
		settings->engine = settings->script != NULL ? &sim_engine_script : &sim_engine_kvm;
	if (settings->engine == &sim_engine_kvm)
		return settings->script != NULL ? -EINVAL : 0;
	if (settings->script == NULL)
		settings->script = calloc(1, 1); /* a guest that sleeps */
	return settings->script != NULL ? 0 : -ENOMEM;
}

int sim_settings_parse(const struct gh_sim_options *options, struct sim_settings *ret_settings)
{
	struct sim_settings settings = { .policy = SIM_POLICY_DEBUG };
	int ret = check_tail(options);

	if (ret < 0)
		return ret;
	if (options->script != NULL) {
		if (strlen(options->script) > SCRIPT_LIMIT)
			return -EINVAL;
		settings.script = strdup(options->script);
		if (settings.script == NULL)
			return -ENOMEM;
	}
	ret = parse_device(options->device, &settings);
	if (ret == 0)
		ret = choose_engine(&settings);
	if (ret < 0) {
		free(settings.script);
		return ret;
	}
	*ret_settings = settings;
	return 0;
}

bool sim_driver_has(const struct sim_driver *driver, const char *path)
{
	for (const char *const *other = driver->others; other != NULL && *other != NULL; other++) {
		size_t length = strlen(*other);

		if (strcmp(*other, path) == 0 || ((*other)[length - 1] == '/' && strncmp(*other, path, length) == 0))
			return true;
	}
	return false;
}
