//! Passes on to this crate's tests what DPDK wants of the link line. It is empty when DPDK's
//! libraries are shared and the loader finds them by itself.

fn main() {
    for arg in std::env::var("DEP_DPDK_LINK_ARGS")
        .unwrap_or_default()
        .split_whitespace()
    {
        println!("cargo::rustc-link-arg={arg}");
    }
}
