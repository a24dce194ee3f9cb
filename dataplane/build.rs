//! Passes DPDK's static link line on to the daemon. It is empty when DPDK's libraries are shared.

fn main() {
    for arg in std::env::var("DEP_DPDK_LINK_ARGS")
        .unwrap_or_default()
        .split_whitespace()
    {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
