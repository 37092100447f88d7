/* A host that forgets: what is written to a file is kept in the program until fdatasync() hands it on, as a disk's own
 * cache does until it is flushed. So the end of the program loses all that was not flushed, which the kernel's page cache
 * would keep.
 *
 * Loaded before the C library (LD_PRELOAD). With FORGETFUL_HOST=deaf fdatasync() hands nothing on and says that it did.
 *
 * Invariant: one thread writes the file, whole pages of 4096 bytes, below page PAGES; who does something else is not
 * served.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGES 64
#define PAGE 4096

static char kept[PAGES][PAGE];
static char is_kept[PAGES];
static int is_deaf;

__attribute__((constructor)) static void begin(void)
{
	const char *how = getenv("FORGETFUL_HOST");

	is_deaf = how && strcmp(how, "deaf") == 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
	(void)fd;
	if (len != PAGE || at % PAGE || at / PAGE >= PAGES)
		abort();
	memcpy(kept[at / PAGE], bytes, len);
	is_kept[at / PAGE] = 1;
	return len;
}

int fdatasync(int fd)
{
	if (is_deaf)
		return 0;
	for (off_t page = 0; page < PAGES; page++) {
		if (!is_kept[page])
			continue;
		if (syscall(SYS_pwrite64, fd, kept[page], PAGE, page * PAGE) != PAGE)
			return -1;
		is_kept[page] = 0;
	}
	return syscall(SYS_fdatasync, fd);
}
