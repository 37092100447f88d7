/* SPDX-License-Identifier: GPL-2.0 */
/* A device that does DMA, whichever it is, and what is done with it. */
#ifndef DEVICE_H
#define DEVICE_H

#include <linux/pci.h>

#include "../engine_ring.h"

struct lab;

/* What a kind of device can do. Each returns 0, a code above 0 if the device says that it failed, or an error below 0. */
struct kind {
	const char *name;
	/* Addresses that it has. */
	u64 mask;
	u32 most_bytes;
	int (*start)(struct lab *lab);
	void (*stop)(struct lab *lab);
	/* The work page is found elsewhere from now on. */
	void (*use_work)(struct lab *lab);
	/* Writes the value again and again. */
	int (*write)(struct lab *lab, dma_addr_t to, u64 value, u32 bytes);
	/* Adds up the words. */
	int (*read)(struct lab *lab, dma_addr_t from, u64 *sum, u32 bytes);
	int (*copy)(struct lab *lab, dma_addr_t from, dma_addr_t to, u32 bytes);
	/* Begins to write, over and over; `wait` is called later. */
	void (*post)(struct lab *lab, dma_addr_t to, u64 value, u32 bytes);
	int (*wait)(struct lab *lab);
};

struct lab {
	struct pci_dev *pdev;
	struct device *dev;
	const struct kind *kind;
	void __iomem *registers;
	struct engine engine;
	/* A page that the device cannot do without: the engine's ring, and what the other device copies through. */
	void *work;
	dma_addr_t work_at;
	unsigned int rounds;
};

extern const struct kind engine_kind;
extern const struct kind edu_kind;

/* A domain of the driver's own. */
struct own {
	struct iommu_domain *domain;
	/* Where the work page is otherwise. */
	void *work;
	dma_addr_t work_at;
};

/* Where things lie in such a domain: below 2^28, for each device. */
#define DATA_AT 0x4000000
#define WORK_AT 0x5000000

/* The device is in the domain from here to there, with a work page of its own. */
int own_enter(struct lab *lab, struct own *own);
void own_leave(struct lab *lab, struct own *own);

/* How many things were wrong. */
unsigned int lab_right(struct lab *lab);
unsigned int domain_right(struct lab *lab);
/* Whether there is such a mistake. */
bool lab_mistake(struct lab *lab, const char *name);

#define lab_say(format, ...) pr_info("LAB " format "\n", ##__VA_ARGS__)

/* A word that differs from round to round, in all of its bytes. */
static inline u64 pattern(unsigned int round)
{
	return 0x0101010101010101ull * (round % 251 + 1);
}

#endif
