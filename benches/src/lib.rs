//! What the bench programs share: frames, a director, a control plane, and the measuring of time.
//! There is no DPDK here: the criterion benches run without it, and `dpvs-bench` adds ports and
//! mbufs.
#![forbid(unsafe_code)]

pub mod director;
pub mod frames;
pub mod measure;
pub mod plane;
