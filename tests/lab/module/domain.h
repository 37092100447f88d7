/* SPDX-License-Identifier: GPL-2.0 */
/* Domains of a driver's own, by the names that each kernel has for them. */
#ifndef DOMAIN_H
#define DOMAIN_H

#include <linux/iommu.h>
#include <linux/version.h>

/* A domain that this device may be attached to; NULL if there is none. */
static inline struct iommu_domain *domain_for(struct device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);

	return IS_ERR(domain) ? NULL : domain;
#else
	return iommu_domain_alloc(dev->bus);
#endif
}

/* Both for reading and for writing. */
static inline int domain_map(struct iommu_domain *domain, unsigned long iova, phys_addr_t paddr, size_t bytes)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return iommu_map(domain, iova, paddr, bytes, IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
#else
	return iommu_map(domain, iova, paddr, bytes, IOMMU_READ | IOMMU_WRITE);
#endif
}

#endif
