//! Devices. Invariant: a device touches memory only through its DMA port.

pub mod dma_engine;
