// SPDX-License-Identifier: GPL-2.0
/* The DMA engine as a device of the lab. */
#include "device.h"

/* How often a posted write is done: long enough for whatever the processor does meanwhile. */
#define TIMES 24

static int start(struct lab *lab)
{
	u32 identity = readl(lab->registers + ENGINE_IDENTIFICATION);

	if (identity != ENGINE_IDENTITY)
		return -ENODEV;
	lab->engine.registers = lab->registers;
	return engine_start(&lab->engine, lab->work, lab->work_at);
}

static void stop(struct lab *lab)
{
	engine_stop(&lab->engine);
}

static void use_work(struct lab *lab)
{
	engine_use_ring(&lab->engine, lab->work, lab->work_at);
}

static struct engine_descriptor write_of(dma_addr_t to, u64 value, u32 bytes)
{
	return (struct engine_descriptor){
		.operation = ENGINE_WRITE,
		.destination = cpu_to_le64(to),
		.operand = cpu_to_le64(value),
		.length = cpu_to_le32(bytes),
	};
}

static int write(struct lab *lab, dma_addr_t to, u64 value, u32 bytes)
{
	return engine_do(&lab->engine, write_of(to, value, bytes), NULL);
}

static int read(struct lab *lab, dma_addr_t from, u64 *sum, u32 bytes)
{
	struct engine_descriptor descriptor = {
		.operation = ENGINE_READ,
		.source = cpu_to_le64(from),
		.length = cpu_to_le32(bytes),
	};

	return engine_do(&lab->engine, descriptor, sum);
}

static int copy(struct lab *lab, dma_addr_t from, dma_addr_t to, u32 bytes)
{
	struct engine_descriptor descriptor = {
		.operation = ENGINE_COPY,
		.source = cpu_to_le64(from),
		.destination = cpu_to_le64(to),
		.length = cpu_to_le32(bytes),
	};

	return engine_do(&lab->engine, descriptor, NULL);
}

static void post(struct lab *lab, dma_addr_t to, u64 value, u32 bytes)
{
	struct engine_descriptor descriptor = write_of(to, value, bytes);
	int time;

	for (time = 1; time < TIMES; time++)
		engine_add(&lab->engine, descriptor);
	engine_post(&lab->engine, descriptor);
}

/* All of them are over, not only one that has left its record. */
static int wait(struct lab *lab)
{
	u32 head;
	int error;

	error = readl_poll_timeout(lab->registers + ENGINE_HEAD, head, head == lab->engine.tail, 100, ENGINE_PATIENCE_US);
	return error ? error : engine_wait(&lab->engine, NULL);
}

const struct kind engine_kind = {
	.name = "dma-engine",
	.mask = DMA_BIT_MASK(64),
	.most_bytes = ENGINE_MOST_BYTES,
	.start = start,
	.stop = stop,
	.use_work = use_work,
	.write = write,
	.read = read,
	.copy = copy,
	.post = post,
	.wait = wait,
};
