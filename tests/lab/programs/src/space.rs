//! An address space of devices: a VFIO container of type 1, and what is mapped in it.
//!
//! Invariant: memory that is mapped lives as long as its space, and is only accessed as memory that others change, too.
//! Source: Linux, Documentation/driver-api/vfio.rst.
#![expect(unsafe_code, reason = "a device is given memory by its address")]

use std::sync::Arc;

use vfio_ioctls::{VfioContainer, VfioError};
use vm_memory::MmapRegion;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Memory that devices may have.
pub type Memory = Arc<MmapRegion<()>>;

/// Where devices that share it find memory.
pub struct Space {
    container: Arc<VfioContainer>,
    given: Vec<Memory>,
}

impl Space {
    /// An empty one. A device must be in it before anything is mapped.
    pub fn new() -> Result<Self, VfioError> {
        Ok(Self { container: Arc::new(VfioContainer::new(None)?), given: Vec::new() })
    }

    /// What a device is opened with.
    pub fn container(&self) -> Arc<VfioContainer> {
        Arc::clone(&self.container)
    }

    /// Maps the whole memory at this address, for reading and writing.
    pub fn map(&mut self, iova: u64, memory: &Memory) -> Result<(), VfioError> {
        self.given.push(Arc::clone(memory));
        // SAFETY: the space keeps the memory until after the container is gone, and nobody makes a reference to what is
        // in it: `MmapRegion` hands out volatile accesses only.
        unsafe { self.container.vfio_dma_map(iova, memory.size(), memory.as_ptr()) }
    }

    /// Unmaps so many bytes.
    pub fn unmap(&self, iova: u64, len: usize) -> Result<(), VfioError> {
        self.container.vfio_dma_unmap(iova, len)
    }
}
