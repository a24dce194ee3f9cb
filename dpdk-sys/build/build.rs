//! Makes the bindings of the DPDK that pkg-config finds, compiles the C shim, and chooses how to
//! link.
//!
//! Debug builds link DPDK's shared libraries, and EAL loads every driver that is installed. Release
//! builds link statically, with only the drivers that `link` lists: a binary of a few megabytes
//! that starts at once. `DPDK_LINK=static` or `shared` overrides the choice. Cargo wants some of
//! the link line from the binary's own build script, which gets it from here as
//! `DEP_DPDK_LINK_ARGS`.

mod bindings;
mod link;
mod package;

use std::env;
use std::path::PathBuf;

use package::{Linking, Package};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    for file in ["wrapper.h", "shim.h", "shim.c", "build"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let linking = Linking::wanted()?;
    let package = Package::find(linking)?;
    let cflags = package.cflags();
    bindings::write(&cflags, &out_dir().join("bindings.rs"))?;
    compile_shim(&cflags);
    link::say(linking, &package)
}

fn compile_shim(cflags: &[String]) {
    let mut build = cc::Build::new();
    build.file("shim.c").opt_level(3);
    for flag in cflags {
        build.flag(flag);
    }
    build.compile("dpvs_dpdk_shim");
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default())
}
