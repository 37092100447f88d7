/* SPDX-License-Identifier: GPL-2.0 */
/* The DMA engine's registers, descriptors and completion records, as docs/dma-engine.md has them. */
#ifndef ENGINE_H
#define ENGINE_H

#include <linux/bits.h>
#include <linux/types.h>

#define ENGINE_VENDOR 0x1234
#define ENGINE_DEVICE 0x0a17

/* Registers, in BAR 0. */
#define ENGINE_IDENTIFICATION 0x00
#define ENGINE_LIMITS 0x04
#define ENGINE_CONTROL 0x08
#define ENGINE_CONTROL_RUN BIT(0)
#define ENGINE_CONTROL_RESET BIT(1)
#define ENGINE_STATUS 0x0c
#define ENGINE_STATUS_BUSY BIT(0)
#define ENGINE_STATUS_HALTED BIT(1)
#define ENGINE_RING_ADDRESS 0x10
#define ENGINE_RING_SIZE 0x18
#define ENGINE_RING_PASID 0x1c
#define ENGINE_RING_PASID_VALID BIT(31)
#define ENGINE_TAIL 0x20
#define ENGINE_HEAD 0x24
#define ENGINE_INTERRUPT_STATUS 0x28
#define ENGINE_INTERRUPT_ENABLE 0x2c
#define ENGINE_INTERRUPTS (BIT(0) | BIT(1) | BIT(2)) /* done, fault, halt */
#define ENGINE_FAULT_ADDRESS 0x30
#define ENGINE_FAULT 0x38
#define ENGINE_EXECUTED 0x40
#define ENGINE_FAILED 0x48

#define ENGINE_IDENTITY 0x41460100
#define ENGINE_MOST_BYTES BIT(20)

enum engine_operation {
	ENGINE_NOTHING,
	ENGINE_READ,
	ENGINE_WRITE,
	ENGINE_COPY,
	ENGINE_FETCH_ADD,
	ENGINE_SWAP,
	ENGINE_COMPARE_SWAP,
	ENGINE_STOP,
};

/* Flags of a descriptor. */
#define ENGINE_SOURCE_PASID BIT(0)
#define ENGINE_DESTINATION_PASID BIT(1)
#define ENGINE_COMPLETION_PASID BIT(2)
#define ENGINE_COMPLETION BIT(3)
#define ENGINE_INTERRUPT BIT(4)

struct engine_descriptor {
	u8 operation;
	u8 flags;
	__le16 vector;
	__le32 pasid;
	__le64 source;
	__le64 destination;
	__le32 length;
	__le32 reserved;
	__le64 operand;
	__le64 comparand;
	__le64 completion;
	__le64 reserved_too;
};

struct engine_record {
	__le64 result;
	__le64 status;
};

/* How a descriptor ended: bits 15:8 of the status of its record. */
enum engine_code {
	ENGINE_DONE,
	ENGINE_BAD_DESCRIPTOR,
	ENGINE_BAD_LENGTH,
	ENGINE_MISALIGNED,
	ENGINE_BLOCKED,
	ENGINE_UNSUPPORTED,
	ENGINE_NOT_BUS_MASTER,
	ENGINE_PASID_DISABLED,
	ENGINE_PAGE_REFUSED,
	ENGINE_PAGE_MISSING,
};

#define ENGINE_RECORD_THERE BIT(0)
#define ENGINE_RECORD_CODE(status) ((u32)((status) >> 8) & 0xff)
#define ENGINE_RECORD_MOVED(status) ((u32)((status) >> 32))

#endif
