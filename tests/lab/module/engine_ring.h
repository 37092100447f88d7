/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A DMA engine at work: its ring and its completion record lie in one page, the record in the upper half.
 * Whoever posts a descriptor waits for it before the next.
 */
#ifndef ENGINE_RING_H
#define ENGINE_RING_H

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/pci.h>

#include "engine.h"

#define ENGINE_RING_LOG2 5
#define ENGINE_RECORD_OFFSET (PAGE_SIZE / 2)
/* An emulated host is slow. */
#define ENGINE_PATIENCE_US (20 * USEC_PER_SEC)

struct engine {
	void __iomem *registers;
	/* The page, and where the engine finds it. */
	void *ring;
	dma_addr_t ring_at;
	u32 tail;
};

static inline struct engine_record *engine_record(struct engine *engine)
{
	return engine->ring + ENGINE_RECORD_OFFSET;
}

/* The ring is empty: it may lie elsewhere from now on. */
static inline void engine_use_ring(struct engine *engine, void *page, dma_addr_t at)
{
	engine->ring = page;
	engine->ring_at = at;
	writeq(at, engine->registers + ENGINE_RING_ADDRESS);
}

/* As after power-on, and then it runs. */
static inline int engine_start(struct engine *engine, void *page, dma_addr_t at)
{
	u32 control;
	int error;

	writel(ENGINE_CONTROL_RESET, engine->registers + ENGINE_CONTROL);
	error = readl_poll_timeout(engine->registers + ENGINE_CONTROL, control, !(control & ENGINE_CONTROL_RESET),
				   100, ENGINE_PATIENCE_US);
	if (error)
		return error;
	engine->tail = 0;
	engine_use_ring(engine, page, at);
	writel(ENGINE_RING_LOG2, engine->registers + ENGINE_RING_SIZE);
	writel(ENGINE_CONTROL_RUN, engine->registers + ENGINE_CONTROL);
	return 0;
}

static inline void engine_stop(struct engine *engine)
{
	writel(ENGINE_CONTROL_RESET, engine->registers + ENGINE_CONTROL);
}

/* Puts a descriptor behind the last one; its record is asked for here. */
static inline void engine_add(struct engine *engine, struct engine_descriptor descriptor)
{
	struct engine_descriptor *entries = engine->ring;

	descriptor.flags |= ENGINE_COMPLETION;
	descriptor.completion = cpu_to_le64(engine->ring_at + ENGINE_RECORD_OFFSET);
	entries[engine->tail] = descriptor;
	engine->tail = (engine->tail + 1) % BIT(ENGINE_RING_LOG2);
}

/* Starts a descriptor, and those that were added before. */
static inline void engine_post(struct engine *engine, struct engine_descriptor descriptor)
{
	WRITE_ONCE(engine_record(engine)->status, 0);
	engine_add(engine, descriptor);
	/* The entries are written before the doorbell is. */
	wmb();
	writel(engine->tail, engine->registers + ENGINE_TAIL);
}

/* How the descriptor at hand ended: a code, or a negative error. */
static inline int engine_wait(struct engine *engine, u64 *result)
{
	struct engine_record *record = engine_record(engine);
	u64 status;
	int error;

	error = read_poll_timeout(READ_ONCE, status, le64_to_cpu(status) & ENGINE_RECORD_THERE, 10,
				  ENGINE_PATIENCE_US, false, record->status);
	if (error)
		return error;
	/* The result was written before the status. */
	rmb();
	if (result)
		*result = le64_to_cpu(record->result);
	return ENGINE_RECORD_CODE(le64_to_cpu(status));
}

static inline int engine_do(struct engine *engine, struct engine_descriptor descriptor, u64 *result)
{
	engine_post(engine, descriptor);
	return engine_wait(engine, result);
}

#endif
