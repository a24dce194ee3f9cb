//! What the bench programs share: frames, the director they go through, its control plane, and how
//! time is taken. No DPDK: the criterion benches run without it, `dpvs-bench` adds ports and mbufs.
#![forbid(unsafe_code)]

pub mod director;
pub mod frames;
pub mod measure;
pub mod plane;
