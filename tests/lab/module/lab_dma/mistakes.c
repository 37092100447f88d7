// SPDX-License-Identifier: GPL-2.0
/*
 * Mistakes of drivers, each made once and on purpose. What is said here is what the driver sees of it: nothing, where the
 * device works on memory that it may not touch any more.
 */
#include <linux/sizes.h>

#include "device.h"

#include "../domain.h"

#define OLD 0x0101010101010101ull
#define NEW 0x2222222222222222ull

static u64 *pages[2];

static const char *where(u64 value)
{
	return pages[0][0] == value ? "into the first page" : pages[1][0] == value ? "into the second page" : "nowhere";
}

/* iommu_unmap_fast() wants an iommu_iotlb_sync() behind it. */
static void no_sync(struct lab *lab)
{
	struct iommu_iotlb_gather gather;
	struct own own;

	if (own_enter(lab, &own))
		return;
	domain_map(own.domain, DATA_AT, virt_to_phys(pages[0]), PAGE_SIZE);
	lab->kind->write(lab, DATA_AT, OLD, 64);
	iommu_iotlb_gather_init(&gather);
	iommu_unmap_fast(own.domain, DATA_AT, PAGE_SIZE, &gather);
	domain_map(own.domain, DATA_AT, virt_to_phys(pages[1]), PAGE_SIZE);
	lab_say("code %d", lab->kind->write(lab, DATA_AT, NEW, 64));
	lab_say("the device wrote %s, the second is right", where(NEW));
	own_leave(lab, &own);
}

/* The device is told an address that the driver has given back. */
static void use_after_unmap(struct lab *lab)
{
	dma_addr_t at = dma_map_single(lab->dev, pages[0], PAGE_SIZE, DMA_BIDIRECTIONAL);

	lab->kind->write(lab, at, OLD, 64);
	dma_unmap_single(lab->dev, at, PAGE_SIZE, DMA_BIDIRECTIONAL);
	lab_say("code %d", lab->kind->write(lab, at, NEW, 64));
	lab_say("the device wrote %s, nowhere is right", where(NEW));
}

/* Memory goes while the device still works on it. */
static void unmap_at_work(struct lab *lab)
{
	u32 bytes = lab->kind->most_bytes;
	u64 *memory = (u64 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, get_order(bytes));
	dma_addr_t at = dma_map_single(lab->dev, memory, bytes, DMA_BIDIRECTIONAL);
	unsigned long word, late = 0;

	lab->kind->write(lab, at, OLD, bytes);
	lab->kind->post(lab, at, NEW, bytes);
	dma_unmap_single(lab->dev, at, bytes, DMA_BIDIRECTIONAL);
	/* The memory is the processor's again. */
	for (word = 0; word < bytes / 8; word++)
		WRITE_ONCE(memory[word], OLD);
	lab_say("code %d", lab->kind->wait(lab));
	for (word = 0; word < bytes / 8; word++)
		late += memory[word] != OLD;
	lab_say("the device wrote %s, nothing is right", late ? "what was the processor's" : "nothing");
}

/* Two domains have the address; the device is in the one that is not meant. */
static void wrong_domain(struct lab *lab)
{
	struct iommu_domain *meant = domain_for(lab->dev);
	struct own own;

	if (!meant || own_enter(lab, &own))
		return;
	domain_map(meant, DATA_AT, virt_to_phys(pages[1]), PAGE_SIZE);
	domain_map(own.domain, DATA_AT, virt_to_phys(pages[0]), PAGE_SIZE);
	lab_say("code %d", lab->kind->write(lab, DATA_AT, NEW, 64));
	lab_say("the device wrote %s, the second is right", where(NEW));
	own_leave(lab, &own);
	iommu_domain_free(meant);
}

/* The address is mapped only in a domain in which the device is not. */
static void other_domain(struct lab *lab)
{
	struct iommu_domain *meant = domain_for(lab->dev);
	struct own own;

	if (!meant || own_enter(lab, &own))
		return;
	domain_map(meant, DATA_AT, virt_to_phys(pages[1]), PAGE_SIZE);
	lab_say("code %d", lab->kind->write(lab, DATA_AT, NEW, 64));
	lab_say("the device wrote %s, the second is right", where(NEW));
	own_leave(lab, &own);
	iommu_domain_free(meant);
}

/* A mapped address is mapped again, which does not replace what is there. */
static void double_map(struct lab *lab)
{
	struct own own;
	int error;

	if (own_enter(lab, &own))
		return;
	domain_map(own.domain, DATA_AT, virt_to_phys(pages[0]), PAGE_SIZE);
	lab->kind->write(lab, DATA_AT, OLD, 64);
	error = domain_map(own.domain, DATA_AT, virt_to_phys(pages[1]), PAGE_SIZE);
	lab_say("mapped again: %d, code %d", error, lab->kind->write(lab, DATA_AT, NEW, 64));
	lab_say("the device wrote %s, the second is right", where(NEW));
	own_leave(lab, &own);
}

/* The device writes what it was only to read. */
static void wrong_direction(struct lab *lab)
{
	dma_addr_t at = dma_map_single(lab->dev, pages[0], PAGE_SIZE, DMA_TO_DEVICE);

	lab_say("code %d", lab->kind->write(lab, at, NEW, 64));
	lab_say("the device wrote %s, nowhere is right", where(NEW));
	dma_unmap_single(lab->dev, at, PAGE_SIZE, DMA_TO_DEVICE);
}

#define SPARES 32

/* What the processor does with memory that the kernel has given back: here it looks like a table that leads to a page. */
static void take_freed(u64 *spares[SPARES], u64 *page)
{
	unsigned int spare, entry;

	for (spare = 0; spare < SPARES; spare++) {
		spares[spare] = (u64 *)get_zeroed_page(GFP_KERNEL | __GFP_NOFAIL);
		for (entry = 0; entry < PAGE_SIZE / 8; entry++)
			spares[spare][entry] = virt_to_phys(page) | BIT(1) | BIT(0);
	}
}

/*
 * No mistake of the driver, but of the kernel: one call unmaps pages of a table, and then the whole of the next table. The
 * second table is freed behind an invalidation of the first pages; the one for its own says that only leaves changed.
 */
static void across_sizes(struct lab *lab)
{
	const unsigned long from = DATA_AT + SZ_1M, table = DATA_AT + SZ_2M, end = DATA_AT + SZ_4M;
	u64 *spares[SPARES];
	unsigned long at;
	struct own own;

	if (own_enter(lab, &own))
		return;
	lab_say("sizes of pages: %#lx", own.domain->pgsize_bitmap);
	for (at = from; at < end; at += PAGE_SIZE)
		domain_map(own.domain, at, virt_to_phys(pages[0]), PAGE_SIZE);
	lab->kind->write(lab, table, OLD, 64);
	iommu_unmap(own.domain, from, end - from);
	take_freed(spares, pages[0]);
	domain_map(own.domain, table + PAGE_SIZE, virt_to_phys(pages[1]), PAGE_SIZE);
	lab_say("code %d", lab->kind->write(lab, table + PAGE_SIZE, NEW, 64));
	lab_say("the device wrote %s, the second is right", where(NEW));
	own_leave(lab, &own);
	for (at = 0; at < SPARES; at++)
		free_page((unsigned long)spares[at]);
}

/*
 * A page of a large one is unmapped. The kernel takes what lies in the large page for a table: words whose two lowest bits make
 * them look present are cleared there.
 */
static void part_of_large(struct lab *lab)
{
	const unsigned int order = get_order(SZ_2M);
	u64 *memory = (u64 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, order);
	unsigned int at, lost = 0;
	struct own own;
	size_t gone;

	if (!memory) {
		lab_say("wrong: no memory");
		return;
	}
	if (own_enter(lab, &own))
		return;
	domain_map(own.domain, DATA_AT, virt_to_phys(memory), SZ_2M);
	lab_say("code %d", lab->kind->write(lab, DATA_AT, OLD, PAGE_SIZE));
	gone = iommu_unmap(own.domain, DATA_AT + PAGE_SIZE, PAGE_SIZE);
	for (at = 0; at < PAGE_SIZE / sizeof(u64); at++)
		lost += memory[at] != OLD;
	lab_say("%#zx bytes unmapped, %u words of the first page lost, 0 is right", gone, lost);
	lab_say("code %d", lab->kind->write(lab, DATA_AT, NEW, 64));
	lab_say("%s", memory[0] == NEW ? "the device still writes into it" : "the device writes no longer into it");
	own_leave(lab, &own);
	/* The memory is never freed: the device may still have it. */
}

static const struct {
	const char *name;
	void (*make)(struct lab *lab);
} mistakes[] = {
	{ "no-sync", no_sync },
	{ "use-after-unmap", use_after_unmap },
	{ "unmap-at-work", unmap_at_work },
	{ "wrong-domain", wrong_domain },
	{ "other-domain", other_domain },
	{ "double-map", double_map },
	{ "wrong-direction", wrong_direction },
	{ "across-sizes", across_sizes },
	{ "part-of-large", part_of_large },
};

static void make(struct lab *lab, unsigned int which)
{
	pages[0] = (u64 *)get_zeroed_page(GFP_KERNEL);
	pages[1] = (u64 *)get_zeroed_page(GFP_KERNEL);
	if (!pages[0] || !pages[1])
		lab_say("wrong: no memory");
	else
		mistakes[which].make(lab);
	/* They are never freed: the device may still have them. */
}

bool lab_mistake(struct lab *lab, const char *name)
{
	unsigned int which;

	for (which = 0; which < ARRAY_SIZE(mistakes); which++) {
		if (strcmp(mistakes[which].name, name))
			continue;
		lab_say("mistake %s", name);
		make(lab, which);
		return true;
	}
	return false;
}
