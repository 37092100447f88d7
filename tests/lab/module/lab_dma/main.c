// SPDX-License-Identifier: GPL-2.0
/*
 * Drives a device by DMA and by a domain of its own, rightly or with one mistake, and says what came of it.
 *
 *   insmod lab_dma.ko [mistake=NAME] [rounds=COUNT]
 */
#include <linux/module.h>

#include "device.h"

static char *mistake;
module_param(mistake, charp, 0444);
MODULE_PARM_DESC(mistake, "what is done wrongly, once everything was done rightly");
static unsigned int rounds = 20;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "how often each thing is done");

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(ENGINE_VENDOR, ENGINE_DEVICE), .driver_data = (kernel_ulong_t)&engine_kind },
	{ PCI_DEVICE(0x1234, 0x11e8), .driver_data = (kernel_ulong_t)&edu_kind },
	{ }
};

static int prepare(struct lab *lab)
{
	int error = pcim_enable_device(lab->pdev);

	if (error)
		return error;
	pci_set_master(lab->pdev);
	error = dma_set_mask_and_coherent(lab->dev, lab->kind->mask);
	if (error)
		return error;
	lab->registers = pcim_iomap(lab->pdev, 0, 0);
	lab->work = dmam_alloc_coherent(lab->dev, PAGE_SIZE, &lab->work_at, GFP_KERNEL);
	if (!lab->registers || !lab->work)
		return -ENOMEM;
	return lab->kind->start(lab);
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct lab *lab = devm_kzalloc(&pdev->dev, sizeof(*lab), GFP_KERNEL);
	int error;

	if (!lab)
		return -ENOMEM;
	lab->pdev = pdev;
	lab->dev = &pdev->dev;
	lab->kind = (const struct kind *)id->driver_data;
	lab->rounds = rounds;
	pci_set_drvdata(pdev, lab);
	error = prepare(lab);
	if (error) {
		lab_say("wrong: %s does not start, %d", lab->kind->name, error);
		return error;
	}
	lab_say("%s works, %u wrong", lab->kind->name, lab_right(lab));
	if (mistake && !lab_mistake(lab, mistake))
		lab_say("wrong: no mistake %s", mistake);
	return 0;
}

static void remove(struct pci_dev *pdev)
{
	struct lab *lab = pci_get_drvdata(pdev);

	lab->kind->stop(lab);
	pci_clear_master(pdev);
}

static struct pci_driver lab_dma_driver = {
	.name = "lab_dma",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};
module_pci_driver(lab_dma_driver);

MODULE_DESCRIPTION("Right and wrong uses of the DMA and IOMMU interfaces");
MODULE_LICENSE("GPL");
