// SPDX-License-Identifier: GPL-2.0
/* Right uses of the DMA API, each byte of which is looked at. */
#include <linux/random.h>
#include <linux/scatterlist.h>

#include "device.h"

/* Whether a page has `inside` from `offset` on for `bytes`, and `outside` around it. */
static bool page_has(const u8 *page, u32 offset, u32 bytes, u8 inside, u8 outside)
{
	return !memchr_inv(page, outside, offset) && !memchr_inv(page + offset, inside, bytes) &&
	       !memchr_inv(page + offset + bytes, outside, PAGE_SIZE - offset - bytes);
}

/* What the device wrote is there, and nothing else changed. */
static bool from_device(struct lab *lab, u8 *page, unsigned int round)
{
	u32 bytes = 8 * (round % 200 + 1), offset = 8 * (round % 50);
	dma_addr_t at;
	int code;

	memset(page, 0, PAGE_SIZE);
	at = dma_map_single(lab->dev, page + offset, bytes, DMA_FROM_DEVICE);
	if (dma_mapping_error(lab->dev, at))
		return false;
	code = lab->kind->write(lab, at, pattern(round), bytes);
	dma_unmap_single(lab->dev, at, bytes, DMA_FROM_DEVICE);
	return !code && page_has(page, offset, bytes, (u8)pattern(round), 0);
}

/* The device reads what is there. */
static bool to_device(struct lab *lab, u8 *page, unsigned int round)
{
	u32 bytes = 8 * (round % 200 + 1), offset = 8 * (round % 50);
	u64 sum = 0;
	dma_addr_t at;
	int code;

	memset(page, 0x5a, PAGE_SIZE);
	memset(page + offset, (u8)pattern(round), bytes);
	at = dma_map_single(lab->dev, page + offset, bytes, DMA_TO_DEVICE);
	if (dma_mapping_error(lab->dev, at))
		return false;
	code = lab->kind->read(lab, at, &sum, bytes);
	dma_unmap_single(lab->dev, at, bytes, DMA_TO_DEVICE);
	return !code && sum == pattern(round) * (bytes / 8);
}

/* A mapping that stays: it changes hands between the device and the processor. */
static bool both_ways(struct lab *lab, u8 *page, unsigned int round)
{
	u64 sum = 0;
	dma_addr_t at = dma_map_single(lab->dev, page, PAGE_SIZE, DMA_BIDIRECTIONAL);
	bool right;

	if (dma_mapping_error(lab->dev, at))
		return false;
	right = !lab->kind->write(lab, at + 64, pattern(round), 1024);
	dma_sync_single_for_cpu(lab->dev, at, PAGE_SIZE, DMA_BIDIRECTIONAL);
	right &= !memchr_inv(page + 64, (u8)pattern(round), 1024);
	memset(page + 64, (u8)pattern(round + 1), 1024);
	dma_sync_single_for_device(lab->dev, at, PAGE_SIZE, DMA_BIDIRECTIONAL);
	right &= !lab->kind->read(lab, at + 64, &sum, 1024);
	dma_unmap_single(lab->dev, at, PAGE_SIZE, DMA_BIDIRECTIONAL);
	return right && sum == pattern(round + 1) * 128;
}

static bool coherent(struct lab *lab, u8 *page, unsigned int round)
{
	size_t bytes = PAGE_SIZE << (round % 3);
	dma_addr_t at;
	u64 sum = 0;
	u8 *memory = dma_alloc_coherent(lab->dev, bytes, &at, GFP_KERNEL);
	bool right;

	if (!memory)
		return false;
	right = !lab->kind->write(lab, at + bytes - 512, pattern(round), 512);
	right &= !memchr_inv(memory + bytes - 512, (u8)pattern(round), 512);
	memset(memory, (u8)pattern(round + 1), 512);
	right &= !lab->kind->read(lab, at, &sum, 512) && sum == pattern(round + 1) * 64;
	dma_free_coherent(lab->dev, bytes, memory, at);
	return right;
}

#define PIECES 4

/* Every other page, so that no two of them lie together. */
static int scatter_of(struct scatterlist *list, u8 *pages)
{
	int piece;

	sg_init_table(list, PIECES);
	for (piece = 0; piece < PIECES; piece++)
		sg_set_buf(&list[piece], pages + 2 * piece * PAGE_SIZE, PAGE_SIZE);
	return PIECES;
}

static bool write_scatter(struct lab *lab, struct scatterlist *list, int mapped, unsigned int round)
{
	struct scatterlist *piece;
	bool right = true;
	int number;

	for_each_sg(list, piece, mapped, number) {
		u32 done, bytes = sg_dma_len(piece);

		for (done = 0; done < bytes; done += min(bytes - done, lab->kind->most_bytes))
			right &= !lab->kind->write(lab, sg_dma_address(piece) + done, pattern(round),
						   min(bytes - done, lab->kind->most_bytes));
	}
	return right;
}

static bool scatter(struct lab *lab, u8 *page, unsigned int round)
{
	u8 *pages = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 3);
	struct scatterlist list[PIECES];
	int mapped, piece;
	bool right;

	if (!pages)
		return false;
	mapped = dma_map_sg(lab->dev, list, scatter_of(list, pages), DMA_FROM_DEVICE);
	right = mapped && write_scatter(lab, list, mapped, round);
	if (mapped)
		dma_unmap_sg(lab->dev, list, PIECES, DMA_FROM_DEVICE);
	for (piece = 0; piece < PIECES; piece++) {
		u8 *at = pages + 2 * piece * PAGE_SIZE;

		right &= !memchr_inv(at, (u8)pattern(round), PAGE_SIZE) && !memchr_inv(at + PAGE_SIZE, 0, PAGE_SIZE);
	}
	free_pages((unsigned long)pages, 3);
	return right;
}

static bool copies(struct lab *lab, u8 *page, unsigned int round)
{
	dma_addr_t from, to;
	u8 *source = (u8 *)get_zeroed_page(GFP_KERNEL);
	bool right;

	if (!source)
		return false;
	get_random_bytes(source, PAGE_SIZE);
	memset(page, 0, PAGE_SIZE);
	from = dma_map_single(lab->dev, source, PAGE_SIZE, DMA_TO_DEVICE);
	to = dma_map_single(lab->dev, page, PAGE_SIZE, DMA_FROM_DEVICE);
	right = !dma_mapping_error(lab->dev, from) && !dma_mapping_error(lab->dev, to);
	right = right && !lab->kind->copy(lab, from, to + 128, 1024);
	if (!dma_mapping_error(lab->dev, from))
		dma_unmap_single(lab->dev, from, PAGE_SIZE, DMA_TO_DEVICE);
	if (!dma_mapping_error(lab->dev, to))
		dma_unmap_single(lab->dev, to, PAGE_SIZE, DMA_FROM_DEVICE);
	right = right && !memcmp(source, page + 128, 1024) && !memchr_inv(page + 1152, 0, PAGE_SIZE - 1152);
	free_page((unsigned long)source);
	return right;
}

static const struct {
	const char *name;
	bool (*round)(struct lab *lab, u8 *page, unsigned int round);
} uses[] = {
	{ "from the device", from_device }, { "to the device", to_device }, { "both ways", both_ways },
	{ "coherent", coherent },	    { "scattered", scatter },	    { "copies", copies },
};

unsigned int lab_right(struct lab *lab)
{
	unsigned int use, round, wrong, total = 0;
	u8 *pages[4];

	for (round = 0; round < ARRAY_SIZE(pages); round++)
		pages[round] = (u8 *)get_zeroed_page(GFP_KERNEL | __GFP_NOFAIL);
	for (use = 0; use < ARRAY_SIZE(uses); use++) {
		for (round = 0, wrong = 0; round < lab->rounds; round++)
			wrong += !uses[use].round(lab, pages[round % ARRAY_SIZE(pages)], round);
		lab_say("%s: %u rounds, %u wrong", uses[use].name, round, wrong);
		total += wrong;
	}
	for (round = 0; round < ARRAY_SIZE(pages); round++)
		free_page((unsigned long)pages[round]);
	return total + domain_right(lab);
}
