//! Raw FFI to DPDK: bindgen output and one audited C shim
