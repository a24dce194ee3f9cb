//! Raw FFI to DPDK: bindgen output over one header, and the C shim's functions (`shim.h`).
//!
//! There is no policy here and nothing is safe: only the `dpdk` crate calls it. It builds against
//! whatever DPDK from 22.11 on pkg-config finds.
#![allow(
    missing_docs,
    missing_debug_implementations,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    unnecessary_transmutes,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
