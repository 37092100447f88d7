// SPDX-License-Identifier: GPL-2.0
/* Right uses of domains of the driver's own. */
#include "device.h"

#include "../domain.h"

static int own_fill(struct lab *lab, struct own *own, void *page)
{
	int error = domain_map(own->domain, WORK_AT, virt_to_phys(page), PAGE_SIZE);

	if (!error)
		error = iommu_attach_device(own->domain, lab->dev);
	if (error)
		return error;
	own->work = lab->work;
	own->work_at = lab->work_at;
	lab->work = page;
	lab->work_at = WORK_AT;
	lab->kind->use_work(lab);
	return 0;
}

int own_enter(struct lab *lab, struct own *own)
{
	void *page = (void *)get_zeroed_page(GFP_KERNEL);
	int error = -ENOMEM;

	own->domain = domain_for(lab->dev);
	if (own->domain && page)
		error = own_fill(lab, own, page);
	if (!error)
		return 0;
	lab_say("wrong: no domain of its own, %d", error);
	if (own->domain)
		iommu_domain_free(own->domain);
	free_page((unsigned long)page);
	return error;
}

void own_leave(struct lab *lab, struct own *own)
{
	void *page = lab->work;

	iommu_detach_device(own->domain, lab->dev);
	iommu_domain_free(own->domain);
	free_page((unsigned long)page);
	lab->work = own->work;
	lab->work_at = own->work_at;
	lab->kind->use_work(lab);
}

/* The device writes one word at DATA_AT: into this page, and not into the other. */
static bool arrives(struct lab *lab, u64 *page, u64 *other, u64 value)
{
	page[0] = 0;
	other[0] = 0;
	return !lab->kind->write(lab, DATA_AT, value, 64) && page[0] == value && page[7] == value && other[0] == 0;
}

/* One address leads to this page and to that one in turn. */
static unsigned int remaps(struct lab *lab, u64 **pages)
{
	unsigned int round, wrong = 0;
	struct own own;

	if (own_enter(lab, &own))
		return 1;
	for (round = 0; round < lab->rounds; round++) {
		u64 *page = pages[round & 1];
		bool right = !domain_map(own.domain, DATA_AT, virt_to_phys(page), PAGE_SIZE);

		right = right && arrives(lab, page, pages[~round & 1], pattern(round));
		right &= iommu_unmap(own.domain, DATA_AT, PAGE_SIZE) == PAGE_SIZE;
		wrong += !right;
	}
	own_leave(lab, &own);
	lab_say("remapped: %u rounds, %u wrong", round, wrong);
	return wrong;
}

/* Domain after domain, each with the same address; the device leaves each while everything is mapped. */
static unsigned int moves(struct lab *lab, u64 **pages)
{
	unsigned int round, wrong = 0;

	for (round = 0; round < lab->rounds; round++) {
		u64 *page = pages[round & 1];
		struct own own;
		bool right;

		if (own_enter(lab, &own))
			return wrong + 1;
		right = !domain_map(own.domain, DATA_AT, virt_to_phys(page), PAGE_SIZE);
		right = right && arrives(lab, page, pages[~round & 1], pattern(round));
		wrong += !right;
		own_leave(lab, &own);
	}
	lab_say("moved: %u domains, %u wrong", round, wrong);
	return wrong;
}

/* Many pages are mapped at once, as large ones where they lie so, and unmapped in pieces. */
static unsigned int in_pieces(struct lab *lab)
{
	const unsigned int order = 9, count = 1 << order;
	u64 *pages = (u64 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, order);
	unsigned int piece, wrong = 0;
	struct own own;

	if (!pages || own_enter(lab, &own))
		return 1;
	wrong += !!domain_map(own.domain, DATA_AT, virt_to_phys(pages), PAGE_SIZE * count);
	for (piece = 0; piece < count; piece += 64) {
		u64 *word = pages + piece * 512;

		wrong += lab->kind->write(lab, DATA_AT + piece * PAGE_SIZE, pattern(piece), 8) || *word != pattern(piece);
	}
	wrong += iommu_unmap(own.domain, DATA_AT, PAGE_SIZE * count) != PAGE_SIZE * count;
	/* Small pages now, the second half of which goes first. */
	for (piece = 0; piece < 16; piece++)
		wrong += !!domain_map(own.domain, DATA_AT + piece * PAGE_SIZE, virt_to_phys(pages + (15 - piece) * 512), PAGE_SIZE);
	wrong += iommu_unmap(own.domain, DATA_AT + 8 * PAGE_SIZE, 8 * PAGE_SIZE) != 8 * PAGE_SIZE;
	wrong += lab->kind->write(lab, DATA_AT + 7 * PAGE_SIZE, 7, 8) || pages[8 * 512] != 7;
	wrong += iommu_unmap(own.domain, DATA_AT, 8 * PAGE_SIZE) != 8 * PAGE_SIZE;
	own_leave(lab, &own);
	free_pages((unsigned long)pages, order);
	lab_say("in pieces: %u wrong", wrong);
	return wrong;
}

unsigned int domain_right(struct lab *lab)
{
	u64 *pages[2] = { (u64 *)get_zeroed_page(GFP_KERNEL), (u64 *)get_zeroed_page(GFP_KERNEL) };
	unsigned int wrong = 1;

	if (pages[0] && pages[1])
		wrong = remaps(lab, pages) + moves(lab, pages) + in_pieces(lab);
	free_page((unsigned long)pages[0]);
	free_page((unsigned long)pages[1]);
	return wrong;
}
