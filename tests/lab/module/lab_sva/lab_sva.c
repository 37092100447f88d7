// SPDX-License-Identifier: GPL-2.0
/*
 * The DMA engine for processes: /dev/lab-sva. Who opens it has its address space bound to a PASID until the file is
 * closed; write() takes descriptors that the engine executes in that name, read() gives what came of them, in that order.
 *
 * Debian's 6.1 and 6.12 refuse iommu_sva_bind_device(): the function behind it, which is the IOMMU driver's own, is called
 * instead. What is under test is behind both: page tables, the mmu notifier, page requests, invalidations.
 *
 * bug=forgotten-unbind   the PASID stays bound when the file is closed, and is used once more
 * repair=1               each invalidation of a whole device TLB is given the PASID, as Linux 3141153816bf does (6.12)
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#include "../engine.h"

#define RING_BITS 8
#define ENTRIES (1 << RING_BITS)
#define WAIT_MS 60000

/* What a process writes: a descriptor without what is not its to say. */
struct work {
	u32 operation, length;
	u64 source, destination, operand, comparand;
};

struct engine {
	struct pci_dev *pci;
	void __iomem *registers;
	struct engine_descriptor *ring;
	struct engine_record *records;
	dma_addr_t ring_at, records_at;
	struct mutex lock;	/* tail, taken, the ring */
	u32 tail;
	bool taken[ENTRIES];	/* until what came of it is read */
	struct miscdevice device;
};

struct bond {
	u32 pasid;
	bool is_behind;		/* iommu_sva_bind_device() refused */
	struct iommu_sva *sva;
	struct iommu_domain *domain;
	struct iommu_attach_handle *handle;
};

/* An open file. */
struct process {
	struct bond bond;
	struct mutex lock;
	u32 entries[ENTRIES];	/* what was submitted and not read yet, a queue */
	u32 first, last;
	u64 source;		/* of the last descriptor */
};

static char *bug = "";
module_param(bug, charp, 0444);
static bool repair;
module_param(repair, bool, 0444);

static struct engine *engine;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
static int bind_behind(struct bond *bond, struct device *device)
{
	return -EOPNOTSUPP;
}

static void unbind_behind(struct bond *bond, struct device *device)
{
}
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
/*
 * The handler of iommu_sva_bind_device() is not in these kernels, whose function only refuses. This one does the same: a page
 * is asked for in the name of the process, and faulted in as by a thread of it.
 */
static bool fault_in(struct mm_struct *mm, const struct iommu_fault_page_request *request)
{
	unsigned int flags = FAULT_FLAG_USER | FAULT_FLAG_REMOTE;
	vm_flags_t wanted = 0;
	struct vm_area_struct *vma;
	bool is_there = false;

	if (request->perm & IOMMU_FAULT_PERM_READ)
		wanted |= VM_READ;
	if (request->perm & IOMMU_FAULT_PERM_WRITE) {
		wanted |= VM_WRITE;
		flags |= FAULT_FLAG_WRITE;
	}
	if (!mmget_not_zero(mm))
		return false;
	mmap_read_lock(mm);
	vma = vma_lookup(mm, request->addr);
	if (vma && (vma->vm_flags & wanted) == wanted)
		is_there = !(handle_mm_fault(vma, request->addr, flags, NULL) & VM_FAULT_ERROR);
	mmap_read_unlock(mm);
	mmput(mm);
	return is_there;
}

static void answer(struct work_struct *work)
{
	struct iopf_group *group = container_of(work, struct iopf_group, work);
	struct mm_struct *mm = group->attach_handle->domain->mm;
	struct iopf_fault *fault;
	bool is_there = true;

	list_for_each_entry(fault, &group->faults, list)
		is_there = is_there && fault_in(mm, &fault->fault.prm);
	iopf_group_response(group, is_there ? IOMMU_PAGE_RESP_SUCCESS : IOMMU_PAGE_RESP_INVALID);
	iopf_free_group(group);
}

static int handle_page_requests(struct iopf_group *group)
{
	INIT_WORK(&group->work, answer);
	return queue_work(group->fault_param->queue->wq, &group->work) ? 0 : -EBUSY;
}

static int bind_behind(struct bond *bond, struct device *device)
{
	const struct iommu_ops *ops = device->iommu->iommu_dev->ops;
	struct iommu_domain *domain;
	int error = -ENOMEM;

	if (!ops->domain_alloc_sva)
		return -EOPNOTSUPP;
	bond->handle = kzalloc(sizeof(struct iommu_sva), GFP_KERNEL);
	if (!bond->handle)
		return error;
	domain = ops->domain_alloc_sva(device, current->mm);
	if (IS_ERR(domain)) {
		error = PTR_ERR(domain);
		goto no_domain;
	}
	domain->type = IOMMU_DOMAIN_SVA;
	mmgrab(current->mm);
	domain->mm = current->mm;
	domain->owner = ops;
	domain->iopf_handler = handle_page_requests;
	bond->handle->domain = domain;
	bond->pasid = iommu_alloc_global_pasid(device);
	error = -ENOSPC;
	if (bond->pasid == IOMMU_PASID_INVALID)
		goto no_pasid;
	error = iommu_attach_device_pasid(domain, device, bond->pasid, bond->handle);
	if (error)
		goto not_attached;
	bond->domain = domain;
	return 0;
not_attached:
	iommu_free_global_pasid(bond->pasid);
no_pasid:
	iommu_domain_free(domain);
no_domain:
	kfree(bond->handle);
	return error;
}

static void unbind_behind(struct bond *bond, struct device *device)
{
	iommu_detach_device_pasid(bond->domain, device, bond->pasid);
	iommu_domain_free(bond->domain);
	iommu_free_global_pasid(bond->pasid);
	kfree(bond->handle);
}
#else
static int bind_behind(struct bond *bond, struct device *device)
{
	const struct iommu_ops *ops = device->iommu->iommu_dev->ops;
	struct iommu_sva *sva;

	if (!ops->sva_bind)
		return -EOPNOTSUPP;
	sva = ops->sva_bind(device, current->mm, NULL);
	if (IS_ERR(sva))
		return PTR_ERR(sva);
	sva->dev = device;
	bond->sva = sva;
	bond->pasid = ops->sva_get_pasid(sva);
	return 0;
}

static void unbind_behind(struct bond *bond, struct device *device)
{
	device->iommu->iommu_dev->ops->sva_unbind(bond->sva);
}
#endif

static int bind(struct bond *bond, struct device *device)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	bond->sva = iommu_sva_bind_device(device, current->mm);
#else
	bond->sva = iommu_sva_bind_device(device, current->mm, NULL);
#endif
	bond->is_behind = IS_ERR(bond->sva);
	if (bond->is_behind)
		return bind_behind(bond, device);
	bond->pasid = iommu_sva_get_pasid(bond->sva);
	return 0;
}

static void unbind(struct bond *bond, struct device *device)
{
	if (bond->is_behind)
		unbind_behind(bond, device);
	else
		iommu_sva_unbind_device(bond->sva);
}

/* VT-d 6.5.2.5 and 6.5.2.6: the kinds of descriptor, and where both have the same. */
#define DEVICE_TLB 3
#define PASID_DEVICE_TLB 8
#define PFSID (GENMASK_ULL(63, 52) | GENMASK_ULL(15, 12))

struct invalidation {
	u64 low, high, more[2];
};

static u32 repaired_pasid;
static atomic_t repaired;

static int give_pasid(struct kprobe *probe, struct pt_regs *registers)
{
	struct invalidation *at = (void *)registers->si;
	/* The upper half of the register may have anything. */
	u32 i, count = registers->dx;

	for (i = 0; i < count; i++) {
		u64 low = at[i].low;
		bool is_whole = (at[i].high | 0xfff) == GENMASK_ULL(62, 0) && at[i].high & 1;

		if ((low & 0xe0f) != DEVICE_TLB || !is_whole || !repaired_pasid)
			continue;
		at[i].low = PASID_DEVICE_TLB | (low & PFSID) | (low >> 32 & 0xffff) << 16 |
			    (u64)repaired_pasid << 32;
		at[i].high = GENMASK_ULL(62, 12) | 1 << 11;
		atomic_inc(&repaired);
	}
	return 0;
}

static struct kprobe repair_probe = { .symbol_name = "qi_submit_sync", .pre_handler = give_pasid };

static void submit(struct process *process, const struct work *work)
{
	u32 entry = engine->tail;

	engine->records[entry].status = 0;
	engine->ring[entry] = (struct engine_descriptor) {
		.operation = work->operation,
		.flags = ENGINE_SOURCE_PASID | ENGINE_DESTINATION_PASID | ENGINE_COMPLETION,
		.pasid = cpu_to_le32(process->bond.pasid),
		.source = cpu_to_le64(work->source),
		.destination = cpu_to_le64(work->destination),
		.length = cpu_to_le32(work->length),
		.operand = cpu_to_le64(work->operand),
		.comparand = cpu_to_le64(work->comparand),
		.completion = cpu_to_le64(engine->records_at + entry * sizeof(struct engine_record)),
	};
	engine->taken[entry] = true;
	engine->tail = (entry + 1) % ENTRIES;
	process->source = work->source;
	process->entries[process->last++ % ENTRIES] = entry;
}

/* Sleeps: on one processor the engine's process must have a chance to change its memory meanwhile. */
static int wait(u32 entry, bool is_killable)
{
	ktime_t end = ktime_add_ms(ktime_get(), WAIT_MS);

	while (!(le64_to_cpu(READ_ONCE(engine->records[entry].status)) & ENGINE_RECORD_THERE)) {
		if (ktime_after(ktime_get(), end)) {
			pr_err("lab_sva: LAB wrong: descriptor %u is not done\n", entry);
			return -ETIMEDOUT;
		}
		if (is_killable && fatal_signal_pending(current))
			return -EINTR;
		usleep_range(20, 50);
	}
	dma_rmb();
	return 0;
}

static void give_back(struct process *process)
{
	mutex_lock(&engine->lock);
	engine->taken[process->entries[process->first++ % ENTRIES]] = false;
	mutex_unlock(&engine->lock);
}

static bool has_room(u32 count)
{
	u32 i;

	/* One entry stays empty: a full ring has its tail elsewhere than an empty one. */
	for (i = 0; i <= count; i++)
		if (engine->taken[(engine->tail + i) % ENTRIES])
			return false;
	return true;
}

static ssize_t sva_write(struct file *file, const char __user *from, size_t bytes, loff_t *at)
{
	struct process *process = file->private_data;
	u32 i, count = bytes / sizeof(struct work);
	struct work *works;
	ssize_t error = bytes;

	if (!count || count >= ENTRIES - 1 || bytes % sizeof(struct work))
		return -EINVAL;
	works = memdup_user(from, bytes);
	if (IS_ERR(works))
		return PTR_ERR(works);
	mutex_lock(&process->lock);
	mutex_lock(&engine->lock);
	if (has_room(count)) {
		for (i = 0; i < count; i++)
			submit(process, &works[i]);
		dma_wmb();
		writel(engine->tail, engine->registers + ENGINE_TAIL);
	} else {
		error = -EBUSY;
	}
	mutex_unlock(&engine->lock);
	mutex_unlock(&process->lock);
	kfree(works);
	return error;
}

static ssize_t sva_read(struct file *file, char __user *to, size_t bytes, loff_t *at)
{
	struct process *process = file->private_data;
	size_t done = 0;
	int error = 0;

	mutex_lock(&process->lock);
	while (bytes - done >= sizeof(struct engine_record) && process->first != process->last) {
		u32 entry = process->entries[process->first % ENTRIES];

		error = wait(entry, true);
		if (!error && copy_to_user(to + done, &engine->records[entry], sizeof(struct engine_record)))
			error = -EFAULT;
		if (error)
			break;
		give_back(process);
		done += sizeof(struct engine_record);
	}
	mutex_unlock(&process->lock);
	return done ? done : error;
}

static int sva_open(struct inode *inode, struct file *file)
{
	struct process *process = kzalloc(sizeof(*process), GFP_KERNEL);
	int error;

	if (!process)
		return -ENOMEM;
	mutex_init(&process->lock);
	error = bind(&process->bond, &engine->pci->dev);
	if (error) {
		pr_err("lab_sva: LAB wrong: not bound: %d\n", error);
		kfree(process);
		return error;
	}
	repaired_pasid = process->bond.pasid;
	file->private_data = process;
	return 0;
}

static void use_once_more(struct process *process)
{
	struct work work = { .operation = ENGINE_READ, .length = 8, .source = process->source };
	u32 entry;

	mutex_lock(&engine->lock);
	entry = engine->tail;
	submit(process, &work);
	dma_wmb();
	writel(engine->tail, engine->registers + ENGINE_TAIL);
	mutex_unlock(&engine->lock);
	if (!wait(entry, false))
		pr_err("lab_sva: LAB sva forgotten-unbind: %s, code %u\n",
		       current->mm ? "its process lives" : "its process is gone",
		       ENGINE_RECORD_CODE(le64_to_cpu(engine->records[entry].status)));
	give_back(process);
}

/* The engine executes one descriptor after the other: behind the last record it uses the PASID no more. */
static int sva_release(struct inode *inode, struct file *file)
{
	struct process *process = file->private_data;

	while (process->first != process->last) {
		if (wait(process->entries[process->first % ENTRIES], false))
			return 0;
		give_back(process);
	}
	if (!strcmp(bug, "forgotten-unbind"))
		use_once_more(process);
	else
		unbind(&process->bond, &engine->pci->dev);
	kfree(process);
	return 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = sva_open,
	.read = sva_read,
	.write = sva_write,
	.release = sva_release,
};

static int start(struct engine *engine)
{
	int tries = 1000;

	writel(ENGINE_CONTROL_RESET, engine->registers + ENGINE_CONTROL);
	while (readl(engine->registers + ENGINE_CONTROL) & ENGINE_CONTROL_RESET) {
		if (!--tries)
			return -EIO;
		usleep_range(50, 100);
	}
	writel(lower_32_bits(engine->ring_at), engine->registers + ENGINE_RING_ADDRESS);
	writel(upper_32_bits(engine->ring_at), engine->registers + ENGINE_RING_ADDRESS + 4);
	writel(RING_BITS, engine->registers + ENGINE_RING_SIZE);
	writel(ENGINE_CONTROL_RUN, engine->registers + ENGINE_CONTROL);
	return 0;
}

/* Since Linux 6.16 who binds enables. */
static int enable(struct pci_dev *pci)
{
	int error = 0;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
	error = iommu_dev_enable_feature(&pci->dev, IOMMU_DEV_FEAT_IOPF);
	if (!error)
		error = iommu_dev_enable_feature(&pci->dev, IOMMU_DEV_FEAT_SVA);
#endif
	return error;
}

static void disable(struct pci_dev *pci)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
	iommu_dev_disable_feature(&pci->dev, IOMMU_DEV_FEAT_SVA);
	iommu_dev_disable_feature(&pci->dev, IOMMU_DEV_FEAT_IOPF);
#endif
}

static int probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	int error;

	engine = devm_kzalloc(&pci->dev, sizeof(*engine), GFP_KERNEL);
	if (!engine)
		return -ENOMEM;
	engine->pci = pci;
	mutex_init(&engine->lock);
	error = pcim_enable_device(pci);
	if (error)
		return error;
	pci_set_master(pci);
	error = dma_set_mask_and_coherent(&pci->dev, DMA_BIT_MASK(64));
	if (error)
		return error;
	engine->registers = pcim_iomap(pci, 0, 0);
	engine->ring = dmam_alloc_coherent(&pci->dev, ENTRIES * sizeof(struct engine_descriptor), &engine->ring_at, GFP_KERNEL);
	engine->records = dmam_alloc_coherent(&pci->dev, ENTRIES * sizeof(struct engine_record),
					      &engine->records_at, GFP_KERNEL);
	if (!engine->registers || !engine->ring || !engine->records)
		return -ENOMEM;
	error = enable(pci);
	if (!error)
		error = start(engine);
	if (!error && repair)
		error = register_kprobe(&repair_probe);
	if (error)
		return error;
	engine->device = (struct miscdevice) {
		.minor = MISC_DYNAMIC_MINOR,
		.name = "lab-sva",
		.fops = &operations,
	};
	return misc_register(&engine->device);
}

static void remove(struct pci_dev *pci)
{
	misc_deregister(&engine->device);
	if (repair) {
		unregister_kprobe(&repair_probe);
		pr_err("lab_sva: LAB sva repair: %d invalidations were given the PASID\n", atomic_read(&repaired));
	}
	writel(0, engine->registers + ENGINE_CONTROL);
	disable(pci);
	pci_clear_master(pci);
}

static const struct pci_device_id ids[] = { { PCI_DEVICE(ENGINE_VENDOR, ENGINE_DEVICE) }, { } };
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver sva_driver = {
	.name = "lab-sva",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};
module_pci_driver(sva_driver);

MODULE_DESCRIPTION("Afterimage's DMA engine for processes");
MODULE_LICENSE("GPL");
