// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU's educational device, which Afterimage has, too: it copies between memory and a buffer of its own.
 * It never says that a request failed. Source: QEMU, docs/specs/edu.txt.
 */
#include "device.h"

#define EDU_IDENTITY 0x00
#define EDU_SOURCE 0x80
#define EDU_DESTINATION 0x88
#define EDU_COUNT 0x90
#define EDU_COMMAND 0x98
#define EDU_RUN BIT(0)
#define EDU_TO_MEMORY BIT(1)
/* The buffer, which begins there; QEMU takes a transfer that ends where the buffer does for one that is too long. */
#define EDU_BUFFER 0x40000
#define EDU_BYTES 2048

static int start(struct lab *lab)
{
	return (readl(lab->registers + EDU_IDENTITY) & 0xff) == 0xed ? 0 : -ENODEV;
}

static void stop(struct lab *lab)
{
}

/* It is told anew for each transfer. */
static void use_work(struct lab *lab)
{
}

static int wait(struct lab *lab)
{
	u32 command;

	return readl_poll_timeout(lab->registers + EDU_COMMAND, command, !(command & EDU_RUN), 1000, ENGINE_PATIENCE_US);
}

static void begin(struct lab *lab, u64 from, u64 to, u32 bytes, u32 command)
{
	writeq(from, lab->registers + EDU_SOURCE);
	writeq(to, lab->registers + EDU_DESTINATION);
	writeq(bytes, lab->registers + EDU_COUNT);
	writeq(command | EDU_RUN, lab->registers + EDU_COMMAND);
}

static int move(struct lab *lab, u64 from, u64 to, u32 bytes, u32 command)
{
	begin(lab, from, to, bytes, command);
	return wait(lab);
}

static int copy(struct lab *lab, dma_addr_t from, dma_addr_t to, u32 bytes)
{
	int error = move(lab, from, EDU_BUFFER, bytes, 0);

	return error ? error : move(lab, EDU_BUFFER, to, bytes, EDU_TO_MEMORY);
}

static int write(struct lab *lab, dma_addr_t to, u64 value, u32 bytes)
{
	u64 *words = lab->work;
	u32 word;

	for (word = 0; word * 8 < bytes; word++)
		words[word] = value;
	return copy(lab, lab->work_at, to, bytes);
}

static int read(struct lab *lab, dma_addr_t from, u64 *sum, u32 bytes)
{
	u64 *words = lab->work;
	u32 word;
	int error;

	memset(words, 0, EDU_BYTES);
	error = copy(lab, from, lab->work_at, bytes);
	*sum = 0;
	for (word = 0; word * 8 < bytes; word++)
		*sum += words[word];
	return error;
}

/* Once: it has one transfer at a time. */
static void post(struct lab *lab, dma_addr_t to, u64 value, u32 bytes)
{
	begin(lab, EDU_BUFFER, to, bytes, EDU_TO_MEMORY);
}

const struct kind edu_kind = {
	.name = "edu",
	.mask = DMA_BIT_MASK(28),
	.most_bytes = EDU_BYTES,
	.start = start,
	.stop = stop,
	.use_work = use_work,
	.write = write,
	.read = read,
	.copy = copy,
	.post = post,
	.wait = wait,
};
